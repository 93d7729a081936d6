# SPDX-License-Identifier: MIT
"""How a server ends, and what terminate sees of it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from stanchion.errors import CallExitError, CallSelfError, InvalidOptionError, StopExitError, StopTimeoutError
from stanchion.kernel import Exit, ProcessExit, exit, link, receive, self_pid, spawn, trap_exit, wait_exit, whereis
from stanchion.server import Continue, GenServer, Stop, call, cast, send, start, start_link, stop
from stanchion.telemetry import PROCESS_EXIT
from tests.kernel.helpers import Events, process_of, quick_node, run_in_process, sleeper, steps
from tests.server.servers import By, Counter, hang, raises, returns


class Ends(By):
    """Notes its end in the list that init is given."""

    def init(self, log, *first):
        self.log = log
        self.state = []
        for function in first:
            function()

    async def handle_info(self, message):
        return message(self) if callable(message) else self.log.append(message)

    async def terminate(self, reason):
        self.log.append(("terminate", reason))


async def test_stop_ends_a_server_after_the_messages_before_it() -> None:
    async with quick_node():
        log: list[object] = []
        pid = await start(Ends, log)
        send(pid, 1)
        send(pid, 2)
        await stop(pid, "shutdown")
        assert log == [1, 2, ("terminate", "shutdown")]
        assert not pid.alive


async def test_stop_is_normal_when_nothing_is_said_and_works_by_name() -> None:
    async with quick_node() as node:
        exits = Events(node, PROCESS_EXIT)
        await start(Counter, name="counter")
        await stop("counter")
        assert exits.all("reason") == ["normal"]


async def test_stop_of_somebody_who_is_gone_is_harmless() -> None:
    async with quick_node():
        pid = await start(Counter)
        await stop(pid)
        await stop(pid)
        await stop("nobody")


async def test_two_stops_at_once_are_one() -> None:
    async with quick_node():
        log: list[object] = []
        pid = await start(Ends, log)
        await asyncio.gather(stop(pid, "shutdown"), stop(pid, "normal"))
        assert log == [("terminate", "shutdown")]


async def test_stop_says_so_when_terminate_raises() -> None:
    error = ValueError("x")

    class Fails(GenServer):
        def terminate(self, reason):
            raise error

    async with quick_node():
        pid = await start(Fails, name="till")
        with pytest.raises(StopExitError) as caught:
            await stop(pid, "shutdown")
        assert str(caught.value) == (
            "stop of <test.1 till>: expected its exit with reason 'shutdown', got ValueError('x')"
        )
        assert caught.value.__cause__ is error


async def test_stop_says_so_when_the_server_crashes_before_the_order() -> None:
    async with quick_node():
        pid = await start(By)
        cast(pid, raises(error := KeyError("x")))
        with pytest.raises(StopExitError) as caught:
            await stop(pid)
        assert (caught.value.expected, caught.value.reason) == ("normal", error)


async def test_stop_says_so_when_the_server_is_killed_in_terminate() -> None:
    class Slow(GenServer):
        async def terminate(self, reason):
            await hang()

    async with quick_node():
        pid = await start(Slow)
        stopping = asyncio.create_task(stop(pid, timeout=None))
        await steps()
        exit(pid, "kill")
        with pytest.raises(StopExitError, match=r"'normal', got 'killed'$") as caught:
            await stopping
        assert caught.value.__cause__ is None


@pytest.mark.parametrize("reason", [ValueError("told to"), "noproc"])
async def test_stop_is_content_with_the_abnormal_reason_that_it_asked_for(reason) -> None:
    async with quick_node() as node:
        exits = Events(node, PROCESS_EXIT)
        await stop(await start(Counter), reason)
        assert exits.all("reason") == [reason]


@pytest.mark.parametrize("reason", ["normal", "shutdown", ("shutdown", 1)])
async def test_stop_is_content_with_another_end_in_good_order(reason) -> None:
    async with quick_node() as node:
        exits = Events(node, PROCESS_EXIT)
        pid = await start(By)
        cast(pid, returns(Stop(reason)))
        await stop(pid, ValueError("told to"))
        assert exits.all("reason") == [reason]


async def gate_passed(gate: asyncio.Event) -> None:
    await gate.wait()


async def test_stop_gives_up_after_its_timeout_and_the_order_stays() -> None:
    async with quick_node():
        pid = await start(By, name="busy")
        gate = asyncio.Event()
        cast(pid, lambda _: gate_passed(gate))
        with pytest.raises(StopTimeoutError) as caught:
            await stop(pid, timeout=0.01)
        assert caught.value.doing is not None
        assert caught.value.doing.startswith("By <test.1 busy> has had <function ")
        assert caught.value.doing.endswith(" s; 1 message waits in its mailbox")
        assert str(caught.value) == (
            "stop of <test.1 busy>: expected its end within 0.01 s, got none; the order stays in its mailbox\n"
            "Limit: timeout=0.01.\n"
            f"Target: {caught.value.doing}.\n"
            "Fix: pass a longer timeout=, or end it at once with exit(pid, 'kill')."
        )
        assert isinstance(caught.value, TimeoutError)
        gate.set()
        assert await wait_exit(pid, timeout=1) == "normal"


async def test_server_that_stops_itself_is_told_so() -> None:
    async with quick_node():

        class Suicidal(GenServer):
            async def handle_call(self, request, sender):
                with pytest.raises(CallSelfError) as caught:
                    await stop(self_pid())
                return str(caught.value)

        pid = await start(Suicidal)
        assert await call(pid, 1) == (
            "stop of <test.1>: expected another process, got the calling process itself with stop()\n"
            "Fix: return Stop(reason), or raise ProcessExit(reason)."
        )


async def test_task_of_a_server_may_stop_its_server() -> None:
    async with quick_node():
        pid = await start(By)
        tasks: list[asyncio.Task[None]] = []
        cast(pid, lambda _: tasks.append(asyncio.create_task(stop(self_pid()))))
        await steps()
        await tasks[0]
        assert not pid.alive


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (returns(Stop("shutdown")), "shutdown"),
        (raises(ProcessExit(("shutdown", 1))), ("shutdown", 1)),
        (raises(ProcessExit()), "normal"),
    ],
)
@pytest.mark.parametrize("send_it", [cast, send])
async def test_callback_ends_its_server_through_terminate(send_it, message, reason) -> None:
    async with quick_node():
        log: list[object] = []
        pid = await start(Ends, log)
        send_it(pid, message)
        assert await wait_exit(pid, timeout=1) == reason
        assert log == [("terminate", reason)]


async def test_process_exit_in_handle_call_is_the_callers_answer() -> None:
    async with quick_node():
        pid = await start(By)
        with pytest.raises(CallExitError, match=r"its exit with reason \('shutdown', 'x'\)$"):
            await call(pid, raises(ProcessExit(("shutdown", "x"))))


async def cancelled_future(_) -> None:
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


@pytest.mark.parametrize(
    "message", [raises(ValueError("x")), raises(BaseExceptionGroup("g", [KeyError()])), cancelled_future]
)
async def test_crash_runs_terminate_with_the_exception(message) -> None:
    async with quick_node():
        log: list[object] = []
        pid = await start(Ends, log)
        cast(pid, message)
        reason = await wait_exit(pid, timeout=1)
        assert isinstance(reason, BaseException)
        assert log == [("terminate", reason)]


async def test_exit_signal_ends_a_server_without_terminate() -> None:
    async with quick_node():
        log: list[object] = []
        pid = await start(Ends, log)
        exit(pid, "shutdown")
        assert await wait_exit(pid, timeout=1) == "shutdown"
        assert log == []


async def test_cancelled_task_ends_a_server_without_terminate() -> None:
    async with quick_node():
        log: list[object] = []
        pid = await start(Ends, log)
        cast(pid, hang)
        await steps()
        process_of(pid).task.cancel()
        assert await wait_exit(pid, timeout=1) == "killed"
        assert log == []


async def test_parents_exit_signal_runs_terminate_where_exits_are_trapped() -> None:
    async with quick_node():
        log: list[object] = []

        async def parent() -> None:
            await start_link(Ends, log, trap_exit)
            await receive(timeout=None)

        pid = spawn(parent)
        await steps()
        exit(pid, "shutdown")
        await wait_exit(pid, timeout=1)
        await steps()
        assert log == [("terminate", "shutdown")]


async def test_exit_signal_of_a_stranger_is_a_message_where_exits_are_trapped() -> None:
    async with quick_node():
        log: list[Any] = []
        pid = await start(Ends, log, trap_exit)
        stranger = spawn(lambda: asyncio.sleep(0, exit(pid, "shutdown")))
        await wait_exit(stranger, timeout=1)
        await steps()
        assert [message.pid for message in log] == [stranger]
        assert pid.alive


async def test_kill_cuts_terminate_short() -> None:
    class Slow(GenServer):
        async def terminate(self, reason):
            await hang()

    async with quick_node():
        pid = await start(Slow)
        with pytest.raises(StopTimeoutError):
            await stop(pid, timeout=0.01)
        exit(pid, "kill")
        assert await wait_exit(pid, timeout=1) == "killed"


async def test_exit_signal_cuts_terminate_short_where_none_is_trapped() -> None:
    class Slow(GenServer):
        async def terminate(self, reason):
            await hang()

    async with quick_node():
        pid = await start(Slow)
        stopping = asyncio.create_task(stop(pid, timeout=None))
        await steps()
        exit(pid, ("shutdown", "now"))
        assert await wait_exit(pid, timeout=1) == ("shutdown", "now")
        await stopping


async def test_server_refuses_messages_while_it_terminates() -> None:
    gate = asyncio.Event()

    class Slow(GenServer):
        async def terminate(self, reason):
            await gate.wait()

    async with quick_node():
        pid = await start(Slow, name="slow")
        stopping = asyncio.create_task(stop(pid))
        await steps()
        assert not pid.alive
        with pytest.raises(CallExitError, match="noproc"):
            await call("slow", "late", timeout=None)
        gate.set()
        await stopping


async def test_terminate_that_raises_changes_the_reason_and_keeps_the_first_one_in_sight() -> None:
    first, second = ValueError("first"), KeyError("second")

    class Fails(By):
        async def terminate(self, reason):
            raise second

    async with quick_node():
        pid = await start(Fails)
        cast(pid, raises(first))
        assert await wait_exit(pid, timeout=1) is second
        assert second.__context__ is first


@pytest.mark.parametrize("error", [ProcessExit("shutdown"), ValueError("x")])
async def test_terminate_that_raises_after_a_stop_changes_the_reason(error: BaseException) -> None:
    class Fails(By):
        def terminate(self, reason):
            raise error

    async with quick_node() as node:
        exits = Events(node, PROCESS_EXIT)
        pid = await start(Fails)
        with contextlib.suppress(StopExitError):
            await stop(pid)
        assert exits.all("reason") == [error.reason if isinstance(error, ProcessExit) else error]
        assert error.__context__ is None


async def test_terminate_that_raises_from_something_else_keeps_its_own_context() -> None:
    class Fails(By):
        async def terminate(self, reason):
            try:
                raise KeyError("inner")
            except KeyError:
                raise ValueError("outer")  # noqa: B904  # the context is what is looked at

    async with quick_node():
        pid = await start(Fails)
        cast(pid, raises(RuntimeError("first")))
        reason = await wait_exit(pid, timeout=1)
        assert isinstance(reason, ValueError)
        assert isinstance(reason.__context__, KeyError)


async def test_terminate_may_still_call_others() -> None:
    async with quick_node():
        counter = await start(Counter, 5)
        answers: list[object] = []

        class Asks(GenServer):
            async def terminate(self, reason):
                answers.append(await call(counter, "count"))

        await stop(await start(Asks))
        assert answers == [5]


async def swallowing(_) -> str:
    with contextlib.suppress(asyncio.CancelledError):
        await hang()
    # Python 3.11 shows coverage nothing of what follows a cancellation in the frames around, up to the next await.
    await asyncio.sleep(0)
    return "swallowed"


@pytest.mark.parametrize("kind", ["cast", "continue"])
async def test_server_whose_handler_swallows_its_exit_ends_when_the_handler_returns(kind: str) -> None:
    async with quick_node(exit_grace=10):
        log: list[object] = []
        pid = await start(Ends, log)

        async def swallow(server):
            await swallowing(server)

        cast(pid, swallow if kind == "cast" else returns(Continue(swallow)))
        await steps()
        exit(pid, "shutdown")
        assert await wait_exit(pid, timeout=1) == "shutdown"
        assert log == []


async def test_caller_gets_the_reply_of_a_handler_that_swallowed_its_exit() -> None:
    async with quick_node(exit_grace=10):
        pid = await start(By)
        waiting = asyncio.create_task(call(pid, swallowing))
        await steps()
        exit(pid, "shutdown")
        assert await wait_exit(pid, timeout=1) == "shutdown"
        assert await waiting == "swallowed"


async def test_stop_of_a_plain_process_works_when_it_receives() -> None:
    async with quick_node():

        async def body() -> None:
            await receive(timeout=None)

        pid = spawn(body)
        await stop(pid, timeout=1)
        assert not pid.alive


async def test_cancelled_stop_leaves_the_order() -> None:
    async with quick_node():
        pid = await start(By)
        stopping = asyncio.create_task(stop(pid))
        await asyncio.sleep(0)
        stopping.cancel()
        await asyncio.wait([stopping])
        await steps()
        assert not pid.alive


@pytest.mark.parametrize(
    ("arguments", "options", "text"),
    [
        (("x", "done"), {}, "stop(reason): expected an exit reason"),
        ((3,), {}, "stop(ref): expected a pid or a registered name, got 3"),
    ],
)
async def test_stop_refuses_wrong_arguments(arguments, options, text: str) -> None:
    async with quick_node():
        with pytest.raises(InvalidOptionError) as caught:
            await stop(*arguments, **options)
        assert str(caught.value).startswith(text)


async def test_stop_refuses_a_wrong_timeout() -> None:
    async with quick_node():
        pid = spawn(sleeper)
        with pytest.raises(InvalidOptionError) as caught:
            await stop(pid, timeout=-1)
        assert str(caught.value) == ("stop(timeout): expected seconds >= 0 as a finite number, or a timedelta, got -1")
        assert not process_of(pid).mailbox.queue


async def test_stop_from_another_process_is_no_call_to_oneself() -> None:
    async with quick_node():
        pid = await start(Counter)
        await run_in_process(stop, pid)
        assert not pid.alive


@pytest.mark.parametrize("traps", [True, False])
async def test_parent_that_ends_normally_ends_only_a_server_that_traps_exits(traps: bool) -> None:
    async with quick_node():
        log: list[object] = []

        async def parent() -> None:
            await start_link(Ends, log, *([trap_exit] if traps else []), name="child")

        await wait_exit(spawn(parent), timeout=1)
        await steps()
        child = whereis("child")
        assert (child is None, log) == (traps, [("terminate", "normal")] if traps else [])


async def test_exit_of_a_linked_process_that_is_not_the_parent_is_a_message_where_exits_are_trapped() -> None:
    async with quick_node():
        log: list[Any] = []
        pid = await start(Ends, log, trap_exit)
        peers: list[Any] = []

        async def peer() -> None:
            link(pid)
            peers.append(self_pid())
            raise ProcessExit("shutdown")

        await wait_exit(spawn(peer), timeout=1)
        await steps()
        assert log == [Exit(peers[0], "shutdown")]
        assert pid.alive
