# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from stanchion.errors import (
    CallExitError,
    CallOverflowError,
    CallSelfError,
    CallTimeoutError,
    InvalidOptionError,
    NoNodeError,
)
from stanchion.kernel import exit, self_pid, spawn, wait_exit
from stanchion.server import GenServer, Stop, call, cast, start, stop
from tests.kernel.helpers import process_of, quick_node, run_in_process, sleeper, steps
from tests.server.servers import By, Counter, hang, raises, returns


async def test_call_returns_the_very_object_that_handle_call_returned() -> None:
    async with quick_node():
        value = object()
        pid = await start(By)
        assert await call(pid, returns(value)) is value


async def test_call_works_by_name_from_outside_and_from_a_process() -> None:
    async with quick_node():
        await start(Counter, 7, name="counter")
        assert await call("counter", "count") == 7
        assert await run_in_process(call, "counter", "count") == 7


async def test_handler_sees_who_calls() -> None:
    async with quick_node():

        class Who(GenServer):
            def handle_call(self, request, sender):
                return sender.pid, repr(sender)

        pid = await start(Who)
        assert await call(pid, 1) == (None, "<sender None, waiting>")

        async def body() -> object:
            return await call(pid, 1) == (self_pid(), f"<sender {self_pid()!r}, waiting>")

        assert await run_in_process(body)


async def test_calls_and_casts_of_one_sender_keep_their_order() -> None:
    async with quick_node():
        pid = await start(Counter)
        for _ in range(1000):
            cast(pid, 1)
        assert await call(pid, "count") == 1000


async def test_reply_that_does_not_come_in_time_is_a_timeout() -> None:
    async with quick_node():
        pid = await start(By, name="slow")
        with pytest.raises(CallTimeoutError) as caught:
            await call(pid, hang, timeout=0.01)
        assert isinstance(caught.value, TimeoutError)
        assert (caught.value.timeout, caught.value.target) == (0.01, "<test.1 slow>")


async def test_call_waits_as_long_as_the_node_says_when_nothing_is_said() -> None:
    async with quick_node(timeouts=0.02):
        pid = await start(By)
        with pytest.raises(CallTimeoutError, match=r"within 0\.02 s"):
            await call(pid, hang)


async def test_call_takes_a_timedelta() -> None:
    async with quick_node():
        pid = await start(By)
        with pytest.raises(CallTimeoutError, match=r"within 0\.01 s"):
            await call(pid, hang, timeout=timedelta(milliseconds=10))


async def test_timeout_of_zero_still_gets_a_reply_that_is_there_at_the_next_step() -> None:
    async with quick_node():
        quick, slow = await start(Counter, 1), await start(By)
        assert await call(quick, "count", timeout=0) == 1
        with pytest.raises(CallTimeoutError, match="within 0 s"):
            await call(slow, hang, timeout=0)


async def test_call_without_a_limit_sets_no_deadline() -> None:
    async with quick_node() as node:
        pid = await start(By)
        waiting = asyncio.create_task(call(pid, hang, timeout=None))
        await steps()
        assert not any(node.wheel._buckets.values())
        exit(pid, "kill")
        with pytest.raises(CallExitError):
            await waiting


async def test_answered_call_leaves_no_deadline() -> None:
    async with quick_node() as node:
        pid = await start(Counter)
        await call(pid, "count", timeout=100)
        assert not any(node.wheel._buckets.values())


async def test_crash_while_handling_answers_the_caller_at_once_with_the_reason() -> None:
    async with quick_node():
        pid = await start(By)
        error = ValueError("broken")
        with pytest.raises(CallExitError) as caught:
            await call(pid, raises(error), timeout=None)
        assert str(caught.value).endswith(", got its exit with reason ValueError('broken')")
        assert (caught.value.reason, caught.value.handled) == (error, True)
        assert caught.value.__cause__ is error


async def test_exit_before_handling_says_that_the_request_was_not_handled() -> None:
    async with quick_node():
        pid = await start(By)
        first = asyncio.create_task(call(pid, hang, timeout=None))
        second = asyncio.create_task(call(pid, "never read", timeout=None))
        await steps()
        exit(pid, "shutdown")
        with pytest.raises(CallExitError) as caught:
            await first
        assert caught.value.handled
        with pytest.raises(CallExitError) as caught:
            await second
        assert str(caught.value) == (
            "call to <test.1>: expected a reply to 'never read', got its exit with reason 'shutdown'; "
            "the request was not handled"
        )
        assert not caught.value.handled
        assert caught.value.__cause__ is None


async def test_stop_without_a_reply_gives_the_caller_the_exit_reason() -> None:
    async with quick_node():
        pid = await start(By)
        with pytest.raises(CallExitError, match=r"got its exit with reason 'normal'$"):
            await call(pid, returns(Stop()))


async def test_call_to_a_dead_pid_is_noproc() -> None:
    async with quick_node():
        pid = await start(Counter)
        await stop(pid)
        with pytest.raises(CallExitError) as caught:
            await call(pid, "count")
        assert str(caught.value) == "call to <test.1>: expected a reply to 'count', got no such process (noproc)"
        assert (caught.value.reason, caught.value.handled) == ("noproc", False)


async def test_call_to_a_dead_pid_needs_no_node() -> None:
    async with quick_node():
        pid = spawn(sleeper)
    with pytest.raises(CallExitError, match="noproc"):
        await call(pid, "count")


async def test_call_to_an_unknown_name_names_the_nearest() -> None:
    async with quick_node():
        await start(Counter, name="Inventory")
        with pytest.raises(CallExitError) as caught:
            await call("inventroy", "count")
        assert str(caught.value) == (
            "call to 'inventroy': expected a reply to 'count', got no such process (noproc)\n"
            "Fix: call 'Inventory' if you mean that one."
        )


async def test_call_to_an_unknown_name_that_is_like_no_other_says_how_to_give_it() -> None:
    async with quick_node():
        with pytest.raises(CallExitError) as caught:
            await call("inventory", "count")
        assert str(caught.value) == (
            "call to 'inventory': expected a reply to 'count', got no such process (noproc)\n"
            "Fix: start the process with name='inventory' first."
        )


async def test_call_to_a_process_that_is_ending_is_refused_at_once() -> None:
    async with quick_node():
        pid = await start(By)
        exit(pid, "shutdown")
        with pytest.raises(CallExitError) as caught:
            await call(pid, "late", timeout=None)
        assert str(caught.value) == "call to <test.1>: expected a reply to 'late', got no such process (noproc)"


async def test_full_mailbox_refuses_a_call() -> None:
    async with quick_node():
        pid = await start(By, mailbox=2)
        waiting = [asyncio.create_task(call(pid, hang, timeout=None)) for _ in range(3)]
        await steps(1)
        with pytest.raises(CallOverflowError) as caught:
            await call(pid, "one too many")
        assert str(caught.value) == (
            "call to <test.1>: expected room in its mailbox for 'one too many', got a full one (2 messages)\n"
            "Fix: call again later, slow the callers down, or start the process with a larger mailbox=."
        )
        assert caught.value.limit == 2
        exit(pid, "kill")
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_server_that_calls_itself_is_told_so_at_once() -> None:
    async with quick_node():

        class Selfish(GenServer):
            async def handle_call(self, request, sender):
                with pytest.raises(CallSelfError) as caught:
                    await call(self_pid(), "me")
                return str(caught.value)

        pid = await start(Selfish)
        assert await call(pid, 1) == (
            "call to <test.1>: expected another process, got the calling process itself with 'me'\n"
            "Fix: call the method directly, or cast to yourself and go on."
        )


async def test_task_of_a_server_may_call_its_server() -> None:
    async with quick_node():
        answers: list[object] = []

        class Delegates(GenServer):
            def handle_cast(self, message):
                self.task = asyncio.create_task(self.ask(self_pid()))

            async def ask(self, me):
                answers.append(await call(me, "question"))

            def handle_call(self, request, sender):
                return f"answer to {request}"

        pid = await start(Delegates)
        cast(pid, "go")
        await steps(10)
        assert answers == ["answer to question"]


async def test_two_servers_that_call_each_other_time_out_and_live_on() -> None:
    async with quick_node():

        class Asks(GenServer):
            async def handle_call(self, request, sender):
                if request == "ping":
                    return "pong"
                try:
                    return await call(request, self_pid(), timeout=0.02)
                except CallTimeoutError:
                    return "timed out"

        first, second = await start(Asks), await start(Asks)
        assert await call(first, second) == "timed out"
        assert await call(first, "ping") == await call(second, "ping") == "pong"


async def test_cancelled_caller_leaves_the_request_to_the_server() -> None:
    async with quick_node() as node:
        pid = await start(Counter)
        waiting = asyncio.create_task(call(pid, "count"))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert waiting.cancelled()
        assert await call(pid, "count") == 0
        assert not any(node.wheel._buckets.values())


async def test_caller_that_is_cancelled_in_the_step_of_its_refusal_leaves_no_unread_exception() -> None:
    async with quick_node():
        pid = await start(GenServer)
        waiting = asyncio.create_task(call(pid, "unknown", timeout=None))
        while not waiting.done():
            await asyncio.sleep(0)
            future = getattr(waiting, "_fut_waiter")  # noqa: B009  # no checker knows it
            if future is not None and future.done():
                waiting.cancel()
        assert waiting.cancelled()


async def test_pid_works_across_nodes() -> None:
    async with quick_node("a"):
        pid = await start(Counter, 3)
        async with quick_node("b"):
            assert await call(pid, "count") == 3
            with pytest.raises(CallExitError, match="noproc"):
                await call("counter", "count")


async def test_closing_node_answers_every_waiting_caller() -> None:
    async with quick_node():
        pid = await start(By)
        waiting = [asyncio.create_task(call(pid, hang, timeout=None)) for _ in range(10)]
        await steps()
    done = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(error) for error in done] == [CallExitError] * 10


@pytest.mark.parametrize("timeout", [-1, float("nan"), float("inf"), "5", True])
async def test_call_refuses_a_wrong_timeout_and_sends_nothing(timeout) -> None:
    async with quick_node():
        pid = await start(By)
        with pytest.raises(InvalidOptionError) as caught:
            await call(pid, "never sent", timeout=timeout)
        assert str(caught.value).startswith(
            f"call(timeout): expected seconds >= 0 as a finite number, or a timedelta, got {timeout!r}"
        )
        assert not process_of(pid).mailbox.queue


@pytest.mark.parametrize("ref", [None, 3, "", Counter])
async def test_call_refuses_what_is_no_ref(ref) -> None:
    async with quick_node():
        with pytest.raises(InvalidOptionError) as caught:
            await call(ref, 1)
        assert str(caught.value) == (
            f"call(ref): expected a pid or a registered name, got {ref!r}\n"
            "Fix: pass what start() or spawn() returned, or the name= the process was started with."
        )


async def test_call_by_name_needs_a_node() -> None:
    with pytest.raises(NoNodeError, match=r"^call\(ref\): expected a running node, got none in this context"):
        await call("counter", 1)


async def test_longest_timeouts_are_taken() -> None:
    async with quick_node():
        pid = await start(Counter)
        assert await call(pid, "count", timeout=1e308) == 0
        assert await call(pid, "count", timeout=10**400) == 0
        assert await call(pid, "count", timeout=timedelta.max) == 0


async def test_late_exit_of_an_answered_server_changes_nothing() -> None:
    async with quick_node():
        pid = await start(Counter)
        waiting = asyncio.create_task(call(pid, "count"))
        await steps()
        exit(pid, "kill")
        await wait_exit(pid, timeout=1)
        assert await waiting == 0
