# SPDX-License-Identifier: MIT
"""Cron lines: what they mean, and what is said about those that mean nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from typing import Any

import pytest

from stanchion.errors import CronError, InvalidOptionError
from stanchion.scheduler._triggers import Cron

START = datetime(2026, 1, 1, tzinfo=UTC)  # a Thursday


def due(line: str, count: int = 3) -> list[str]:
    def times() -> Any:
        trigger, moment = Cron(line), START.timestamp() - 1
        while (found := trigger.next_after(moment)) is not None:
            yield f"{datetime.fromtimestamp(found, UTC):%m-%d %H:%M:%S}"
            moment = found

    return list(islice(times(), count))


@pytest.mark.parametrize(
    ("line", "times"),
    [
        ("* * * * *", ["01-01 00:00:00", "01-01 00:01:00", "01-01 00:02:00"]),
        ("*/20 * * * *", ["01-01 00:00:00", "01-01 00:20:00", "01-01 00:40:00"]),
        ("7/25 * * * *", ["01-01 00:07:00", "01-01 00:32:00", "01-01 00:57:00"]),
        ("10-20/5 3 * * *", ["01-01 03:10:00", "01-01 03:15:00", "01-01 03:20:00"]),
        ("5,50,5 3 * * *", ["01-01 03:05:00", "01-01 03:50:00", "01-02 03:05:00"]),
        ("0 3 * * mon", ["01-05 03:00:00", "01-12 03:00:00", "01-19 03:00:00"]),
        ("0 0 1 FEB-apr *", ["02-01 00:00:00", "03-01 00:00:00", "04-01 00:00:00"]),
        ("0 0 1 jan-dec/5 *", ["01-01 00:00:00", "06-01 00:00:00", "11-01 00:00:00"]),
        ("0 0 * * 0", ["01-04 00:00:00", "01-11 00:00:00", "01-18 00:00:00"]),
        ("0 0 * * 7", ["01-04 00:00:00", "01-11 00:00:00", "01-18 00:00:00"]),
        ("0 0 * * fri-sun", ["01-02 00:00:00", "01-03 00:00:00", "01-04 00:00:00"]),
        ("0 0 * * 5-0", ["01-02 00:00:00", "01-03 00:00:00", "01-04 00:00:00"]),
        ("0 0 * * fri#2", ["01-09 00:00:00", "02-13 00:00:00", "03-13 00:00:00"]),
        ("0 0 * * friL", ["01-30 00:00:00", "02-27 00:00:00", "03-27 00:00:00"]),
        ("0 0 L * *", ["01-31 00:00:00", "02-28 00:00:00", "03-31 00:00:00"]),
        ("0 0 LW * *", ["01-30 00:00:00", "02-27 00:00:00", "03-31 00:00:00"]),
        ("0 0 31,L 2 *", ["02-28 00:00:00", "02-28 00:00:00", "02-29 00:00:00"]),
        ("*/30 0 0 1 1 *", ["01-01 00:00:00", "01-01 00:00:30", "01-01 00:00:00"]),
        ("  0\t3  * * *  ", ["01-01 03:00:00", "01-02 03:00:00", "01-03 03:00:00"]),
        ("@hourly", ["01-01 00:00:00", "01-01 01:00:00", "01-01 02:00:00"]),
        ("@daily", ["01-01 00:00:00", "01-02 00:00:00", "01-03 00:00:00"]),
        ("@midnight", ["01-01 00:00:00", "01-02 00:00:00", "01-03 00:00:00"]),
        ("@Weekly", ["01-04 00:00:00", "01-11 00:00:00", "01-18 00:00:00"]),
        ("@monthly", ["01-01 00:00:00", "02-01 00:00:00", "03-01 00:00:00"]),
        ("@yearly", ["01-01 00:00:00", "01-01 00:00:00", "01-01 00:00:00"]),
        ("@annually", ["01-01 00:00:00", "01-01 00:00:00", "01-01 00:00:00"]),
    ],
)
def test_line_is_due(line: str, times: list[str]) -> None:
    assert due(line) == times


def test_days_of_month_and_of_week_are_due_alike_when_both_are_given() -> None:
    assert due("0 0 13 * fri") == ["01-02 00:00:00", "01-09 00:00:00", "01-13 00:00:00"]


def test_days_of_month_and_of_week_must_both_match_when_one_begins_with_a_star() -> None:
    """As in Debian's cron: the first day of each second one that is a Monday."""
    assert due("0 0 */2 * mon") == ["01-05 00:00:00", "01-19 00:00:00", "02-09 00:00:00"]


def test_range_of_one_value_with_a_step_is_that_value() -> None:
    assert due("5-5/10 0 * * *") == ["01-01 00:05:00", "01-02 00:05:00", "01-03 00:05:00"]


def test_leap_day_comes_after_eight_years_around_2100() -> None:
    trigger = Cron("0 0 29 2 *")
    leap_day = datetime(2096, 2, 29, tzinfo=UTC).timestamp()
    assert trigger.next_after(leap_day) == datetime(2104, 2, 29, tzinfo=UTC).timestamp()


def test_line_has_no_due_time_after_the_year_9999() -> None:
    assert Cron("@daily").next_after(datetime(9999, 12, 31, tzinfo=UTC).timestamp()) is None
    assert Cron("@daily").next_after(1e12) is None
    assert (
        Cron("* * * * *", "Asia/Tokyo").next_after(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()) is None
    )


DAY_OF_WEEK = "a day of the week from 0 to 7 or sun to sat"
COUNT = "5 fields (minute, hour, day of month, month, day of week), or 6 with the second before them"
ALIASES = "one of @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually"


@pytest.mark.parametrize(
    ("line", "field", "position", "expected", "got", "fix"),
    [
        ("60 * * * *", "minute", 0, "a minute from 0 to 59", "'60'", None),
        ("0 24 * * *", "hour", 2, "an hour from 0 to 23", "'24'", "write 0 for midnight, which begins the day."),
        ("0 0 0 * *", "day of month", 4, "a day from 1 to 31, L or LW", "'0'", None),
        ("0 0 1 13 *", "month", 6, "a month from 1 to 12 or jan to dec", "'13'", None),
        ("5 0 * * 8", "day of week", 8, DAY_OF_WEEK, "'8'", None),
        ("99 0 0 * * *", "second", 0, "a second from 0 to 59", "'99'", None),
        ("0 0  *  * 1,8", "day of week", 12, DAY_OF_WEEK, "'8'", None),
        ("1,,2 * * * *", "minute", 2, "a minute from 0 to 59", "nothing", None),
        ("1- * * * *", "minute", 2, "a minute from 0 to 59", "nothing", None),
        ("-1 * * * *", "minute", 0, "a minute from 0 to 59", "'-1'", None),
        ("1.5 * * * *", "minute", 0, "a minute from 0 to 59", "'1.5'", None),
        ("\u0665 * * * *", "minute", 0, "a minute from 0 to 59", "'\u0665'", None),
        ("99999 * * * *", "minute", 0, "a minute from 0 to 59", "'99999'", None),
        ("20-10 * * * *", "minute", 0, "a range that begins before it ends", "'20-10'",
         "write '20-59,0-10' where it goes on from the beginning."),
        ("0 0 * * fri-mon", "day of week", 8, "a range that begins before it ends", "'fri-mon'",
         "write 'fri-sat,sun-mon' where it goes on from the beginning."),
        ("0 0 * * 5-1", "day of week", 8, "a range that begins before it ends", "'5-1'",
         "write '5-6,0-1' where it goes on from the beginning."),
        ("*/0 * * * *", "minute", 2, "a step from 1 to 59", "'0'", None),
        ("*/ * * * *", "minute", 2, "a step from 1 to 59", "nothing", None),
        ("1-9/x * * * *", "minute", 4, "a step from 1 to 59", "'x'", None),
        ("*/90 * * * *", "minute", 2, "a step from 1 to 59", "'90'",
         "a step begins anew each hour: use every() for an interval that is longer."),
        ("0 */36 * * *", "hour", 4, "a step from 1 to 23", "'36'",
         "a step begins anew each day: use every() for an interval that is longer."),
        ("0 0 */45 * *", "day of month", 6, "a step from 1 to 31", "'45'", None),
        ("0 0 * * mno", "day of week", 8, DAY_OF_WEEK, "'mno'", "write 'mon'."),
        ("0 0 * * Thursday", "day of week", 8, DAY_OF_WEEK, "'thursday'", "write 'thu'."),
        ("0 0 1 sept *", "month", 6, "a month from 1 to 12 or jan to dec", "'sept'", "write 'sep'."),
        ("0 0 1 qqq *", "month", 6, "a month from 1 to 12 or jan to dec", "'qqq'", None),
        ("0 0 mon * *", "day of month", 4, "a day from 1 to 31, L or LW", "'mon'",
         "the day of the week is the last field."),
        ("0 0 jan * *", "day of month", 4, "a day from 1 to 31, L or LW", "'jan'", "the month is the last field but one."),
        ("0 0 ? * mon", "day of month", 4, "a day from 1 to 31, L or LW", "'?'", "write '*'."),
        ("0 0 15W * *", "day of month", 4, "a day from 1 to 31, L or LW", "'15w'", None),
        ("0 0 L/2 * *", "day of month", 4, "a day from 1 to 31, L or LW", "'l'", None),
        ("0 0 * * fri#6", "day of week", 12, "which one of the month, from 1 to 5,", "'6'", None),
        ("0 0 * * fri#", "day of week", 12, "which one of the month, from 1 to 5,", "nothing", None),
        ("0 0 * * x#1", "day of week", 8, DAY_OF_WEEK, "'x'", None),
        ("0 0 * * 1-5L", "day of week", 8, DAY_OF_WEEK, "'1-5'", None),
        ("0 0 * * L", "day of week", 8, DAY_OF_WEEK, "nothing", None),
        ("0 0 30 2 *", "day of month", 4, "a day that its months have, up to 29,", "'30'",
         "this line would never be due."),
        ("0 0 31 4,6,9,11 *", "day of month", 4, "a day that its months have, up to 30,", "'31'",
         "this line would never be due."),
        ("0 0 */31 * 1L", None, 0, "a line that is due at some time", "one that never is", None),
        ("", None, 0, COUNT, "0", None),
        ("0 3 * *", None, 7, COUNT, "4", None),
        ("0 0 3 * * * 2026", None, 12, COUNT, "7", "leave the year out: a cron line has none."),
        ("0 0 3 * * * 2026 x", None, 12, COUNT, "8", None),
        ("daily", None, 5, COUNT, "1", "write '@daily'."),
        ("x", None, 1, COUNT, "1", None),
        ("@dayly", None, 0, ALIASES, "'@dayly'", "write '@daily'."),
        (" @", None, 1, ALIASES, "'@'", None),
        ("@reboot", None, 0, ALIASES, "'@reboot'",
         "do what is due at each start where things start: in init() of a server, say."),
        ("@every 5m", None, 0, ALIASES, "'@every 5m'", "use every(), with the interval in seconds."),
    ],
)  # fmt: skip
def test_malformed_line_is_refused_with_its_place(
    line: str, field: str | None, position: int, expected: str, got: str, fix: str | None
) -> None:
    with pytest.raises(CronError) as caught:
        Cron(line)
    where = f"position {position} of {line!r}" + (f", its {field}" if field else "")
    assert str(caught.value) == f"Cron(line): expected {expected} at {where}, got {got}" + (
        f"\nFix: {fix}" if fix else ""
    )
    assert (caught.value.line, caught.value.field, caught.value.position) == (line, field, position)


@pytest.mark.parametrize(("line", "got"), [(5, "5"), (None, "None"), ("*" * 1001, "'" + "*" * 198 + "…")])
def test_line_that_is_no_text_or_absurdly_long_is_refused(line: Any, got: str) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        Cron(line)
    assert str(caught.value) == f"Cron(line): expected a cron line, as text of at most 1000 characters, got {got}"


PLACE = "Cron(tz): expected the name of a time zone, 'Europe/Berlin' say, got "


@pytest.mark.parametrize(
    ("tz", "text"),
    [
        ("Europe/Berln", "'Europe/Berln'\nFix: write 'Europe/Berlin'."),
        ("berlin", "'berlin'\nFix: write 'Europe/Berlin'."),
        ("new york", "'new york'\nFix: write 'America/New_York'."),
        ("Europe", "'Europe'\nFix: name a place in it: 'Europe/Amsterdam', say."),
        ("PDT", "'PDT'\nFix: name a place: several zones share an abbreviation, and it changes twice a year."),
        ("", "''"),
        ("xqxqxqxq", "'xqxqxqxq'"),
        ("/etc/passwd", "'/etc/passwd'"),
        ("../UTC", "'../UTC'\nFix: write 'UTC'."),
        ("\0", r"'\x00'"),
        (2, "2\nFix: write a name: what is a fixed time from UTC knows no summer."),
        (UTC, "datetime.timezone.utc\nFix: write 'UTC'."),
    ],
)
def test_unknown_zone_is_refused_with_the_nearest_one(tz: Any, text: str) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        Cron("@daily", tz)
    assert str(caught.value) == PLACE + text
