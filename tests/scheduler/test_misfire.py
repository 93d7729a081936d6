# SPDX-License-Identifier: MIT
"""What is run and what is missed of the due times that have come."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import pytest

from stanchion.scheduler._misfire import Missed, Taken, take
from stanchion.scheduler._triggers import After, At, Cron, Every

MINUTES = Every(60).begun(0.0, 0.0)
MIDNIGHT = datetime(2026, 11, 23, tzinfo=UTC).timestamp()


def one(reason: str, due: float) -> Missed:
    return Missed(reason, due, due, 1)


def test_nothing_is_taken_before_it_is_due() -> None:
    assert take(MINUTES, 60.0, 119.9, grace=None, coalesce="latest") == Taken((), (), 60.0, 120.0)


@pytest.mark.parametrize("coalesce", ["latest", "earliest", "all"])
def test_one_due_time_is_run(coalesce: Any) -> None:
    assert take(MINUTES, 60.0, 120.5, grace=None, coalesce=coalesce) == Taken((120.0,), (), 120.0, 180.0)
    assert take(MINUTES, 60.0, 120.5, grace=1.0, coalesce=coalesce) == Taken((120.0,), (), 120.0, 180.0)


@pytest.mark.parametrize(
    ("coalesce", "run", "missed"),
    [
        ("latest", (180.0,), (one("coalesced", 60.0), one("coalesced", 120.0))),
        ("earliest", (60.0,), (one("coalesced", 120.0), one("coalesced", 180.0))),
        ("all", (60.0, 120.0, 180.0), ()),
    ],
)
def test_several_due_times_are_run_as_coalesce_says(
    coalesce: Any, run: tuple[float, ...], missed: tuple[Missed, ...]
) -> None:
    assert take(MINUTES, 0.0, 200.0, grace=None, coalesce=coalesce) == Taken(run, missed, 180.0, 240.0)


def test_due_time_beyond_its_grace_is_missed() -> None:
    assert take(MINUTES, 0.0, 71.0, grace=10.0, coalesce="latest") == Taken((), (one("late", 60.0),), 60.0, 120.0)


def test_due_time_at_the_end_of_its_grace_is_run() -> None:
    assert take(MINUTES, 0.0, 70.0, grace=10.0, coalesce="latest") == Taken((60.0,), (), 60.0, 120.0)


@pytest.mark.parametrize(
    ("coalesce", "run", "missed"),
    [
        ("latest", (300.0,), (one("coalesced", 240.0),)),
        ("earliest", (240.0,), (one("coalesced", 300.0),)),
        ("all", (240.0, 300.0), ()),
    ],
)
def test_coalesce_is_about_those_in_their_grace(
    coalesce: Any, run: tuple[float, ...], missed: tuple[Missed, ...]
) -> None:
    late = tuple(one("late", due) for due in (60.0, 120.0, 180.0))
    assert take(MINUTES, 0.0, 330.0, grace=100.0, coalesce=coalesce) == Taken(run, late + missed, 300.0, 360.0)


def test_time_in_the_past_of_at_is_run_late_or_missed_by_its_grace() -> None:
    trigger = At(datetime(2026, 11, 23, tzinfo=UTC))
    begin = trigger.counts_from(MIDNIGHT + 100)
    assert take(trigger, begin, MIDNIGHT + 100, grace=None, coalesce="latest") == Taken((MIDNIGHT,), (), MIDNIGHT, None)
    late = (one("late", MIDNIGHT),)
    assert take(trigger, begin, MIDNIGHT + 100, grace=99.0, coalesce="latest") == Taken((), late, MIDNIGHT, None)


def test_schedule_that_was_run_once_has_no_due_time_left() -> None:
    trigger = After(5).begun(100.0, 0.0)
    assert take(trigger, -math.inf, 105.0, grace=None, coalesce="all") == Taken((105.0,), (), 105.0, None)
    assert take(trigger, 105.0, 200.0, grace=None, coalesce="all") == Taken((), (), 105.0, None)


def test_long_row_is_told_one_by_one_up_to_a_hundred_and_then_as_one() -> None:
    taken = take(MINUTES, 0.0, 60.0 * 604_800, grace=None, coalesce="latest")
    assert taken.run == (60.0 * 604_800,)
    assert len(taken.missed) == 101
    assert taken.missed[99] == one("coalesced", 6000.0)
    assert taken.missed[100] == Missed("coalesced", 6060.0, 60.0 * 604_799, 604_699)
    assert sum(missed.count for missed in taken.missed) == 604_799


def test_long_row_beyond_its_grace_is_told_the_same_way() -> None:
    taken = take(MINUTES, 0.0, 60.0 * 1000 + 30, grace=60.0 * 500, coalesce="earliest")
    assert taken.run == (60.0 * 501,)
    assert [missed.reason for missed in taken.missed] == ["late"] * 101 + ["coalesced"] * 101
    assert taken.missed[100] == Missed("late", 60.0 * 101, 60.0 * 500, 400)
    assert taken.missed[201] == Missed("coalesced", 60.0 * 602, 60.0 * 1000, 399)
    assert (taken.last, taken.next) == (60.0 * 1000, 60.0 * 1001)


def test_all_runs_a_thousand_of_one_look_and_tells_the_rest() -> None:
    taken = take(MINUTES, 0.0, 60.0 * 2000, grace=None, coalesce="all")
    assert (len(taken.run), taken.run[0], taken.run[-1]) == (1000, 60.0, 60_000.0)
    assert taken.missed[0] == one("coalesced", 60_060.0)
    assert sum(missed.count for missed in taken.missed) == 1000
    assert taken.last == 120_000.0


def test_cron_that_was_asleep_for_a_year_runs_its_latest() -> None:
    trigger = Cron("* * * * *")
    taken = take(trigger, MIDNIGHT - 31_536_000, MIDNIGHT + 5, grace=None, coalesce="latest")
    assert (taken.run, taken.last, taken.next) == ((MIDNIGHT,), MIDNIGHT, MIDNIGHT + 60)
    assert taken.missed[100] == Missed("coalesced", MIDNIGHT - 31_536_000 + 6060, MIDNIGHT - 60, 900)
