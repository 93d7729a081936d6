# SPDX-License-Identifier: MIT
"""Cron where clocks on the wall are set: the real zones, at the days of the real changes."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from stanchion.scheduler._triggers import At, Cron


def due(line: str, tz: str, begin: str, count: int, *, fold: int = 0) -> list[str]:
    """Return the due times after a time on the wall, as the wall shows them, each with its distance from UTC."""
    zone, trigger = ZoneInfo(tz), Cron(line, tz)
    moment, times = datetime.fromisoformat(begin).replace(tzinfo=zone, fold=fold).timestamp(), list[str]()
    while len(times) < count:
        found = trigger.next_after(moment)
        assert found is not None
        assert found > moment
        moment = found
        times.append(f"{datetime.fromtimestamp(found, zone):%Y-%m-%d %H:%M %z}")
    return times


@pytest.mark.parametrize(
    ("tz", "line", "begin", "times"),
    [
        ("Europe/Berlin", "30 2 * * *", "2026-03-28 12:00", ["2026-03-29 03:00 +0200", "2026-03-30 02:30 +0200"]),
        ("Europe/Berlin", "0 30 2 * * *", "2026-03-28 12:00", ["2026-03-29 03:00 +0200", "2026-03-30 02:30 +0200"]),
        ("America/New_York", "15 2 * * sun", "2026-03-07 12:00", ["2026-03-08 03:00 -0400", "2026-03-15 02:15 -0400"]),
        ("Australia/Lord_Howe", "10 2 * * *", "2026-10-03 12:00", ["2026-10-04 02:30 +1100", "2026-10-05 02:10 +1100"]),
        ("Africa/Casablanca", "30 2 * * *", "2026-03-21 12:00", ["2026-03-22 03:00 +0100", "2026-03-23 02:30 +0100"]),
        ("Pacific/Apia", "0 12 30 12 *", "2011-12-01 00:00", ["2011-12-31 00:00 +1400", "2012-12-30 12:00 +1400"]),
        ("America/Sao_Paulo", "0 0 * * *", "2018-11-03 12:00", ["2018-11-04 01:00 -0200", "2018-11-05 00:00 -0200"]),
    ],
)
def test_time_of_day_in_a_gap_is_due_where_the_gap_ends(tz: str, line: str, begin: str, times: list[str]) -> None:
    assert due(line, tz, begin, 2) == times


def test_several_times_of_one_gap_are_due_once() -> None:
    times = due("0,20,40 2 * * *", "Europe/Berlin", "2026-03-28 12:00", 2)
    assert times == ["2026-03-29 03:00 +0200", "2026-03-30 02:00 +0200"]


@pytest.mark.parametrize(
    ("tz", "line", "begin", "times"),
    [
        ("Europe/Berlin", "30 2 * * *", "2026-10-24 12:00", ["2026-10-25 02:30 +0200", "2026-10-26 02:30 +0100"]),
        ("Europe/Berlin", "0 30 2 * * *", "2026-10-24 12:00", ["2026-10-25 02:30 +0200", "2026-10-26 02:30 +0100"]),
        ("America/New_York", "30 1 * * *", "2026-10-31 12:00", ["2026-11-01 01:30 -0400", "2026-11-02 01:30 -0500"]),
        ("Australia/Lord_Howe", "45 1 * * *", "2026-04-04 12:00", ["2026-04-05 01:45 +1100", "2026-04-06 01:45 +1030"]),
        ("Africa/Casablanca", "30 2 * * *", "2026-02-14 12:00", ["2026-02-15 02:30 +0100", "2026-02-16 02:30 +0000"]),
        ("America/Sao_Paulo", "30 23 * * *", "2018-02-17 12:00", ["2018-02-17 23:30 -0200", "2018-02-18 23:30 -0300"]),
    ],
)
def test_time_of_day_that_comes_twice_is_due_the_first_time(tz: str, line: str, begin: str, times: list[str]) -> None:
    assert due(line, tz, begin, 2) == times


def test_time_of_day_that_comes_twice_is_not_due_again_when_asked_in_the_second_hour() -> None:
    assert due("45 2 * * *", "Europe/Berlin", "2026-10-25 02:10", 1, fold=1) == ["2026-10-26 02:45 +0100"]


def test_minutes_with_a_star_leave_out_what_the_clock_leaves_out() -> None:
    times = due("*/30 * * * *", "Europe/Berlin", "2026-03-29 01:00", 3)
    assert times == ["2026-03-29 01:30 +0100", "2026-03-29 03:00 +0200", "2026-03-29 03:30 +0200"]
    assert due("*/30 2 * * *", "Europe/Berlin", "2026-03-29 01:00", 1) == ["2026-03-30 02:00 +0200"]


def test_minutes_with_a_star_are_due_in_both_hours_of_a_repeat() -> None:
    times = due("*/30 * * * *", "Europe/Berlin", "2026-10-25 01:30", 5)
    assert times == [
        "2026-10-25 02:00 +0200",
        "2026-10-25 02:30 +0200",
        "2026-10-25 02:00 +0100",
        "2026-10-25 02:30 +0100",
        "2026-10-25 03:00 +0100",
    ]


def test_second_hour_of_a_repeat_is_due_though_the_line_comes_once_a_year() -> None:
    times = due("*/20 2 25 10 *", "Europe/Berlin", "2026-10-25 02:40", 4)
    assert times == [
        "2026-10-25 02:00 +0100",
        "2026-10-25 02:20 +0100",
        "2026-10-25 02:40 +0100",
        "2027-10-25 02:00 +0200",
    ]


def test_second_hour_of_the_last_repeat_before_the_year_10000_is_due() -> None:
    last = Cron("*/30 2 31 10 *", "Europe/Berlin")
    moment = datetime(9999, 10, 31, 2, 30, tzinfo=ZoneInfo("Europe/Berlin")).timestamp()
    assert last.next_after(moment) == moment + 1800
    assert last.next_after(moment + 3600) is None
    assert Cron("30 2 31 10 *", "Europe/Berlin").next_after(moment) is None


def test_half_an_hour_that_is_left_out_moves_nothing_after_it() -> None:
    times = due("*/15 */2 * * *", "Australia/Lord_Howe", "2026-10-04 00:45", 3)
    assert times == ["2026-10-04 02:30 +1100", "2026-10-04 02:45 +1100", "2026-10-04 04:00 +1100"]
    assert due("*/15 5 * * *", "Australia/Lord_Howe", "2026-10-04 00:00", 1) == ["2026-10-04 05:00 +1100"]


def test_half_an_hour_that_comes_twice_is_due_twice_for_a_star() -> None:
    times = due("*/15 * * * *", "Australia/Lord_Howe", "2026-04-05 01:30", 4)
    assert times == [
        "2026-04-05 01:45 +1100",
        "2026-04-05 01:30 +1030",
        "2026-04-05 01:45 +1030",
        "2026-04-05 02:00 +1030",
    ]


def test_day_that_is_left_out_is_left_out_for_a_star() -> None:
    assert due("0 * 30 12 *", "Pacific/Apia", "2011-12-01 00:00", 1) == ["2012-12-30 00:00 +1400"]
    assert due("0 */12 * * *", "Pacific/Apia", "2011-12-29 13:00", 1) == ["2011-12-31 00:00 +1400"]


def test_hours_begin_anew_each_day_whatever_its_length() -> None:
    times = due("0 */6 * * *", "America/New_York", "2026-11-01 00:00", 4)
    assert times == [
        "2026-11-01 06:00 -0500",
        "2026-11-01 12:00 -0500",
        "2026-11-01 18:00 -0500",
        "2026-11-02 00:00 -0500",
    ]


def test_time_of_at_in_a_gap_is_what_the_clock_would_show_had_it_not_been_set() -> None:
    zone = ZoneInfo("Europe/Berlin")
    missing = At(datetime(2026, 3, 29, 2, 30, tzinfo=zone))
    assert missing.next_after(0) == datetime(2026, 3, 29, 3, 30, tzinfo=zone).timestamp()


def test_time_of_at_that_comes_twice_is_the_one_that_its_fold_says() -> None:
    first = At(datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=0)).next_after(0)
    second = At(datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1)).next_after(0)
    assert first is not None
    assert second == first + timedelta(hours=1).total_seconds()
