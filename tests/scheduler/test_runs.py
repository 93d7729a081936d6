# SPDX-License-Identifier: MIT
"""What runs do, and what becomes of them: outcomes, limits, and more runs than may be under way."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

import stanchion as st
from stanchion.errors import InvalidOptionError
from stanchion.scheduler import SendMessage, StartTask
from stanchion.testing import VirtualTimeLoop
from tests.scheduler.kit import START, TICK, Told, ledger, since, times, virtual_node


@pytest.fixture
def loop_factory():
    return VirtualTimeLoop


@pytest.fixture
def notes() -> list[Any]:
    return []


class Broken(st.Via):
    """An address that cannot be looked up."""

    def whereis(self) -> None:
        raise ValueError("no such place")

    def register(self, pid: st.Pid) -> None: ...

    def unregister(self, pid: st.Pid) -> None: ...


async def outcome(node: st.Node, id: str) -> tuple[str | None, str | None]:
    info = await node.scheduler.info(id)
    return info.last_outcome, info.last_error


# --- messages ------------------------------------------------------------------------------------


async def test_receiver_reads_which_schedule_sent_and_for_which_due_time() -> None:
    seen: list[Any] = []

    class Reader(st.GenServer):
        def handle_cast(self, message: object) -> None:
            info = st.message_info()
            assert info is not None
            seen.append(info.metadata)

    async with virtual_node() as node:
        await st.start(Reader, name="reader")
        await node.scheduler.after(10, SendMessage("reader", "tick"), id="once")
        await asyncio.sleep(11)
        assert seen == [{"schedule": "once", "due": START + 10}]


async def test_message_that_is_refused_is_told_as_rejected() -> None:
    async with virtual_node() as node:
        await ledger()
        told = Told(node)
        await node.scheduler.every(10, SendMessage("ledger", "refuse"), id="refused")
        await asyncio.sleep(11)
        assert await outcome(node, "refused") == ("rejected", "refused: no")
        assert told.ends() == [("rejected", "refused: no")]


async def test_message_to_nobody_is_retried_and_then_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with virtual_node() as node:
        await node.scheduler.every(60, TICK, id="lost")
        await asyncio.sleep(70)
        assert await outcome(node, "lost") == ("rejected", "noproc")
    assert "was not confirmed: 'tick'" in caplog.text


async def test_message_whose_receiver_is_restarted_meanwhile_is_delivered() -> None:
    async with virtual_node() as node:
        await node.scheduler.every(60, SendMessage("ledger", "tick", retries=10), id="kept")
        await asyncio.sleep(60.5)
        await ledger()
        await asyncio.sleep(20)
        assert await outcome(node, "kept") == ("confirmed", None)


@pytest.mark.parametrize("address", ["name", "pid"])
async def test_message_to_one_that_is_gone_is_a_dead_letter_where_there_is_a_queue(address: str) -> None:
    async with virtual_node(dead_letters="memory:") as node:
        pid = await ledger()
        await node.scheduler.every(60, SendMessage("ledger" if address == "name" else pid, "tick"), id="lost")
        await st.stop(pid)
        await asyncio.sleep(70)
        letters = (await node.dead_letters.list()).entries
        assert [(letter.reason, letter.message()) for letter in letters] == [("noproc", "tick")]
        assert letters[0].metadata["schedule"] == "lost"


async def test_message_that_is_to_be_ignored_is_no_dead_letter() -> None:
    async with virtual_node(dead_letters="memory:") as node:
        await node.scheduler.every(60, SendMessage("ledger", "tick", on_error="ignore"), id="lost")
        await asyncio.sleep(70)
        assert (await node.dead_letters.list()).entries == ()
        assert await outcome(node, "lost") == ("rejected", "noproc")


async def test_program_that_has_no_queue_of_dead_letters_need_not_load_its_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "stanchion.dead_letters")
    async with virtual_node() as node:
        await node.scheduler.every(60, TICK, id="lost")
        await asyncio.sleep(70)
        assert await outcome(node, "lost") == ("rejected", "noproc")
        assert "stanchion.dead_letters" not in sys.modules


async def test_dead_letters_on_a_node_without_a_queue_are_refused() -> None:
    async with virtual_node() as node:
        with pytest.raises(InvalidOptionError) as caught:
            await node.scheduler.every(60, SendMessage("ledger", "tick", on_error="dead_letter"))
        assert str(caught.value) == (
            "SendMessage(on_error): expected a node with a dead-letter queue for on_error='dead_letter', "
            f"got {node!r}, which has none\nFix: make the node with Node(dead_letters='sqlite:///letters.db')."
        )


async def test_message_that_cannot_be_sent_fails_that_run_and_the_schedule_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with virtual_node() as node:
        await node.scheduler.every(60, SendMessage(Broken(), "tick"), id="wrong")
        await asyncio.sleep(130)
        info = await node.scheduler.info("wrong")
        assert (info.runs, info.last_outcome, info.last_error) == (2, "failed", "ValueError('no such place')")
    assert "a run of schedule 'wrong' failed: ValueError('no such place')" in caplog.messages


# --- functions -----------------------------------------------------------------------------------


async def test_function_runs_as_a_task_of_its_supervisor(notes: list[Any]) -> None:
    async def work(what: str, number: int) -> None:
        notes.append((what, number, since(node.clock.time())))

    async with virtual_node() as node:
        await st.start(st.TaskSupervisor, name="tasks")
        await node.scheduler.every(10, StartTask("tasks", work, "sum", 7), id="work")
        await asyncio.sleep(21)
        assert notes == [("sum", 7, 10), ("sum", 7, 20)]
        assert await outcome(node, "work") == ("confirmed", None)


async def test_function_that_raises_fails_that_run(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        raise ValueError("no")

    async with virtual_node() as node:
        await st.start(st.TaskSupervisor, name="tasks")
        told = Told(node)
        await node.scheduler.every(10, StartTask("tasks", work), id="work")
        await asyncio.sleep(11)
        assert await outcome(node, "work") == ("failed", "ValueError('no')")
        assert told.ends() == [("failed", "ValueError('no')")]
    assert "a run of schedule 'work' failed: ValueError('no')" in caplog.messages


async def test_function_that_never_ends_is_stopped_at_its_limit(notes: list[Any]) -> None:
    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            notes.append(round(since(node.clock.time())))

    async with virtual_node() as node:
        await st.start(st.TaskSupervisor, name="tasks")
        await node.scheduler.after(10, StartTask("tasks", work), id="policy")
        schedule = await node.scheduler.every(1000, StartTask("tasks", work, timeout=20), id="own")
        await asyncio.sleep(320)
        assert notes == [310]
        await asyncio.sleep(710)
        assert notes == [310, 1020]
        assert await outcome(node, "own") == ("failed", "it did not end within 20 s, and was stopped")
        await schedule.cancel()
        assert node.statistics().processes == 2


async def test_function_that_ends_when_it_is_told_to_stop_has_done_its_work() -> None:
    async def work() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return

    async with virtual_node() as node:
        await st.start(st.TaskSupervisor, name="tasks")
        await node.scheduler.every(10, StartTask("tasks", work, timeout=5), id="work")
        await asyncio.sleep(16)
        assert (await outcome(node, "work"))[0] in ("confirmed", "failed")


async def test_supervisor_that_is_gone_fails_the_run() -> None:
    async with virtual_node() as node:
        await node.scheduler.every(10, StartTask("tasks", asyncio.sleep, 1), id="work")
        await asyncio.sleep(11)
        info = await node.scheduler.info("work")
        assert info.last_outcome == "failed"
        assert info.last_error is not None
        assert "noproc" in info.last_error


async def test_supervisor_that_has_as_many_children_as_it_may_fails_the_run() -> None:
    async with virtual_node() as node:
        tasks = await st.start(st.TaskSupervisor, 1)
        await node.scheduler.every(10, StartTask(tasks, asyncio.sleep, 15), id="work", max_running=None)
        await asyncio.sleep(21)
        info = await node.scheduler.info("work")
        assert (info.runs, info.running, info.last_outcome) == (2, 1, "failed")
        assert info.last_error is not None
        assert "MaxChildrenError" in info.last_error


async def test_supervisor_that_exits_ends_its_runs() -> None:
    async with virtual_node() as node:
        tasks = await st.start(st.TaskSupervisor)
        await node.scheduler.every(10, StartTask(tasks, asyncio.sleep, 100), id="work")
        await asyncio.sleep(11)
        await st.stop(tasks)
        await asyncio.sleep(1)
        assert await outcome(node, "work") == ("failed", "'shutdown'")


# --- more than may be under way ------------------------------------------------------------------


async def test_skip_misses_what_is_due_while_a_run_is_under_way() -> None:
    async with virtual_node() as node:
        await ledger(seconds=25)
        told = Told(node)
        schedule = await node.scheduler.every(10, SendMessage("ledger", "tick", timeout=60))
        await asyncio.sleep(61)
        assert times() == [10, 40]
        assert told.missed() == [("overrun", 20, 1), ("overrun", 30, 1), ("overrun", 50, 1), ("overrun", 60, 1)]
        info = await schedule.info()
        assert (info.runs, info.missed, info.running) == (2, 4, 1)


async def test_wait_runs_the_latest_one_when_one_ends() -> None:
    async with virtual_node() as node:
        await ledger(seconds=25)
        told = Told(node)
        await node.scheduler.every(10, SendMessage("ledger", "tick", timeout=60), overrun="wait")
        await asyncio.sleep(61)
        assert times() == [10, 35, 60]
        assert told.missed() == [("overrun", 20, 1), ("overrun", 40, 1), ("overrun", 50, 1)]


async def test_one_due_time_that_waits_keeps_a_schedule_that_has_no_more() -> None:
    async with virtual_node() as node:
        await ledger(seconds=25)
        schedule = await node.scheduler.after(10, SendMessage("ledger", "tick", timeout=60), overrun="wait")
        assert await schedule.trigger() is True
        await asyncio.sleep(30)
        assert times() == [0, 25]
        await asyncio.sleep(30)
        assert await node.scheduler.list() == []


async def test_cancel_ends_the_oldest_run_before_the_next_one_begins(notes: list[Any]) -> None:
    async def work() -> None:
        notes.append(("begins", since(node.clock.time())))
        try:
            await asyncio.sleep(25)
        finally:
            await asyncio.sleep(2)
            notes.append(("ends", since(node.clock.time())))

    async with virtual_node() as node:
        await st.start(st.TaskSupervisor, name="tasks")
        told = Told(node)
        schedule = await node.scheduler.every(10, StartTask("tasks", work), overrun="cancel")
        await asyncio.sleep(23)
        await schedule.cancel()
        assert notes == [("begins", 10), ("ends", 22), ("begins", 22)]
        assert told.ends() == [("cancelled", "the next run was due")]
        await asyncio.sleep(100)
        assert told.ends()[1:] == [("confirmed", None)]


async def test_one_run_that_is_being_cancelled_is_enough() -> None:
    async with virtual_node() as node:
        await ledger(seconds=100)
        told = Told(node)
        job = SendMessage("ledger", "tick", timeout=None, deadline=None)
        schedule = await node.scheduler.every(10, job, overrun="cancel", max_running=2, coalesce="all")
        await asyncio.sleep(25)
        asyncio.get_running_loop().jump(16)  # type: ignore[attr-defined]
        await asyncio.sleep(0.5)
        assert told.missed() == [("overrun", 30, 1)]
        info = await schedule.info()
        assert (info.runs, info.running, info.missed) == (3, 2, 1)


async def test_as_many_as_may_be_are_under_way() -> None:
    async with virtual_node() as node:
        await st.start(st.TaskSupervisor, name="tasks")
        limited = await node.scheduler.every(10, StartTask("tasks", asyncio.sleep, 100), max_running=3)
        free = await node.scheduler.every(10, StartTask("tasks", asyncio.sleep, 100), max_running=None)
        await asyncio.sleep(95)
        assert (await limited.info()).running == 3
        assert (await free.info()).running == 9


async def test_run_that_begins_at_once_as_an_eager_task_does_may_cancel_its_schedule() -> None:
    ran: list[object] = []

    async def own() -> None:
        ran.append(await node.scheduler.cancel("own"))

    def at_once(loop: Any, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
        if "_perform" in coroutine.__qualname__ and not ran:
            step = own()
            with pytest.raises(StopIteration):
                step.send(None)
        return asyncio.Task(coroutine, loop=loop, **options)

    async with virtual_node() as node:
        await ledger()
        told = Told(node)
        await node.scheduler.every(10, TICK, id="own", coalesce="all", max_running=None)
        asyncio.get_running_loop().set_task_factory(at_once)
        asyncio.get_running_loop().jump(35)  # type: ignore[attr-defined]
        await asyncio.sleep(1)
        asyncio.get_running_loop().set_task_factory(None)
        assert (ran, told.ends()) == ([True], [("confirmed", None)])


async def test_run_that_is_cancelled_before_its_task_is_there_is_cancelled() -> None:
    from stanchion.scheduler._runs import End, Run

    async def work() -> End:
        await asyncio.Event().wait()
        return End("confirmed")

    run = Run("own", START, 0.0, lambda run, end: None)
    run.cancel("no longer wanted")
    run.cancel("for another reason")
    task = asyncio.create_task(work())
    run.begin(task)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert run.cancelled == "no longer wanted"
