# SPDX-License-Identifier: MIT
"""Cron beside a reference that walks from minute to minute and looks at the clock on the wall."""

from __future__ import annotations

import calendar
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as some

from stanchion.errors import CronError
from stanchion.scheduler._misfire import take
from stanchion.scheduler._triggers import Cron, Every

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")

# Days on which clocks are set: an hour, half an hour, at midnight, a whole day; forward and back.
CHANGES = [
    ("Europe/Berlin", "2026-03-29"),
    ("Europe/Berlin", "2026-10-25"),
    ("America/New_York", "2026-03-08"),
    ("America/New_York", "2026-11-01"),
    ("Australia/Lord_Howe", "2026-04-05"),
    ("Australia/Lord_Howe", "2026-10-04"),
    ("Africa/Casablanca", "2026-02-15"),
    ("Africa/Casablanca", "2026-03-22"),
    ("America/Sao_Paulo", "2018-02-18"),
    ("America/Sao_Paulo", "2018-11-04"),
    ("Pacific/Apia", "2011-12-30"),
    ("Asia/Kathmandu", "2026-06-01"),
]


HOURS = 8 * 3600


def midnight(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp())


def moment_of(change: tuple[str, str]) -> tuple[str, int]:
    """Return the zone, and when its clocks are set on that day; midnight where they are not."""
    tz, day = change
    moments = range(midnight(day) - 86_400, midnight(day) + 86_400, 900)
    offsets = [datetime.fromtimestamp(moment, ZoneInfo(tz)).utcoffset() for moment in moments]
    at = [moment for moment, (before, after) in zip(moments[1:], pairwise(offsets), strict=True) if before != after]
    return tz, at[0] if at else midnight(day)


class Part(NamedTuple):
    """A field: as it is written, and what it means."""

    text: str
    values: frozenset[int]


def fields(low: int, high: int, names: tuple[str, ...] = ()) -> some.SearchStrategy[Part]:
    """Return strategies for a field whose values have those bounds."""

    def written(value: int) -> some.SearchStrategy[str]:
        numbers = [str(value), f"0{value}"]
        return some.sampled_from([*numbers, names[value - low], names[value - low].upper()] if names else numbers)

    @some.composite
    def item(draw: some.DrawFn) -> Part:
        first = draw(some.integers(low, high))
        last = draw(some.integers(first, high))
        step = draw(some.integers(1, high))
        begin, end = draw(written(first)), draw(written(last))
        return draw(
            some.sampled_from(
                [
                    Part("*", frozenset(range(low, high + 1))),
                    Part(f"*/{step}", frozenset(range(low, high + 1, step))),
                    Part(begin, frozenset([first])),
                    Part(f"{begin}-{end}", frozenset(range(first, last + 1))),
                    Part(f"{begin}-{end}/{step}", frozenset(range(first, last + 1, step))),
                    Part(f"{begin}/{step}", frozenset(range(first, high + 1, step))),
                ]
            )
        )

    lists = some.lists(item(), min_size=1, max_size=3)
    return lists.map(
        lambda parts: Part(",".join(part.text for part in parts), frozenset().union(*(part.values for part in parts)))
    )


class Line(NamedTuple):
    """A line in its parts."""

    minute: Part
    hour: Part
    day: Part
    month: Part
    weekday: Part

    def matches(self, wall: datetime) -> bool:
        """Whether a time on the wall, of a whole minute, is meant."""
        day, weekday = wall.day in self.day.values, wall.isoweekday() % 7 in self.weekday.values
        both = self.day.text.startswith("*") or self.weekday.text.startswith("*")
        by_day = (day and weekday) if both else (day or weekday)
        by_time = wall.minute in self.minute.values and wall.hour in self.hour.values
        return by_day and by_time and wall.month in self.month.values

    @property
    def star(self) -> bool:
        """Whether it follows the clock on the wall."""
        return self.minute.text.startswith("*") or self.hour.text.startswith("*")

    def __str__(self) -> str:
        return " ".join(part.text for part in self)


# Of weekdays, 7 is Sunday once more; what a step makes of that is told by examples, in tests/scheduler.
WEEKDAYS = some.sampled_from(
    [Part("*", frozenset(range(7))), *(Part(name, frozenset([number])) for number, name in enumerate(DAYS))]
)
EVERY_DAY = some.just(Part("*", frozenset(range(1, 32))))
EVERY_MONTH = some.just(Part("*", frozenset(range(1, 13))))
LINES = some.builds(
    Line, fields(0, 59), fields(0, 23), EVERY_DAY | fields(1, 31), EVERY_MONTH | fields(1, 12, MONTHS), WEEKDAYS
)


def walked(line: Line, zone: ZoneInfo, begin: int, end: int) -> list[int]:
    """Return the due times from ``begin`` to ``end``, in the plainest way."""
    moments = range(begin, end, 60)
    walls = [datetime.fromtimestamp(moment, zone).replace(tzinfo=None) for moment in moments]
    found: set[int] = set()
    seen: set[datetime] = set()
    for moment, wall in zip(moments, walls, strict=True):
        if line.matches(wall) and (line.star or wall not in seen):
            found.add(moment)
        seen.add(wall)
    if not line.star:
        for (before, _), (after, moment) in pairwise(zip(walls, moments, strict=True)):
            left_out = int((after - before) / timedelta(minutes=1)) - 1
            if any(line.matches(before + timedelta(minutes=n)) for n in range(1, left_out + 1)):
                found.add(moment)
    return sorted(found)


def asked(trigger: Cron, begin: int, end: int) -> list[float]:
    found: list[float] = []
    due = trigger.next_after(begin - 1)
    while due is not None and due < end:
        found.append(due)
        due = trigger.next_after(due)
    return found


@given(line=LINES, change=some.sampled_from(CHANGES).map(moment_of))
def test_line_is_due_when_the_reference_says_where_clocks_are_set(line: Line, change: tuple[str, int]) -> None:
    tz, moment = change
    # Gaps and repeats are in the middle: the reference sees all of them.
    begin, end = moment - HOURS, moment + HOURS
    try:
        trigger = Cron(str(line), tz)
    except CronError:
        assert never(line)
        return
    assert asked(trigger, begin, end) == walked(line, ZoneInfo(tz), begin, end)


@given(
    line=LINES,
    change=some.sampled_from(CHANGES).map(moment_of),
    minute=some.integers(-90, 90),
    part=some.floats(0, 59.5),
)
def test_line_gives_the_same_due_times_wherever_it_is_asked_from(
    line: Line, change: tuple[str, int], minute: int, part: float
) -> None:
    tz, middle = change
    begin, end = middle - HOURS, middle + HOURS
    try:
        trigger = Cron(str(line), tz)
    except CronError:
        assert never(line)
        return
    moment = middle + 60 * minute + part
    later = [due for due in walked(line, ZoneInfo(tz), begin, end) if due > moment]
    due = trigger.next_after(moment)
    assert due is None or due > moment
    assert (due if due is not None and due < end else None) == (later[0] if later else None)


def never(line: Line) -> bool:
    """Whether no day of 28 years, after which the calendar begins anew, is meant."""
    first = datetime(2000, 1, 1, min(line.hour.values), min(line.minute.values), tzinfo=UTC)
    return not any(line.matches(first + timedelta(days=n)) for n in range(28 * 366))


@given(LINES)
@example(Line(*(Part(text, frozenset(values)) for text, values in [
    ("0", {0}), ("0", {0}), ("29", {29}), ("2", {2}), ("*", set(range(7)))])))  # fmt: skip
def test_line_is_refused_exactly_when_it_is_never_due(line: Line) -> None:
    try:
        Cron(str(line))
    except CronError:
        assert never(line)
    else:
        assert not never(line)


@given(some.text(alphabet="0123456789*/-,#?@lLwW monjanfrisu\t", max_size=30))
def test_line_of_any_text_is_due_or_refused_with_a_place_in_it(text: str) -> None:
    refused = None
    try:
        assert Cron(text).next_after(0) is not None
    except CronError as error:
        refused = error
    assert refused is None or (refused.line == text and 0 <= refused.position <= len(text))


@given(last=some.booleans(), which=some.integers(1, 5), day=some.integers(0, 7), year=some.integers(2000, 2090))
def test_one_weekday_of_a_month_is_the_calendars(last: bool, which: int, day: int, year: int) -> None:
    python = (day - 1) % 7
    trigger = Cron(f"0 0 * * {day}L" if last else f"0 0 * * {day}#{which}")
    begin = midnight(f"{year}-01-01")
    expected: list[int] = []
    for month in range(1, 13):
        days = [week[python] for week in calendar.monthcalendar(year, month) if week[python]]
        expected += [midnight(f"{year}-{month:02}-{d:02}") for d in (days[-1:] if last else days[which - 1 : which])]
    assert asked(trigger, begin, midnight(f"{year + 1}-01-01")) == expected


@given(
    interval=some.floats(0.001, 1e5),
    start=some.floats(0, 1e7),
    waits=some.lists(some.floats(0, 1e6), max_size=6),
    grace=some.none() | some.floats(0.001, 1e6),
    coalesce=some.sampled_from(["latest", "earliest", "all"]),
)
def test_each_due_time_is_run_or_missed_once(
    interval: float, start: float, waits: list[float], grace: float | None, coalesce: str
) -> None:
    trigger = Every(interval).begun(start, 0.0)
    last = now = start
    counted = 0
    for wait in waits:
        now += wait
        taken = take(trigger, last, now, grace=grace, coalesce=coalesce)  # type: ignore[arg-type]
        counted += len(taken.run) + sum(missed.count for missed in taken.missed)
        assert all(last < due <= now and (grace is None or now - due <= grace * 1.001 + 1e-6) for due in taken.run)
        assert all(last < missed.due <= missed.last <= now for missed in taken.missed)
        assert taken.next is not None
        assert taken.last <= now < taken.next
        last = taken.last
    assert counted == trigger.due_between(start, now, 0).count


@pytest.mark.parametrize(
    ("minute", "day", "due"),
    [
        (Part("30", frozenset([30])), "2026-03-29", [3600]),
        (Part("30", frozenset([30])), "2026-10-25", [1800]),
        (Part("*/30", frozenset([0, 30])), "2026-03-29", []),
        (Part("*/30", frozenset([0, 30])), "2026-10-25", [0, 1800, 3600, 5400]),
    ],
)
def test_reference_knows_gaps_and_repeats(minute: Part, day: str, due: list[int]) -> None:
    every = Part("*", frozenset(range(32)))
    line = Line(minute, Part("2", frozenset([2])), every, every, every)
    begin = midnight(day)
    assert walked(line, ZoneInfo("Europe/Berlin"), begin, begin + 86_400) == [begin + seconds for seconds in due]


@pytest.mark.parametrize("name", MONTHS)
def test_months_have_their_names(name: str) -> None:
    due = Cron(f"0 0 1 {name} *").next_after(midnight("2026-12-31"))
    assert due is not None
    assert datetime.fromtimestamp(due, UTC).month == MONTHS.index(name) + 1
