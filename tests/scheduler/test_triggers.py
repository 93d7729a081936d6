# SPDX-License-Identifier: MIT
"""Due times of the triggers, and what they refuse."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from stanchion.errors import CronError, InvalidOptionError
from stanchion.scheduler._triggers import END, After, At, Cron, DueTimes, Every, Trigger, from_data, to_data
from stanchion.scheduler._zones import read_zone

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
AT_NOON = NOON.timestamp()


class NoOffset(tzinfo):
    """A zone that does not know where it is."""

    def utcoffset(self, when: datetime | None) -> timedelta | None:
        return None

    def dst(self, when: datetime | None) -> timedelta | None:
        return None

    def tzname(self, when: datetime | None) -> str | None:
        return None


# --- at and after ----------------------------------------------------------------------------------


def test_at_is_due_once_by_the_wall_clock() -> None:
    trigger = At(NOON)
    assert trigger.wall
    assert trigger.next_after(AT_NOON - 0.001) == AT_NOON
    assert trigger.next_after(AT_NOON) is None


def test_at_is_due_at_the_same_moment_in_whatever_zone_it_is_written() -> None:
    there = NOON.astimezone(ZoneInfo("Asia/Tokyo"))
    assert At(there).next_after(0) == AT_NOON
    assert str(At(there)) == "at 2026-11-23 21:00:00+09:00"


def test_at_in_the_past_is_due_at_once() -> None:
    trigger = At(NOON)
    assert trigger.next_after(trigger.counts_from(AT_NOON + 1000)) == AT_NOON
    assert trigger.due_between(trigger.counts_from(AT_NOON), AT_NOON + 1000, 9) == DueTimes(
        (AT_NOON,), 1, AT_NOON, None
    )


@pytest.mark.parametrize(
    ("when", "due"),
    [
        (datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))), -62135647200.0),
        (datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone(timedelta(hours=-12))), 253402343999.0),
        (datetime(1970, 1, 1, 0, 0, 0, 250_000, tzinfo=UTC), 0.25),
    ],
)
def test_at_takes_years_far_away(when: datetime, due: float) -> None:
    assert At(when).next_after(-math.inf) == due


@pytest.mark.parametrize(
    ("when", "got"),
    [
        (datetime(2026, 11, 23, 12), "one without, 2026-11-23 12:00:00"),  # noqa: DTZ001
        (datetime(2026, 11, 23, 12, tzinfo=NoOffset()), "one without, 2026-11-23 12:00:00"),
    ],
)
def test_at_refuses_a_time_without_zone_and_names_the_fix(when: datetime, got: str) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        At(when)
    assert str(caught.value) == (
        f"At(when): expected a datetime with a zone, got {got}\n"
        "Fix: say in which zone it is meant: when.replace(tzinfo=zoneinfo.ZoneInfo('Europe/Berlin')), say, "
        "or when.replace(tzinfo=datetime.UTC)."
    )


@pytest.mark.parametrize(
    ("when", "rest"),
    [
        ("2026-11-23", "'2026-11-23'"),
        (None, "None"),
        (5.0, "5.0\nFix: write datetime.fromtimestamp(seconds, datetime.UTC), or use after(seconds)."),
    ],
)
def test_at_refuses_what_is_no_datetime(when: Any, rest: str) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        At(when)
    assert str(caught.value) == f"At(when): expected a datetime with a zone, got {rest}"


def test_after_is_due_once_by_the_monotonic_clock() -> None:
    trigger = After(timedelta(seconds=5)).begun(100.0, AT_NOON)
    assert not trigger.wall
    assert trigger.next_after(trigger.counts_from(100.0)) == 105.0
    assert trigger.next_after(105.0) is None


def test_after_nothing_is_due_at_once() -> None:
    trigger = After(0).begun(100.0, AT_NOON)
    assert trigger.due_between(trigger.counts_from(100.0), 100.0, 9) == DueTimes((100.0,), 1, 100.0, None)


def test_after_is_by_the_wall_clock_when_it_is_persistent() -> None:
    trigger = After(5).begun(100.0, AT_NOON, persistent=True)
    assert trigger.wall
    assert trigger.next_after(0) == AT_NOON + 5


def test_after_ages_never_comes() -> None:
    assert After(1e300).next_after(-math.inf) == 3e10  # a thousand years
    assert After(1e300).begun(0.0, 2.5e11, persistent=True).next_after(0) is None  # which end after the year 9999


DURATION = "seconds >= 0 as a finite number, or a timedelta"


@pytest.mark.parametrize(("delay", "got"), [(-1, "-1"), (math.nan, "nan"), ("5", "'5'"), (timedelta(-1), "-86400.0")])
def test_after_refuses_what_is_no_duration(delay: Any, got: str) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        After(delay)
    assert str(caught.value) == f"After(delay): expected {DURATION}, got {got}"


# --- every -----------------------------------------------------------------------------------------


def test_every_is_due_at_whole_multiples_from_its_start() -> None:
    trigger = Every(60).begun(100.0, AT_NOON)
    assert not trigger.wall
    assert trigger.counts_from(100.0) == 100.0
    assert [trigger.next_after(moment) for moment in (100.0, 159.9, 160.0, 219.0)] == [160.0, 160.0, 220.0, 220.0]


def test_every_does_not_drift_in_a_million_runs() -> None:
    trigger = Every(0.1).begun(12345.678, AT_NOON)
    due: float | None = 12345.678
    for _ in range(1_000):
        assert due is not None
        due = trigger.next_after(due)
    assert due == 12345.678 + 1_000 * 0.1
    assert trigger.next_after(12345.678 + 999_999.5 * 0.1) == 12345.678 + 1_000_000 * 0.1


def test_every_aligned_is_due_at_whole_multiples_since_1970() -> None:
    trigger = Every(timedelta(hours=1), align=True).begun(100.0, AT_NOON + 61)
    assert trigger.wall
    assert trigger.next_after(AT_NOON + 61) == AT_NOON + 3600
    assert trigger.next_after(AT_NOON - 1) == AT_NOON


def test_every_counts_from_the_wall_clock_when_it_is_persistent() -> None:
    trigger = Every(60).begun(100.0, AT_NOON + 1, persistent=True)
    assert trigger.wall
    assert trigger.next_after(AT_NOON + 1) == AT_NOON + 61


def test_every_has_no_due_time_before_its_first() -> None:
    trigger = Every(60).begun(100.0, AT_NOON)
    assert trigger.next_after(-1e9) == 160.0
    assert trigger.due_between(-1e9, 159.0, 9) == DueTimes((), 0, None, 160.0)


def test_every_counts_a_row_of_any_length_at_once() -> None:
    trigger = Every(0.001).begun(0.0, AT_NOON)
    row = trigger.due_between(0.0, 1e9, 2)
    assert row == DueTimes((0.001, 0.002), 1_000_000_000_000, 1e9, 1e9 + 0.001)


def test_every_has_no_due_time_when_it_is_asked_for_a_time_in_the_past() -> None:
    assert Every(60).begun(0.0, AT_NOON).due_between(180.0, 100.0, 9) == DueTimes((), 0, None, 240.0)


def test_every_is_due_when_the_quotient_of_floats_says_that_it_was_already() -> None:
    due = 9625 * 0.7
    trigger = Every(0.7).begun(0.0, AT_NOON)
    assert trigger.next_after(math.nextafter(due, 0)) == due


def test_every_thousand_years_is_due_until_the_calendar_ends() -> None:
    trigger = Every(1e300, align=True)
    assert trigger.next_after(AT_NOON) == 3e10
    assert trigger.next_after(2.5e11) is None
    assert trigger.next_after(1e300) is None
    assert trigger.due_between(0.0, 1e300, 1) == DueTimes((3e10,), 8, 2.4e11, None)


@pytest.mark.parametrize(("interval", "got"), [(0, "0"), (1e-6, "1e-06"), (timedelta(microseconds=999), "…")])
def test_every_refuses_an_interval_shorter_than_a_millisecond(interval: Any, got: str) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        Every(interval)
    assert str(caught.value) == (
        "Every(interval): expected seconds >= 0.001 as a finite number, or a timedelta, "
        f"got {got.replace('…', repr(interval))}\n"
        "Fix: let a process do in a loop of its own what is done without a pause."
    )


@pytest.mark.parametrize(("interval", "got"), [(-5, "-5"), (math.nan, "nan"), (True, "True"), ("5", "'5'")])
def test_every_refuses_what_is_no_duration(interval: Any, got: str) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        Every(interval)
    assert str(caught.value) == f"Every(interval): expected {DURATION}, got {got}"


def test_every_refuses_what_is_no_bool_for_align() -> None:
    with pytest.raises(InvalidOptionError) as caught:
        Every(60, align="no")  # type: ignore[arg-type]
    assert str(caught.value) == "Every(align): expected an instance of bool, got 'no'"


# --- all of them -----------------------------------------------------------------------------------


def test_cron_is_by_the_wall_clock_from_the_moment_in_which_it_is_set() -> None:
    trigger = Cron("0 * * * *")
    assert trigger.wall
    assert trigger.next_after(trigger.counts_from(AT_NOON)) == AT_NOON + 3600


def test_cron_counts_up_to_a_thousand_due_times_and_finds_the_latest_of_more() -> None:
    trigger = Cron("* * * * *")
    year = trigger.due_between(AT_NOON, AT_NOON + 31_536_000.5, 2)
    assert year.times == (AT_NOON + 60, AT_NOON + 120)
    assert year.count == 1000
    assert year.latest == AT_NOON + 31_536_000
    assert year.next == AT_NOON + 31_536_060


def test_cron_finds_the_latest_due_time_where_they_are_far_apart() -> None:
    trigger = Cron("* 3 * * sun")
    row = trigger.due_between(AT_NOON, AT_NOON + 400 * 7 * 86400, 2)
    latest = datetime.fromtimestamp(row.latest or 0, UTC)
    assert (latest.isoweekday(), latest.hour, latest.minute) == (7, 3, 59)
    assert row.count == 1000
    assert (row.latest or 0) > AT_NOON + 400 * 7 * 86400 - 86400 * 7


LAST_DAY = datetime(9999, 12, 31, tzinfo=ZoneInfo("America/New_York"))


@pytest.mark.parametrize("line", ["0 23 * * *", "0 * * * *"])
def test_cron_ends_with_the_calendar_of_utc_in_zones_behind_it(line: str) -> None:
    noon = LAST_DAY.replace(hour=12).timestamp()
    latest = Cron(line, "America/New_York").due_between(noon - 86_400, noon + 86_400, 1)
    assert (latest.latest or 0) < END
    assert latest.next is None


def test_cron_gives_as_many_times_as_are_asked_for() -> None:
    row = Cron("*/20 * * * *").due_between(AT_NOON, AT_NOON + 3600, 2)
    assert row == DueTimes((AT_NOON + 1200, AT_NOON + 2400), 3, AT_NOON + 3600, AT_NOON + 4800)


ALL: list[tuple[Trigger, str]] = [
    (At(NOON.replace(tzinfo=ZoneInfo("Europe/Berlin"))), "at 2026-11-23 12:00:00+01:00"),
    (At(NOON.replace(microsecond=5)), "at 2026-11-23 12:00:00.000005+00:00"),
    (After(90).begun(1.0, 2.0), "after 90 s"),
    (After(timedelta(milliseconds=5)).begun(1.0, 2.0, persistent=True), "after 0.005 s"),
    (Every(86400).begun(1.0, 2.0, persistent=True), "every 86400 s"),
    (Every(0.1, align=True).begun(1.0, 2.0), "every 0.1 s, aligned"),
    (Cron("0 3  * * mon", "Europe/Berlin").begun(1.0, 2.0), "cron '0 3 * * mon' in Europe/Berlin"),
    (Cron("@daily"), "cron '@daily' in UTC"),
]


@pytest.mark.parametrize(("trigger", "text"), ALL)
def test_trigger_reads_as(trigger: Trigger, text: str) -> None:
    assert str(trigger) == text


@pytest.mark.parametrize(("trigger", "text"), ALL)
def test_trigger_comes_back_from_its_data(trigger: Trigger, text: str) -> None:
    data = to_data(trigger)
    assert from_data(data) == trigger
    assert str(from_data(data)) == text
    assert from_data(data).next_after(3.0) == trigger.next_after(3.0)


def test_trigger_that_is_set_again_has_the_same_text() -> None:
    assert str(Every(60).begun(1.0, 2.0, persistent=True)) == str(Every(60).begun(3.0, 4.0, persistent=True))


def test_trigger_begins_where_it_is_set_anew() -> None:
    assert At(NOON).begun(1.0, 2.0) == At(NOON)
    assert Every(60).begun(1.0, 2.0).begun(5.0, 6.0).next_after(5.0) == 65.0


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ({"type": "moon"}, "Invalid value 'moon' - at `$.type`"),
        ({"type": "every", "interval": [1]}, "Expected `float | duration`, got `array`"),
        ({"type": "cron", "line": "0 0 30 2 *"}, "Cron(line): expected a day that its months have"),
    ],
)
def test_stored_trigger_that_is_none_is_refused(data: dict[str, object], why: str) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        from_data(data)
    assert str(caught.value).startswith(f"stored trigger: expected one of this version, got {data!r}: {why}")


def test_cron_error_is_raised_by_the_value_itself() -> None:
    with pytest.raises(CronError, match="its day of week"):
        Cron("5 0 * * 8")


async def test_zone_is_read_where_it_does_not_block_the_loop() -> None:
    await read_zone("Cron(tz)", "Asia/Kathmandu")
    await read_zone("Cron(tz)", "Asia/Kathmandu")
    midnight = Cron("@daily", "Asia/Kathmandu").next_after(AT_NOON)
    assert midnight == AT_NOON + 22500.0  # it is 17:45 there


async def test_unknown_zone_is_refused_where_it_does_not_block_the_loop() -> None:
    with pytest.raises(InvalidOptionError) as caught:
        await read_zone("Cron(tz)", "Asia/Katmandoo")
    assert str(caught.value) == (
        "Cron(tz): expected the name of a time zone, 'Europe/Berlin' say, got 'Asia/Katmandoo'\n"
        "Fix: write 'Asia/Katmandu'."
    )
    with pytest.raises(InvalidOptionError, match="got 5"):
        await read_zone("Cron(tz)", 5)
