# SPDX-License-Identifier: MIT
"""The deadline of a block: what it cuts, when it ends the block, and what it leaves alone."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from stanchion.errors import CallTimeoutError, DeadlineExceededError, InvalidOptionError, NoNodeError
from stanchion.kernel import Node, deadline, receive, remaining, spawn, wait_exit
from stanchion.server import call, start
from tests.kernel.helpers import quick_node, run_in_process
from tests.server.servers import By, hang

HERE = Path(__file__)
LINES = HERE.read_text().splitlines()


def line_of(text: str) -> int:
    """Return the one line of this file that contains a text."""
    (number,) = (n for n, line in enumerate(LINES, 1) if text in line and "line_of" not in line)
    return number


async def test_block_is_cancelled_when_its_time_is_up(node: Node) -> None:
    began = node.clock.monotonic()
    scope = deadline(2)  # the one that is too short
    with pytest.raises(DeadlineExceededError) as caught:
        async with scope:
            await asyncio.sleep(10)
    assert node.clock.monotonic() - began == pytest.approx(2, abs=2 / 128)
    assert scope.expired
    assert scope.remaining() == 0
    place = f"{HERE}:{line_of('# the one that is too short')}"
    assert (caught.value.seconds, caught.value.site, caught.value.cut_by) == (2, place, None)
    assert repr(scope) == f"<deadline of 2 s, opened at {place}>"


async def test_block_that_ends_in_time_goes_on(node: Node) -> None:
    async with deadline(2) as scope:
        await asyncio.sleep(1)
        assert (remaining(), scope.remaining(), scope.done()) == (1, 1, False)
    await asyncio.sleep(5)
    assert (scope.expired, scope.done()) == (False, True)
    assert remaining() is None


async def test_deadline_of_zero_cancels_at_the_first_wait(node: Node) -> None:
    reached: list[float | None] = []

    async def work() -> None:
        async with deadline(0):
            reached.append(remaining())
            await asyncio.sleep(10)
            reached.append(remaining())

    with pytest.raises(DeadlineExceededError, match="deadline of 0 s"):
        await work()
    assert reached == [0]


async def test_block_of_zero_seconds_that_does_not_wait_ends_well(node: Node) -> None:
    async with deadline(0) as scope:
        pass
    assert not scope.expired


async def test_inner_deadline_that_is_nearer_counts_in_its_block_alone(node: Node) -> None:
    async with deadline(10):
        with pytest.raises(DeadlineExceededError, match="deadline of 1 s"):
            async with deadline(1):
                await asyncio.sleep(5)
        assert remaining() == pytest.approx(9, abs=0.02)


async def test_inner_deadline_that_is_longer_is_cut(node: Node) -> None:
    async def work() -> None:
        async with deadline(1), deadline(10) as inner:
            assert (inner.remaining(), remaining()) == (1, 1)
            await asyncio.sleep(5)

    with pytest.raises(DeadlineExceededError) as caught:
        await work()
    assert (caught.value.seconds, caught.value.cut_by) == (1, None)


async def test_scope_in_a_task_is_cut_by_the_deadline_under_which_the_task_was_started(node: Node) -> None:
    async def work() -> None:
        async with deadline(10):
            await asyncio.sleep(5)

    async with deadline(1):  # around the task
        task = asyncio.create_task(work())
    with pytest.raises(DeadlineExceededError) as caught:
        await task
    place = f"{HERE}:{line_of('# around the task')}"
    assert caught.value.cut_by == f"the deadline of 1 s set at {place}"
    assert f"expected the block to end in time, or by the deadline of 1 s set at {place}, got no end" in str(
        caught.value
    )
    assert str(caught.value).endswith("\nFix: give the nearer deadline more seconds, or do less in it.")


async def test_cancellation_from_outside_goes_through(node: Node) -> None:
    async def work() -> None:
        async with deadline(10):
            await asyncio.sleep(5)

    task = asyncio.create_task(work())
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_error_of_the_block_goes_through(node: Node) -> None:
    with pytest.raises(ValueError, match="mine"):
        async with deadline(10):
            raise ValueError("mine")
    assert remaining() is None


async def test_block_that_is_cancelled_from_outside_as_its_time_is_up_is_cancelled(node: Node) -> None:
    async def work() -> None:
        async with deadline(2):
            await asyncio.sleep(10)

    task = asyncio.create_task(work())
    await asyncio.sleep(2 + 1 / 128)  # when the block is cancelled
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_error_of_the_block_as_its_time_is_up_goes_through(node: Node) -> None:
    scope = deadline(2)

    async def work() -> None:
        async with scope:
            try:
                await asyncio.sleep(10)
            finally:
                raise ValueError("mine")

    task = asyncio.create_task(work())
    with pytest.raises(ValueError, match="mine"):
        await task
    assert (scope.expired, task.cancelling()) == (True, 0)


async def test_task_group_in_the_block_is_cancelled_with_it(node: Node) -> None:
    ended: list[str] = []

    async def work(name: str) -> None:
        try:
            await asyncio.sleep(10)
        finally:
            ended.append(name)

    async def both() -> None:
        async with deadline(2), asyncio.TaskGroup() as group:
            group.create_task(work("a"))
            group.create_task(work("b"))

    with pytest.raises(DeadlineExceededError):
        await both()
    assert sorted(ended) == ["a", "b"]


async def test_what_a_nodes_timers_call_is_under_no_deadline(node: Node) -> None:
    """The event loop calls a timer in the context of whoever set it."""
    seen: list[float | None] = []

    class Item:
        def expire(self) -> None:
            seen.append(remaining())

    async with deadline(60):
        node.wheel.add(1, Item())
        await asyncio.sleep(2)
    assert seen == [None]


async def test_call_in_the_block_fails_by_itself_and_says_more(node: Node) -> None:
    pid = await start(By)
    scope = deadline(2)
    with pytest.raises(CallTimeoutError) as caught:
        async with scope:
            await call(pid, hang, timeout=None)
    assert not scope.expired
    assert caught.value.timeout == 2


async def test_scope_is_entered_once(node: Node) -> None:
    scope = deadline(2)
    async with scope:
        pass
    with pytest.raises(InvalidOptionError) as caught:
        async with scope:
            pass
    assert str(caught.value) == (
        "deadline(): expected a scope of its own for each `async with`, got one that was entered before\n"
        "Fix: write `async with stanchion.deadline(2):` where you enter it."
    )


async def test_scope_outside_of_every_node_is_an_error() -> None:
    with pytest.raises(NoNodeError) as caught:
        async with deadline(2):
            pass
    assert str(caught.value) == (
        "deadline(): expected a running node, got none in this context\n"
        "Fix: run it inside `async with stanchion.Node():`, or inside a process, or pass a pid."
    )


@pytest.mark.parametrize("wrong", [-1, None, "2", float("nan")])
def test_deadline_that_is_no_time_is_an_error(wrong: object) -> None:
    with pytest.raises(InvalidOptionError, match=r"^deadline\(seconds\): expected "):
        deadline(wrong)  # type: ignore[arg-type]


async def test_code_outside_of_every_node_has_no_deadline() -> None:
    assert remaining() is None


async def test_deadline_ends_by_the_machines_clock_too() -> None:
    async with quick_node():
        with pytest.raises(DeadlineExceededError, match=r"deadline of 0\.01 s"):
            async with deadline(0.01):
                await asyncio.sleep(5)


async def test_process_does_not_have_the_deadline_of_who_spawned_it(node: Node) -> None:
    seen: list[float | None] = []

    async def body() -> None:
        seen.append(remaining())

    async with deadline(2):
        await wait_exit(spawn(body), timeout=1)
    assert seen == [None]


async def test_scope_works_in_a_process(node: Node) -> None:
    async def body() -> None:
        async with deadline(2):
            await asyncio.sleep(3)

    with pytest.raises(DeadlineExceededError, match="deadline of 2 s"):
        await run_in_process(body)


async def test_deadline_cuts_the_wait_of_receive(node: Node) -> None:
    async def body() -> None:
        async with deadline(2):
            await receive(timeout=None)

    with pytest.raises(TimeoutError, match=r"receive\(\): expected a message within 2 s, got none"):
        await run_in_process(body)


async def test_deadline_knows_the_clock_of_the_node_where_it_was_set(node: Node) -> None:
    async with deadline(60), quick_node():
        assert remaining() == 60
        pid = await start(By)
        assert await call(pid, lambda _: remaining()) == 60
