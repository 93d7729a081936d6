# SPDX-License-Identifier: MIT
"""How long children may take to start and to stop, and tasks to end: what the policy says, and what a deadline leaves."""

from __future__ import annotations

import asyncio
import logging

import pytest

from stanchion.errors import CallTimeoutError, ChildStartError, TaskTimeoutError
from stanchion.kernel import Node, deadline, trap_exit
from stanchion.server import GenServer, start, stop, suspend
from stanchion.supervisor import (
    DynamicSupervisor,
    PartitionSupervisor,
    Supervisor,
    Task,
    TaskExit,
    TaskSupervisor,
    child_spec,
    restart_child,
    start_child,
    supervisor_spec,
    terminate_child,
    which_children,
)
from tests.supervisor.servers import InitBy, hang, states
from tests.supervisor.tasks import double, slow, trapping

async_nolink = TaskSupervisor.async_nolink


def passed() -> float:
    """Return how long the test runs, by the clock of its node."""
    return asyncio.get_running_loop().time() - 1000


def killed(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return who was killed since it did not stop in time."""
    texts = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    return [text.partition(": ")[2] for text in texts if text.endswith("and is killed")]


class Slow(Supervisor):
    """A supervisor that takes so many seconds to start, or to stop."""

    async def init(self, starts, stops=0):  # pyright: ignore[reportIncompatibleMethodOverride]  # it is of its own kind
        self.stops = stops
        await asyncio.sleep(starts)
        await super().init([])

    async def terminate(self, reason):
        await asyncio.sleep(self.stops)


class Lingering(GenServer):
    """A server that takes so many seconds to stop."""

    def init(self, seconds):
        trap_exit()
        self.seconds = seconds

    async def terminate(self, reason):
        await asyncio.sleep(self.seconds)


# --- stops ---------------------------------------------------------------------------------------


async def test_worker_has_5_seconds_to_stop(node: Node, caplog) -> None:
    supervisor = await start(Supervisor, [child_spec(Lingering, 7)])
    await terminate_child(supervisor, "Lingering")
    assert killed(caplog) == ["child 'Lingering' did not stop within 5 s and is killed"]


async def test_supervisor_has_60_seconds_to_stop(node: Node, caplog) -> None:
    supervisor = await start(Supervisor, [child_spec(Slow, 0, 59, id=1), child_spec(Slow, 0, 70, id=2)])
    await terminate_child(supervisor, 1)
    assert passed() == pytest.approx(59, abs=0.1)
    await terminate_child(supervisor, 2)
    assert killed(caplog) == ["child 2 did not stop within 60 s and is killed"]


async def test_child_has_the_time_to_stop_that_the_policy_gives_as_the_stop_begins(node: Node, caplog) -> None:
    supervisor = await start(Supervisor, [child_spec(Lingering, 7)])
    node.timeouts.set(2.0, operation="stanchion.shutdown")
    await terminate_child(supervisor, "Lingering")
    assert killed(caplog) == ["child 'Lingering' did not stop within 2 s and is killed"]


async def test_children_that_stop_together_have_the_policys_time(node: Node, caplog) -> None:
    supervisor = await start(DynamicSupervisor)
    for seconds in (7, 8):
        await start_child(supervisor, child_spec(Lingering, seconds, id=seconds))
    await start_child(supervisor, child_spec(Lingering, 9, id=9, shutdown=None))
    node.timeouts.set(2.0, operation="stanchion.shutdown")
    await stop(supervisor, timeout=60)
    assert killed(caplog) == [f"child {id} did not stop within 2 s and is killed" for id in (8, 7)]
    assert passed() == pytest.approx(9, abs=0.1)


async def test_deadline_of_who_has_a_child_stopped_leaves_the_child_its_time(node: Node, caplog) -> None:
    supervisor = await start(Supervisor, [child_spec(Lingering, 4)])
    with pytest.raises(CallTimeoutError):
        async with deadline(1):
            await terminate_child(supervisor, "Lingering")
    assert passed() == pytest.approx(1, abs=0.1)
    assert await states(supervisor) == {"Lingering": "stopped"}
    assert passed() == pytest.approx(4, abs=0.1)
    assert killed(caplog) == []


# --- starts --------------------------------------------------------------------------------------


async def test_supervisor_has_60_seconds_to_start(node: Node) -> None:
    await start(Slow, 59)
    with pytest.raises(ChildStartError, match=r"start of child 'Slow' of Supervisor .* within 60 s, got 'timeout'"):
        await start(Supervisor, [child_spec(Slow, 70)], timeout=None)


async def test_error_names_the_innermost_child_that_hangs(node: Node) -> None:
    inner = supervisor_spec([child_spec(InitBy, hang, timeout=90)], id="inner")
    with pytest.raises(ChildStartError) as caught:
        await start(Supervisor, [inner], timeout=None)
    place = f"{hang.__code__.co_filename}:{hang.__code__.co_firstlineno + 1}"
    assert str(caught.value) == (
        "start of child 'inner' of Supervisor <test.1>: expected init to finish within 60 s, got 'timeout'\n"
        "Limit: built-in 'stanchion.init_supervisor' = 60 s (built-in).\n"
        f"Target: InitBy <test.3> is in its init(), at {place}.\n"
        "Fix: give its child_spec() a longer timeout=, or have it start faster."
    )


@pytest.mark.parametrize(
    "spec",
    [
        supervisor_spec([child_spec(InitBy, lambda: asyncio.sleep(70), timeout=90)], id="tree", timeout=90),
        PartitionSupervisor.child_spec(
            child_spec(InitBy, lambda: asyncio.sleep(40), timeout=50), 2, id="tree", timeout=90
        ),
    ],
)
async def test_supervisor_has_the_time_to_start_that_its_spec_gives(node: Node, spec) -> None:
    supervisor = await start(Supervisor, [spec], timeout=None)
    assert await states(supervisor) == {"tree": "running"}


async def test_deadline_bounds_the_start_of_a_child_that_is_asked_for_under_it(node: Node) -> None:
    supervisor = await start(Supervisor, [])
    with pytest.raises((CallTimeoutError, ChildStartError), match=r"Limit: what was left of the deadline of 1 s"):
        async with deadline(1):
            await start_child(supervisor, child_spec(InitBy, hang))
    assert await states(supervisor) == {}
    assert passed() == pytest.approx(1, abs=0.1)


async def test_restart_by_the_supervisor_knows_no_deadline_of_who_had_the_child_started(node: Node) -> None:
    supervisor = await start(Supervisor, [])
    async with deadline(1):
        pid = await start_child(supervisor, child_spec(InitBy, lambda: asyncio.sleep(0.9)))
    assert pid is not None
    await stop(pid)
    assert await states(supervisor) == {"InitBy": "running"}


# --- requests ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ask", "seconds"),
    [
        (lambda supervisor: start_child(supervisor, child_spec(double, 1)), 90),
        (lambda supervisor: restart_child(supervisor, "a"), 90),
        (lambda supervisor: terminate_child(supervisor, "a"), 90),
        (which_children, 5),
    ],
)
async def test_supervisor_that_does_not_answer_is_waited_for_no_longer_than(node: Node, ask, seconds) -> None:
    supervisor = await start(Supervisor, [])
    await suspend(supervisor)
    with pytest.raises(CallTimeoutError, match=rf"reply to stanchion\.\w+\(.*\) within {seconds} s, got none"):
        await ask(supervisor)


async def test_request_to_a_supervisor_has_the_limit_that_a_rule_gives_it(node: Node) -> None:
    supervisor = await start(Supervisor, [])
    await suspend(supervisor)
    node.timeouts.set(2.0, operation="stanchion.start_child")
    with pytest.raises(CallTimeoutError) as caught:
        await start_child(supervisor, child_spec(double, 1))
    assert caught.value.request == "stanchion.start_child(<child_spec 'double': permanent worker double>)"
    assert caught.value.timeout == 2


# --- tasks ---------------------------------------------------------------------------------------


async def test_task_is_not_started_when_its_supervisor_does_not_answer_in_time(node: Node) -> None:
    supervisor = await start(TaskSupervisor)
    await suspend(supervisor)
    with pytest.raises(CallTimeoutError, match=r"expected a reply to stanchion\.start_task\(double\) within 5 s"):
        await async_nolink(supervisor, double, 1)


async def test_task_is_waited_for_as_long_as_the_policy_says(node: Node) -> None:
    supervisor = await start(TaskSupervisor)
    task = await async_nolink(supervisor, slow, 100)
    node.timeouts.set(2.0, operation="stanchion.await")
    with pytest.raises(TaskTimeoutError, match="within 2 s"):
        await task.await_()
    with pytest.raises(TaskTimeoutError, match="within 2 s"):
        await Task.await_many([task])
    assert await task.yield_() is None
    assert await Task.yield_many([task]) == [None]
    assert passed() == pytest.approx(8, abs=0.1)


async def test_task_is_waited_for_no_longer_than_the_deadline(node: Node) -> None:
    task = await async_nolink(await start(TaskSupervisor), slow, 100)
    with pytest.raises(TaskTimeoutError) as caught:
        async with deadline(1):
            await task.await_(timeout=None)
    assert str(caught.value).splitlines()[1:] == [
        f"Limit: what was left of {caught.value.cut_by}; without it: timeout=None.",
        f"Target: {caught.value.doing}.",
        "Fix: give the deadline more seconds, or do less under it.",
    ]


async def test_task_works_under_the_deadline_of_who_started_it(node: Node) -> None:
    async def nested():
        await (await async_nolink(supervisor, slow, 100)).await_(timeout=None)

    supervisor = await start(TaskSupervisor)
    async with deadline(1):
        task = await async_nolink(supervisor, nested)
    outcome = await task.yield_()
    assert isinstance(outcome, TaskExit)
    assert isinstance(outcome.reason, TaskTimeoutError)
    assert passed() == pytest.approx(1, abs=0.1)


async def test_task_has_the_policys_time_to_shut_down(node: Node) -> None:
    task = await async_nolink(await start(TaskSupervisor), trapping)
    node.timeouts.set(2.0, operation="stanchion.shutdown")
    await task.yield_(timeout=0)
    assert await task.shutdown() == TaskExit("killed")
    assert passed() == pytest.approx(2, abs=0.1)


async def test_task_of_a_stream_has_the_policys_time(node: Node) -> None:
    supervisor = await start(TaskSupervisor)
    node.timeouts.set(2.0, operation="stanchion.stream")
    stream = TaskSupervisor.async_stream_nolink(supervisor, slow, [1, 100], max_concurrency=2, on_timeout="kill_task")
    assert [type(outcome).__name__ async for outcome in stream] == ["TaskOk", "TaskExit"]
    assert passed() == pytest.approx(2, abs=0.1)
