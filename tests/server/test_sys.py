# SPDX-License-Identifier: MIT
"""sys: looking inside a running server, and holding it still."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest

from stanchion.errors import (
    BadReturnError,
    CallbackFailedError,
    CallExitError,
    CallSelfError,
    CallTimeoutError,
    InvalidOptionError,
    NoNodeError,
    StopExitError,
)
from stanchion.kernel import (
    ProcessExit,
    deadline,
    exit,
    monitor,
    receive,
    self_pid,
    spawn,
    spawn_link,
    trap_exit,
    wait_exit,
)
from stanchion.server import (
    NO_REPLY,
    GenServer,
    Status,
    call,
    cast,
    get_state,
    get_status,
    replace_state,
    resume,
    send,
    start,
    start_link,
    stop,
    suspend,
)
from tests.kernel.helpers import process_of, quick_node, run_in_process, sleeper, steps
from tests.server.servers import By, Counter, hang, raises


async def replaced(ref: Any, **options: Any) -> Any:
    """Replace the state by itself, so that all functions of sys can be called alike."""
    return await replace_state(ref, lambda state: state, **options)


ALL = [get_state, get_status, replaced, suspend, resume]
every = pytest.mark.parametrize("function", ALL, ids=lambda function: function.__name__)


def name_of(function: Any) -> str:
    return "replace_state" if function is replaced else str(function.__name__)


# --- get_state, replace_state --------------------------------------------------------------------


async def test_state_is_the_attributes_by_name() -> None:
    async with quick_node():
        await start(Counter, 5, name="counter")
        assert await get_state("counter") == {"count": 5}


async def test_state_holds_the_very_objects_in_a_dict_of_its_own() -> None:
    class Listed(GenServer):
        def init(self, items):
            self.items = items

    async with quick_node():
        items: list[int] = []
        pid = await start(Listed, items)
        state = await get_state(pid)
        assert state["items"] is items
        state.clear()
        assert await get_state(pid) == {"items": items}


async def test_state_is_asked_in_the_order_of_the_mailbox() -> None:
    async with quick_node():
        pid = await start(Counter)
        cast(pid, 1)
        before = asyncio.create_task(get_state(pid))
        await asyncio.sleep(0)
        cast(pid, 10)
        assert await before == {"count": 1}
        assert await get_state(pid) == {"count": 11}


async def test_request_waits_until_init_is_done() -> None:
    async with quick_node():
        gate = asyncio.Event()

        class Slow(GenServer):
            async def init(self):
                await gate.wait()
                self.ready = True

        starting = asyncio.create_task(start(Slow, name="slow"))
        await asyncio.sleep(0)
        state = asyncio.create_task(get_state("slow"))
        await steps()
        gate.set()
        assert await state == {"ready": True}
        await starting


async def test_replaced_state_is_what_the_function_returned() -> None:
    async with quick_node():
        pid = await start(Counter, 1)
        assert await replace_state(pid, lambda state: {"count": 41, "more": state}) == {
            "count": 41,
            "more": {"count": 1},
        }
        cast(pid, 1)
        assert await call(pid, "count") == 42
        assert await replace_state(pid, lambda state: {"count": 0}) == {"count": 0}
        assert await get_state(pid) == {"count": 0}


async def test_replacing_function_runs_in_the_servers_process() -> None:
    async with quick_node():
        pid = await start(Counter)
        seen: list[object] = []
        await replace_state(pid, lambda state: seen.append(self_pid()) or state)
        assert seen == [pid]


@pytest.mark.parametrize(
    "error",
    [ValueError("oops"), ProcessExit("shutdown"), asyncio.CancelledError(), BaseExceptionGroup("g", [OSError()])],
)
async def test_replacing_function_that_raises_is_the_callers_error_and_the_server_lives(error: BaseException) -> None:
    async with quick_node():
        pid = await start(Counter, 1, name="counter")
        with pytest.raises(CallbackFailedError) as caught:
            await replace_state(pid, raises(error))
        assert str(caught.value) == (
            f"replace_state of Counter <test.1 counter>: expected the function to return, got {error!r}"
        )
        assert (caught.value.error, caught.value.__cause__) == (error, error)
        assert caught.value.operation == "replace_state of Counter <test.1 counter>"
        assert await call(pid, "count") == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1)])
def test_replacing_function_that_ends_the_program_does(error: BaseException) -> None:
    async def main() -> None:
        async with quick_node():
            pid = await start(Counter)
            await replace_state(pid, raises(error))

    with pytest.raises(type(error)):
        asyncio.run(main())


async def test_replacing_function_that_returns_no_dict_changes_nothing() -> None:
    async with quick_node():
        pid = await start(Counter, 1)
        with pytest.raises(CallbackFailedError) as caught:
            await replace_state(pid, lambda state: state.clear())  # type: ignore[arg-type,func-returns-value]
        assert isinstance(caught.value.error, BadReturnError)
        assert str(caught.value.error) == (
            "replace_state(function)(): expected the attributes by name (a dict) as its return value, got None\n"
            "Fix: return the dict, also when the function changed it in place."
        )
        assert await call(pid, "count") == 1


async def test_replacing_function_that_is_async_changes_nothing_and_is_told_so() -> None:
    async def change(state):
        return state

    async with quick_node():
        pid = await start(Counter, 1)
        with pytest.raises(CallbackFailedError, match=r"Fix: write a plain function, without async\."):
            await replace_state(pid, change)
        assert await call(pid, "count") == 1


@pytest.mark.parametrize("function", [None, 42, {"count": 1}])
async def test_replace_state_refuses_what_is_no_function(function: Any) -> None:
    async with quick_node():
        pid = await start(Counter)
        with pytest.raises(InvalidOptionError) as caught:
            await replace_state(pid, function)
        assert str(caught.value) == (f"replace_state(function): expected a function of the state, got {function!r}")


# --- get_status ----------------------------------------------------------------------------------


async def test_status_tells_who_it_is_and_what_waits() -> None:
    class Busy(Counter):
        def init(self, start=0):
            super().init(start)
            trap_exit()
            spawn_link(sleeper)
            monitor("nobody")
            monitor(self_pid())

        def handle_call(self, request, sender) -> Any:
            return NO_REPLY

    async with quick_node():
        statuses: list[Status] = []

        async def parent() -> None:
            pid = await start_link(Busy, 7, name="busy")
            waiting = asyncio.create_task(call(pid, "put off"))
            await steps()
            status = asyncio.create_task(get_status(pid))
            await asyncio.sleep(0)
            cast(pid, 1)
            cast(pid, 1)
            statuses.append(await status)
            waiting.cancel()

        await run_in_process(parent)
        (status,) = statuses
        assert status.pid.name == status.name == "busy"
        assert status.parent is not None
        assert status._replace(pid=None, parent=None) == (  # type: ignore[arg-type]
            *(None, "busy", "Busy", None, "running", {"count": 7}, 2, 0, 0, 1, 2, 1, True),
        )


async def test_status_of_a_server_that_holds_nothing() -> None:
    async with quick_node():
        pid = await start(Counter)
        assert await get_status(pid) == Status(
            pid=pid,
            name=None,
            label="Counter",
            parent=None,
            sysstate="running",
            state={"count": 0},
            mailbox=0,
            senders=0,
            overflows=0,
            callers=0,
            links=0,
            monitors=0,
            trap_exit=False,
        )


async def test_status_tells_that_a_server_is_suspended() -> None:
    async with quick_node():
        pid = await start(Counter)
        await suspend(pid)
        assert (await get_status(pid)).sysstate == "suspended"
        await resume(pid)
        assert (await get_status(pid)).sysstate == "running"


class Secretive(GenServer):
    def init(self, token):
        self.token = token

    def format_status(self, state):
        state["token"] = "*" * len(state["token"])
        return state


async def test_server_may_hide_some_of_its_state_in_the_status() -> None:
    async with quick_node():
        pid = await start(Secretive, "abc")
        assert (await get_status(pid)).state == {"token": "***"}
        assert await get_state(pid) == {"token": "abc"}


async def test_format_status_that_raises_stands_in_for_the_state_and_tells_no_secret() -> None:
    async with quick_node():
        pid = await start(Secretive, 123)
        assert (await get_status(pid)).state == "Secretive.format_status() raised TypeError"
        assert pid.alive


async def test_format_status_that_is_async_is_told_so() -> None:
    class Async(GenServer):
        async def format_status(self, state):
            return state

    async with quick_node():
        status = await get_status(await start(Async))
        assert status.state == "Async.format_status() is async; write a plain function"


async def test_replaced_state_may_be_the_very_dict_of_the_server() -> None:
    kept: list[GenServer] = []

    class Shown(Counter):
        def init(self, start=7):
            super().init(start)
            kept.append(self)

    async with quick_node():
        pid = await start(Shown)
        assert await replace_state(pid, lambda _: vars(kept[0])) == {"count": 7}
        assert await call(pid, "count") == 7


async def test_replaced_state_has_strings_for_names() -> None:
    async with quick_node():
        pid = await start(Counter)
        with pytest.raises(CallbackFailedError, match=r"expected the attributes by name \(a dict\) .* got {1: 2}"):
            await replace_state(pid, lambda _: {1: 2})  # type: ignore[dict-item]
        assert await get_state(pid) == {"count": 0}


# --- suspend, resume -----------------------------------------------------------------------------


async def test_suspended_server_handles_its_messages_in_order_once_it_is_resumed() -> None:
    async with quick_node():
        pid = await start(By)
        await suspend(pid)
        cast(pid, lambda server: server.state.append(1))
        send(pid, 2)
        waiting = asyncio.create_task(call(pid, lambda server: server.state[:]))
        await steps()
        assert len(process_of(pid).mailbox.queue) == 3
        await resume(pid)
        assert await waiting == [1, 2]


async def test_suspended_server_answers_sys_past_the_messages_that_wait() -> None:
    async with quick_node():
        pid = await start(Counter)
        await suspend(pid)
        for _ in range(3):
            cast(pid, 1)
            assert await get_state(pid) == {"count": 0}
        assert await replace_state(pid, lambda state: {"count": 10}) == {"count": 10}
        await resume(pid)
        assert await call(pid, "count") == 13


async def test_one_resume_is_enough_and_one_too_many_is_harmless() -> None:
    async with quick_node():
        pid = await start(Counter)
        await suspend(pid)
        await suspend(pid)
        await resume(pid)
        assert await call(pid, "count") == 0
        await resume(pid)
        assert await call(pid, "count") == 0


async def test_requests_behind_a_resume_are_answered_in_their_place_again() -> None:
    async with quick_node():
        pid = await start(Counter)
        await suspend(pid)
        cast(pid, 1)
        resumed = asyncio.create_task(resume(pid))
        state = asyncio.create_task(get_state(pid))
        await resumed
        assert await state == {"count": 1}


async def test_call_of_a_suspended_server_times_out_and_its_late_reply_is_dropped() -> None:
    async with quick_node():
        pid = await start(Counter)
        await suspend(pid)
        with pytest.raises(CallTimeoutError):
            await call(pid, "count", timeout=0.01)
        await resume(pid)
        assert await call(pid, "count") == 0


async def test_suspended_server_stops_when_it_is_told_to_past_the_messages_that_wait() -> None:
    async with quick_node():
        log: list[object] = []

        class Ends(By):
            async def terminate(self, reason):
                log.append((reason, self.state))

        pid = await start(Ends)
        await suspend(pid)
        send(pid, 1)
        await stop(pid, "shutdown")
        assert log == [("shutdown", [])]


async def test_suspended_server_ends_by_its_parents_exit_signal() -> None:
    async with quick_node():
        log: list[object] = []

        class Traps(By):
            async def init(self, *args):
                trap_exit()
                self.state = []

            async def terminate(self, reason):
                log.append(reason)

        async def parent() -> None:
            pid = await start_link(Traps)
            await suspend(pid)
            cast(pid, 1)
            exit(pid, ("shutdown", "now"))
            await wait_exit(pid, timeout=1)

        await wait_exit(spawn(parent), timeout=1)
        assert log == [("shutdown", "now")]


async def test_exit_signal_of_a_stranger_waits_while_the_server_is_suspended() -> None:
    async with quick_node():
        pid = await start(By, lambda _: trap_exit())
        await suspend(pid)
        stranger = spawn(lambda: asyncio.sleep(0, exit(pid, "shutdown")))
        await wait_exit(stranger, timeout=1)
        await steps()
        assert pid.alive
        await resume(pid)
        assert [message.pid for message in (await get_state(pid))["state"]] == [stranger]  # type: ignore[attr-defined]


async def test_suspended_server_can_be_killed() -> None:
    async with quick_node():
        pid = await start(Counter)
        await suspend(pid)
        waiting = asyncio.create_task(call(pid, "count", timeout=None))
        await steps()
        exit(pid, "kill")
        assert await wait_exit(pid, timeout=1) == "killed"
        with pytest.raises(CallExitError) as caught:
            await waiting
        assert caught.value.handled is False


async def test_message_withdrawn_from_a_suspended_server_hides_no_request() -> None:
    async with quick_node():
        pid = await start(Counter)
        await suspend(pid)
        envelope = ("cast", 1, None)
        process_of(pid).mailbox.put(envelope)
        await steps()
        process_of(pid).mailbox.withdraw(envelope)
        assert await get_state(pid) == {"count": 0}


# --- all of them ---------------------------------------------------------------------------------


@every
async def test_request_gets_into_a_full_mailbox(function: Any) -> None:
    async with quick_node():
        pid = await start(Counter, mailbox=1)
        cast(pid, 1)
        await function(pid)


@every
async def test_request_to_a_server_that_is_busy_times_out(function: Any) -> None:
    async with quick_node():
        pid = await start(By)
        cast(pid, hang)
        with pytest.raises(CallTimeoutError) as caught:
            await function(pid, timeout=0.01)
        assert str(caught.value).startswith(
            f"call to <test.1>: expected a reply to {name_of(function)}() within 0.01 s, got none"
        )


@every
async def test_request_to_nobody_is_noproc(function: Any) -> None:
    async with quick_node():
        with pytest.raises(CallExitError) as caught:
            await function("nobody")
        assert str(caught.value) == (
            f"call to 'nobody': expected a reply to {name_of(function)}(), got no such process (noproc)\n"
            "Fix: start the process with name='nobody' first."
        )


@every
async def test_request_to_a_server_that_is_ending_is_refused_at_once(function: Any) -> None:
    async with quick_node(exit_grace=10):

        class Slow(GenServer):
            async def terminate(self, reason):
                await hang()

        pid = await start(Slow)
        stopping = asyncio.create_task(stop(pid))
        await steps()
        with pytest.raises(CallExitError, match="noproc"):
            await function(pid, timeout=None)
        exit(pid, "kill")
        with pytest.raises(StopExitError):
            await stopping


@every
async def test_request_that_a_server_never_saw_hears_of_its_exit(function: Any) -> None:
    async with quick_node():
        pid = await start(By)
        cast(pid, hang)
        asking = asyncio.create_task(function(pid))
        await steps()
        exit(pid, "shutdown")
        with pytest.raises(CallExitError, match="its exit with reason 'shutdown'; the request was not handled"):
            await asking


async def test_request_of_a_crashed_server_keeps_the_crash_in_sight() -> None:
    async with quick_node():
        pid, error = await start(By), ValueError("broken")
        cast(pid, raises(error))
        with pytest.raises(CallExitError) as caught:
            await get_state(pid)
        assert caught.value.__cause__ is error


@every
async def test_server_that_asks_itself_is_told_so_at_once(function: Any) -> None:
    async with quick_node():
        pid = await start(By)

        async def ask(_: Any) -> str:
            with pytest.raises(CallSelfError) as caught:
                await function(pid)
            return str(caught.value)

        name = name_of(function)
        fix = "use the attributes of self." if "state" in name else "ask from another process."
        assert await call(pid, ask) == (
            f"{name} of <test.1>: expected another process, got the calling process itself with {name}()\nFix: {fix}"
        )


@every
async def test_plain_process_is_refused_at_once_and_gets_nothing(function: Any) -> None:
    async with quick_node():

        async def plain() -> None:
            await receive(timeout=None)

        pid = spawn(plain)
        await steps()
        with pytest.raises(InvalidOptionError) as caught:
            await function(pid)
        assert str(caught.value) == (
            f"{name_of(function)}(ref): expected a server, got the plain process {process_of(pid)!r}\n"
            "Fix: send it a message that it knows; only the loop of a GenServer answers sys functions."
        )
        assert not process_of(pid).mailbox.queue


@every
async def test_wrong_arguments_are_refused(function: Any) -> None:
    async with quick_node():
        pid = await start(Counter)
        with pytest.raises(InvalidOptionError) as caught:
            await function(pid, timeout=-1)
        assert str(caught.value) == (
            f"{name_of(function)}(timeout): expected seconds >= 0 as a finite number, or a timedelta, got -1"
        )
        with pytest.raises(InvalidOptionError, match=rf"^{name_of(function)}\(ref\): expected a pid.*, got 3"):
            await function(3)
        assert not process_of(pid).mailbox.queue


@every
async def test_name_needs_a_node(function: Any) -> None:
    with pytest.raises(NoNodeError, match=rf"^{name_of(function)}\(ref\): expected a running node"):
        await function("counter")


@every
async def test_cancelled_request_leaves_no_deadline(function: Any) -> None:
    async with quick_node() as node:
        pid = await start(By)
        cast(pid, hang)
        asking = asyncio.create_task(function(pid))
        await steps()
        asking.cancel()
        await asyncio.wait([asking])
        assert not any(node.wheel._buckets.values())


async def test_request_works_across_nodes() -> None:
    async with quick_node("one"):
        pid = await start(Counter, 3)
        async with quick_node("two"):
            assert await get_state(pid) == {"count": 3}


@pytest.mark.parametrize("ask", [get_state, get_status, suspend, resume, partial(replace_state, function=dict)])
async def test_question_has_the_limit_that_a_rule_gives_it(ask) -> None:
    async with quick_node() as node:
        pid = await start(By)
        cast(pid, hang)
        name = (ask.func if isinstance(ask, partial) else ask).__name__
        node.timeouts.set(0.01, operation=f"stanchion.{name}")
        with pytest.raises(CallTimeoutError, match=rf"expected a reply to {name}\(\) within 0.01 s"):
            await ask(pid)


async def test_question_under_a_deadline_that_has_passed_is_not_asked() -> None:
    async with quick_node():
        pid = await start(By)
        with pytest.raises(CallTimeoutError, match="the request was not sent"):
            async with deadline(0):
                await suspend(pid)
        assert (await get_status(pid)).sysstate == "running"


async def test_rule_for_one_question_is_none_for_the_others() -> None:
    async with quick_node() as node:
        pid = await start(By)
        node.timeouts.set(3.0, operation="stanchion.get_state")
        node.timeouts.set(0.01, operation="stanchion.suspend")
        await get_state(pid)
        cast(pid, hang)
        with pytest.raises(CallTimeoutError, match=r"expected a reply to suspend\(\) within 0\.01 s"):
            await suspend(pid)
