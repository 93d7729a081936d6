# SPDX-License-Identifier: MIT
"""Why a process ended, as its code tells it."""

from __future__ import annotations

import asyncio
import logging

import pytest

from stanchion.errors import InvalidOptionError
from stanchion.kernel import ProcessExit, exit, exit_reason, is_abnormal, spawn, wait_exit
from stanchion.telemetry import PROCESS_EXIT
from tests.kernel.helpers import Events, process_of, quick_node, sleeper, steps


async def test_process_that_returns_exits_normal() -> None:
    async with quick_node():

        async def body() -> str:
            return "ignored"

        assert await wait_exit(spawn(body), timeout=1) == "normal"


@pytest.mark.parametrize("reason", ["normal", "shutdown", ("shutdown", 1), "kill"])
async def test_process_exit_ends_a_process_with_its_reason(reason) -> None:
    async with quick_node():

        async def body() -> None:
            raise ProcessExit(reason)

        assert await wait_exit(spawn(body), timeout=1) == reason


async def test_process_exit_passes_except_exception() -> None:
    async with quick_node():

        async def body() -> None:
            try:
                raise ProcessExit
            except Exception:
                raise AssertionError("swallowed") from None

        assert await wait_exit(spawn(body), timeout=1) == "normal"


@pytest.mark.parametrize("error", [ValueError("x"), BaseExceptionGroup("g", [ProcessExit()]), GeneratorExit()])
async def test_process_that_raises_exits_with_the_exception(error: BaseException) -> None:
    async with quick_node():

        async def body() -> None:
            raise error

        assert await wait_exit(spawn(body), timeout=1) is error


async def test_crash_is_logged_once_with_the_message_and_the_traceback(caplog: pytest.LogCaptureFixture) -> None:
    async with quick_node():

        async def body() -> None:
            raise ValueError("broken")

        await wait_exit(spawn(body, name="clerk"), timeout=1)
        assert [record.getMessage() for record in caplog.records] == [
            "body <test.1 clerk> crashed; 0 messages were left in its mailbox"
        ]
        assert caplog.records[0].exc_info is not None
        assert caplog.records[0].levelno == logging.ERROR


async def test_exit_with_an_exception_from_outside_is_not_logged_as_a_crash(caplog: pytest.LogCaptureFixture) -> None:
    async with quick_node():
        pid = spawn(sleeper)
        exit(pid, ValueError("yours"))
        await wait_exit(pid, timeout=1)
        assert caplog.records == []


async def cancelled_future() -> None:
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


async def cancelled_task() -> None:
    task = asyncio.create_task(sleeper())
    await asyncio.sleep(0)
    task.cancel()
    await task


@pytest.mark.parametrize("awaits", [cancelled_future, cancelled_task])
async def test_process_that_awaits_something_cancelled_crashes(awaits, caplog: pytest.LogCaptureFixture) -> None:
    async with quick_node():
        reason = await wait_exit(spawn(awaits), timeout=1)
        assert isinstance(reason, asyncio.CancelledError)
        assert "crashed" in caplog.records[0].getMessage()


async def test_process_whose_task_is_cancelled_from_outside_is_killed() -> None:
    async with quick_node():
        pid = spawn(sleeper)
        await steps()
        process_of(pid).task.cancel()
        assert await wait_exit(pid, timeout=1) == "killed"


async def test_process_whose_task_is_cancelled_before_its_first_step_is_killed() -> None:
    async with quick_node() as node:
        pid = spawn(sleeper)
        process_of(pid).task.cancel()
        assert await wait_exit(pid, timeout=1) == "killed"
        assert node.processes == {}


async def test_process_may_swallow_a_cancellation_from_outside_and_go_on() -> None:
    async with quick_node():

        async def body() -> None:
            try:
                await sleeper()
            except asyncio.CancelledError:
                raise ProcessExit(("shutdown", "asked to")) from None

        pid = spawn(body)
        await steps()
        process_of(pid).task.cancel()
        assert await wait_exit(pid, timeout=1) == ("shutdown", "asked to")


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_end_of_the_interpreter_passes_through_and_is_told(error: type[BaseException]) -> None:
    reasons: list[object] = []
    tasks: list[asyncio.Task[None]] = []

    async def main() -> None:
        async with quick_node() as node:
            node.telemetry.attach(PROCESS_EXIT, lambda *event: reasons.append(event[2]["reason"]))

            async def body() -> None:
                raise error

            tasks.append(process_of(spawn(body)).task)
            await sleeper()

    with pytest.raises(error):
        asyncio.run(main())
    assert [tasks[0].exception()] == reasons
    assert type(reasons[0]) is error


async def test_exit_event_tells_who_why_and_how_much_was_left() -> None:
    async with quick_node() as node:
        events = Events(node, PROCESS_EXIT)
        pid = spawn(sleeper, name="clerk")
        process_of(pid).mailbox.put(("cast", 1, None))
        exit(pid, "shutdown")
        await wait_exit(pid, timeout=1)
        details = {"node": "test", "pid": pid, "name": "clerk", "reason": "shutdown", "heard": True}
        assert events.told == [(PROCESS_EXIT, {"unhandled": 1}, details)]


async def test_exit_event_tells_when_nobody_hears_of_it() -> None:
    async with quick_node() as node:
        events = Events(node, PROCESS_EXIT)
        pid = spawn(sleeper)
        await asyncio.sleep(0)
        exit(pid, "kill")
        while not events.told:
            await asyncio.sleep(0)
        assert events.told[0][2]["heard"] is False


async def test_task_of_a_process_is_named_after_it() -> None:
    async with quick_node():
        names: list[str] = []

        async def body() -> None:
            task = asyncio.current_task()
            assert task is not None
            names.append(task.get_name())

        await wait_exit(spawn(body), timeout=1)
        assert names == ["<test.1>"]


async def test_unfinished_process_is_told_of_when_its_coroutine_is_thrown_away() -> None:
    async with quick_node() as node:
        pid = spawn(sleeper)
        task = process_of(pid).task
        coroutine = task.get_coro()
        assert coroutine is not None
        coroutine.close()
        assert not pid.alive
        assert node.processes == {}
        with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
            await task


@pytest.mark.parametrize(
    ("reason", "abnormal"),
    [
        ("normal", False),
        ("shutdown", False),
        (("shutdown", "why"), False),
        ("kill", True),
        ("killed", True),
        ("noproc", True),
        ("noconnection", True),
        (ValueError(), True),
    ],
)
def test_is_abnormal_is_what_a_transient_child_is_restarted_for(reason, abnormal: bool) -> None:
    assert is_abnormal(reason) is abnormal


@pytest.mark.parametrize("value", [None, 0, ("shutdown",), ("shutdown", 1, 2), ("normal", 1), (), ValueError, "stopp"])
def test_exit_reason_refuses_everything_else(value) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        exit_reason("Stop(reason)", value)
    assert str(caught.value) == (
        "Stop(reason): expected an exit reason ('normal', 'shutdown', ('shutdown', term), 'kill' or an exception), "
        f"got {value!r}\n"
        "Fix: wrap what you want to tell in ('shutdown', term), or in an exception."
    )


def test_process_exit_refuses_what_is_no_reason() -> None:
    with pytest.raises(InvalidOptionError, match=r"^ProcessExit\(reason\): expected an exit reason"):
        ProcessExit("done")
