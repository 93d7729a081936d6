# SPDX-License-Identifier: MIT
"""When the runs of schedules begin, and what a schedule says of itself."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

import stanchion as st
from stanchion.errors import InvalidOptionError, ScheduleIdTakenError, ScheduleNotFoundError
from stanchion.scheduler import After, At, Cron, Every, ScheduleInfo, SchedulerManager, SendMessage, StartTask
from stanchion.testing import VirtualTimeLoop
from tests.scheduler.kit import START, TICK, Told, ledger, since, times, virtual_node


@pytest.fixture
def loop_factory():
    return VirtualTimeLoop


def clock_time(seconds: float) -> datetime:
    return datetime.fromtimestamp(START + seconds, UTC)


async def test_at_runs_once_at_its_time_and_is_over() -> None:
    async with virtual_node() as node:
        await ledger()
        schedule = await node.scheduler.at(clock_time(90), TICK)
        assert since((await schedule.info()).next_run) == 90
        await asyncio.sleep(200)
        assert times() == [90]
        assert await node.scheduler.list() == []


async def test_at_in_the_past_runs_at_once() -> None:
    async with virtual_node() as node:
        await ledger()
        await node.scheduler.at(clock_time(-3600), TICK)
        await asyncio.sleep(1)
        assert times() == [0]


async def test_after_runs_once_after_its_delay() -> None:
    async with virtual_node() as node:
        await ledger()
        await node.scheduler.after(timedelta(minutes=1), TICK)
        await node.scheduler.after(0, TICK)
        await asyncio.sleep(200)
        assert times() == [0, 60]
        assert await node.scheduler.list() == []


async def test_every_runs_at_its_interval_without_drift() -> None:
    async with virtual_node() as node:
        await ledger(seconds=0.3)
        await asyncio.sleep(0.25)
        await node.scheduler.every(10, TICK)
        await asyncio.sleep(1001)
        assert times() == [n * 10 + 0.25 for n in range(1, 101)]


async def test_aligned_runs_at_whole_multiples_of_its_interval() -> None:
    async with virtual_node() as node:
        await ledger()
        await asyncio.sleep(7)
        await node.scheduler.every(60, TICK, align=True)
        await asyncio.sleep(180)
        assert times() == [60, 120, 180]


async def test_cron_runs_by_the_calendar_of_its_zone() -> None:
    async with virtual_node(SchedulerManager(clock_check=None)) as node:
        await ledger()
        # 08:00 UTC is 09:00 in Berlin.
        await node.scheduler.cron("30 9 * * *", TICK, tz="Europe/Berlin")
        await asyncio.sleep(2 * 86400)
        assert times() == [1800, 1800 + 86400]


async def test_jitter_puts_each_run_off_and_the_schedule_not_at_all() -> None:
    async with virtual_node() as node:
        await ledger()
        schedule = await node.scheduler.every(10, TICK, jitter=5)
        await asyncio.sleep(1002)
        late = [time % 10 for time in times()]
        assert len(late) == 100
        assert all(0 <= one < 5 for one in late)
        assert len(set(late)) == 100
        assert since((await schedule.info()).next_run) == 1010


async def test_jitter_longer_than_the_pauses_of_a_cron_line_loses_none_and_keeps_their_order() -> None:
    async with virtual_node() as node:
        await ledger()
        told = Told(node)
        schedule = await node.scheduler.cron("* * * * *", TICK, jitter=150, coalesce="all", max_running=None)
        await asyncio.sleep(3600)
        await schedule.cancel()
        got = times()
        assert 57 <= len(got) <= 60
        assert got == sorted(got)
        assert told.missed() == []


async def test_schedule_tells_what_it_is_and_what_became_of_its_runs() -> None:
    async with virtual_node() as node:
        await ledger()
        schedule = await node.scheduler.every(60, TICK, id="minute")
        assert await schedule.info() == ScheduleInfo(
            id="minute",
            trigger="every 60 s",
            job="SendMessage('ledger', 'tick')",
            next_run=START + 60,
            paused=False,
            persistent=False,
            owner=None,
            runs=0,
            missed=0,
            running=0,
            last_run=None,
            last_outcome=None,
            last_error=None,
        )
        await asyncio.sleep(130)
        info = (await node.scheduler.list())[0]
        assert (info.runs, info.running, since(info.last_run), info.last_outcome) == (2, 0, 120, "confirmed")
        assert repr(schedule) == "<schedule 'minute'>"


async def test_next_run_times_are_in_the_zone_of_the_trigger() -> None:
    async with virtual_node() as node:
        berlin = await node.scheduler.cron("30 9 * * *", TICK, tz="Europe/Berlin")
        zone = ZoneInfo("Europe/Berlin")
        assert await berlin.next_run_times(2) == [
            datetime(2027, 1, 15, 9, 30, tzinfo=zone),
            datetime(2027, 1, 16, 9, 30, tzinfo=zone),
        ]
        interval = await node.scheduler.every(60, TICK)
        await asyncio.sleep(30)
        assert await interval.next_run_times() == [datetime(2027, 1, 15, 8, 1, tzinfo=UTC)]
        once = await node.scheduler.after(60, TICK)
        assert await once.next_run_times(5) == [datetime(2027, 1, 15, 8, 1, 30, tzinfo=UTC)]
        assert await once.next_run_times(0) == []
        await once.pause()
        assert await once.next_run_times(5) == []


async def test_next_run_times_of_a_wrong_number_are_refused() -> None:
    async with virtual_node() as node:
        schedule = await node.scheduler.every(60, TICK)
        with pytest.raises(InvalidOptionError) as caught:
            await schedule.next_run_times(-1)
        assert str(caught.value) == "SchedulerManager.next_run_times(n): expected a whole number >= 0, got -1"


async def test_id_that_is_taken_is_refused_until_its_schedule_is_over() -> None:
    async with virtual_node() as node:
        await ledger()
        first = await node.scheduler.after(5, TICK, id="once")
        with pytest.raises(ScheduleIdTakenError) as caught:
            await node.scheduler.every(5, TICK, id="once")
        assert str(caught.value) == (
            "schedule 'once': expected a free id, got one held by <schedule 'once': after 5 s>\n"
            "Fix: choose another id, cancel that schedule first, or change it with reschedule()."
        )
        await asyncio.sleep(6)
        with pytest.raises(ScheduleNotFoundError) as lost:
            await first.info()
        assert str(lost.value) == "info() of schedule 'once': expected one that is there, got none"
        await node.scheduler.every(5, TICK, id="once")


@pytest.mark.parametrize("verb", ["pause", "resume", "trigger", "info", "next_run_times"])
async def test_verb_of_an_unknown_schedule_says_so(verb: str) -> None:
    async with virtual_node() as node:
        with pytest.raises(ScheduleNotFoundError) as caught:
            await getattr(node.scheduler, verb)("nobody")
        assert str(caught.value) == f"{verb}() of schedule 'nobody': expected one that is there, got none"
        assert caught.value.id == "nobody"


async def test_cancelled_schedule_runs_no_more_and_cannot_be_cancelled_again() -> None:
    async with virtual_node() as node:
        await ledger()
        schedule = await node.scheduler.every(10, TICK)
        await asyncio.sleep(25)
        assert await schedule.cancel() is True
        assert await schedule.cancel() is False
        await asyncio.sleep(100)
        assert times() == [10, 20]


async def test_rescheduled_schedule_counts_from_now_and_keeps_its_counts() -> None:
    async with virtual_node() as node:
        await ledger()
        schedule = await node.scheduler.every(10, TICK)
        await asyncio.sleep(25)
        await schedule.reschedule(Every(100))
        assert since((await schedule.info()).next_run) == 125
        await asyncio.sleep(105)
        await schedule.reschedule(After(3))
        await asyncio.sleep(5)
        assert times() == [10, 20, 125, 133]
        assert await node.scheduler.list() == []


async def test_rescheduled_to_the_calendar_it_goes_by_the_calendar() -> None:
    async with virtual_node() as node:
        await ledger()
        schedule = await node.scheduler.every(10, TICK)
        await schedule.reschedule(Cron("@hourly"), jitter=60)
        await asyncio.sleep(2 * 3600 + 60)
        got = times()
        assert [time // 3600 for time in got] == [1, 2]
        assert all(0 <= time % 3600 < 60 for time in got)
        await schedule.reschedule(At(clock_time(0)))
        await asyncio.sleep(1)
        assert len(times()) == 3


async def test_one_that_never_comes_waits_to_be_triggered() -> None:
    async with virtual_node() as node:
        await ledger()
        schedule = await node.scheduler.after(1e300, TICK)
        assert since((await schedule.info()).next_run) > 1e9
        await schedule.reschedule(Every(60))
        assert await schedule.trigger() is True
        await asyncio.sleep(1)
        assert times() == [0]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"id": ""}, "SchedulerManager.every(id): expected text of 1 to 200 characters, or None, got ''"),
        ({"max_running": 0}, "SchedulerManager.every(max_running): expected a whole number >= 1, got 0"),
        (
            {"overrun": "wiat"},
            "SchedulerManager.every(overrun): expected one of 'skip', 'wait', 'cancel', got 'wiat'\nFix: write 'wait'.",
        ),
        (
            {"coalesce": "last"},
            (
                "SchedulerManager.every(coalesce): expected one of 'latest', 'earliest', 'all', got 'last'\n"
                "Fix: write 'latest'."
            ),
        ),
        (
            {"jitter": 70},
            (
                "SchedulerManager.every(jitter): expected seconds from 0 to the interval, 60, got 70\n"
                "Fix: choose a longer interval, or less jitter."
            ),
        ),
        ({"persistent": 1}, "SchedulerManager.every(persistent): expected an instance of bool, got 1"),
    ],
)
async def test_wrong_option_is_refused_and_nothing_added(options: dict[str, object], text: str) -> None:
    async with virtual_node() as node:
        with pytest.raises(InvalidOptionError) as caught:
            await node.scheduler.every(60, TICK, **options)  # type: ignore[arg-type]
        assert str(caught.value) == text
        assert await node.scheduler.list() == []


async def test_wrong_misfire_grace_is_refused() -> None:
    async with virtual_node() as node:
        with pytest.raises(InvalidOptionError, match=r"SchedulerManager\.after\(misfire_grace\): expected seconds > 0"):
            await node.scheduler.after(60, TICK, misfire_grace=0)


async def test_time_without_a_zone_is_refused_with_the_fix() -> None:
    async with virtual_node() as node:
        with pytest.raises(InvalidOptionError) as caught:
            await node.scheduler.at(datetime(2027, 1, 16, 9), TICK)  # noqa: DTZ001 - that is the mistake
        assert str(caught.value).startswith(
            "At(when): expected a datetime with a zone, got one without, 2027-01-16 09:00:00\nFix: say in which zone"
        )


@pytest.mark.parametrize(
    ("job", "text"),
    [
        (
            print,
            (
                "SchedulerManager.after(job): expected a SendMessage or a StartTask, got <built-in function print>\n"
                "Fix: write StartTask(supervisor, function), which needs a TaskSupervisor."
            ),
        ),
        ("tick", "SchedulerManager.after(job): expected a SendMessage or a StartTask, got 'tick'"),
    ],
)
async def test_what_is_no_job_is_refused(job: object, text: str) -> None:
    async with virtual_node() as node:
        with pytest.raises(InvalidOptionError) as caught:
            await node.scheduler.after(1, job)  # type: ignore[arg-type]
        assert str(caught.value) == text


@pytest.mark.parametrize(
    ("trigger", "text"),
    [
        (
            "0 3 * * *",
            (
                "SchedulerManager.reschedule(trigger): expected a trigger: At(when), After(delay), Every(interval) or "
                "Cron(line), got '0 3 * * *'\nFix: write Cron('0 3 * * *')."
            ),
        ),
        (
            60,
            (
                "SchedulerManager.reschedule(trigger): expected a trigger: At(when), After(delay), Every(interval) or "
                "Cron(line), got 60"
            ),
        ),
    ],
)
async def test_what_is_no_trigger_is_refused(trigger: object, text: str) -> None:
    async with virtual_node() as node:
        schedule = await node.scheduler.after(1, TICK)
        with pytest.raises(InvalidOptionError) as caught:
            await schedule.reschedule(trigger)  # type: ignore[arg-type]
        assert str(caught.value) == text


async def test_job_refuses_wrong_options() -> None:
    with pytest.raises(InvalidOptionError) as caught:
        SendMessage("ledger", "tick", ack="stored")
    assert str(caught.value) == "SendMessage(ack): expected one of 'enqueued', 'processed', got 'stored'"
    with pytest.raises(InvalidOptionError) as caught:
        SendMessage("ledger", "tick", on_error="raise")  # type: ignore[arg-type]
    assert str(caught.value) == "SendMessage(on_error): expected one of 'log', 'dead_letter', 'ignore', got 'raise'"
    with pytest.raises(InvalidOptionError) as caught:
        SendMessage("ledger", "tick", breaker="")
    assert str(caught.value) == (
        "SendMessage(breaker): expected a CircuitBreaker, the name of one of the node's, or None, got ''"
    )
    with pytest.raises(InvalidOptionError, match=r"StartTask\(function\): expected an async function"):
        StartTask("tasks", print)  # type: ignore[arg-type]
    assert repr(StartTask("tasks", asyncio.sleep, 1)) == "StartTask('tasks', sleep)"
    assert SendMessage("ledger", "tick", ack=st.Ack.ENQUEUED, breaker="mail").breaker == "mail"


@pytest.mark.parametrize("verb", ["pause", "resume", "trigger", "cancel", "info", "next_run_times"])
async def test_handle_in_place_of_an_id_is_refused(verb: str) -> None:
    async with virtual_node() as node:
        schedule = await node.scheduler.every(10, TICK, id="report")
        with pytest.raises(InvalidOptionError) as caught:
            await getattr(node.scheduler, verb)(schedule)
        assert str(caught.value) == (
            f"SchedulerManager.{verb}(id): expected the id of a schedule, as text, got <schedule 'report'>\n"
            f"Fix: write schedule.{verb}(), or pass schedule.id."
        )


@pytest.mark.parametrize("id", [None, 5, ["report"]])
async def test_what_is_no_text_is_refused_as_an_id(id: object) -> None:
    async with virtual_node() as node:
        with pytest.raises(InvalidOptionError) as caught:
            await node.scheduler.cancel(id)  # type: ignore[arg-type]
        assert str(caught.value) == f"SchedulerManager.cancel(id): expected the id of a schedule, as text, got {id!r}"


async def test_next_run_times_end_where_the_calendar_does() -> None:
    async with virtual_node() as node:
        schedule = await node.scheduler.every(2.53e10 - 1e9, TICK)
        found = await schedule.next_run_times(20)
        assert (len(found), found[-1].year) == (10, 9727)
        beyond = await node.scheduler.at(datetime.max.replace(tzinfo=ZoneInfo("America/New_York")), TICK)
        assert await beyond.next_run_times() == []


WRONG = [
    (
        {"coalesce": "Latest"},
        "coalesce): expected one of 'latest', 'earliest', 'all', got 'Latest'\nFix: write 'latest'.",
    ),
    ({"overrun": "cance"}, "overrun): expected one of 'skip', 'wait', 'cancel', got 'cance'\nFix: write 'cancel'."),
    (
        {"misfire_grace": 0},
        (
            "misfire_grace): expected seconds > 0, or None for no limit, got 0\n"
            "Fix: give it a second, say: no run begins in the very moment in which it is due."
        ),
    ),
    ({"misfire_grace": -1}, "misfire_grace): expected seconds >= 0 as a finite number, or a timedelta, got -1"),
    (
        {"jitter": 61},
        "jitter): expected seconds from 0 to the interval, 60, got 61\nFix: choose a longer interval, or less jitter.",
    ),
]


@pytest.mark.parametrize(("options", "text"), WRONG)
async def test_wrong_option_is_refused(options: dict[str, Any], text: str) -> None:
    async with virtual_node() as node:
        with pytest.raises(InvalidOptionError) as caught:
            await node.scheduler.every(60, TICK, **options)
        assert str(caught.value) == f"SchedulerManager.every({text}"


async def test_jitter_of_an_interval_may_be_as_long_as_it_and_of_cron_longer() -> None:
    async with virtual_node() as node:
        await node.scheduler.every(60, TICK, jitter=60, misfire_grace=0.5)
        await node.scheduler.cron("@hourly", TICK, jitter=7200)
