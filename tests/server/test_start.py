# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
import contextlib

import pytest

from stanchion.errors import (
    BadReturnError,
    InvalidOptionError,
    NameTakenError,
    NodeStateError,
    NoNodeError,
    StartError,
)
from stanchion.kernel import Node, ProcessExit, deadline, exit, link, register, self_pid, spawn, wait_exit, whereis
from stanchion.server import IGNORE, NO_REPLY, UNHANDLED, Continue, GenServer, Reply, Stop, call, start
from tests.kernel.helpers import process_of, quick_node, run_in_process, sleeper, steps
from tests.server.servers import HANG, By, Counter, hang, raises, returns


async def test_started_server_is_ready_and_gets_its_arguments() -> None:
    async with quick_node():
        pid = await start(Counter, 40, name="counter")
        assert whereis("counter") is pid
        assert await call(pid, "count") == 40


async def test_server_takes_no_message_before_its_init_is_done() -> None:
    async with quick_node():
        gate = asyncio.Event()

        class Slow(GenServer):
            async def init(self):
                await gate.wait()
                self.ready = True

            def handle_call(self, request, sender):
                return self.ready

        starting = asyncio.create_task(start(Slow, name="slow"))
        await steps()
        answer = asyncio.create_task(call("slow", 1))
        await steps()
        assert not starting.done()
        gate.set()
        await starting
        assert await answer is True


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("broken"), "ValueError('broken')"),
        (asyncio.CancelledError(), "CancelledError()"),
        (BaseExceptionGroup("g", [ProcessExit()]), "BaseExceptionGroup('g', [ProcessExit('normal')])"),
    ],
)
async def test_init_that_raises_is_a_start_error_and_leaves_no_process(
    error: BaseException, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with quick_node() as node:
        with pytest.raises(StartError) as caught:
            await start(By, raises(error), name="by")
        assert str(caught.value) == f"start of By <test.1 by>: expected init to finish, got {text}"
        assert caught.value.reason is error
        assert caught.value.__cause__ is error
        assert node.processes == {}
        assert whereis("by") is None
        assert caplog.records == []


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (Stop("shutdown"), "shutdown"),
        (Stop(), "normal"),
        (Stop(("shutdown", "no room")), ("shutdown", "no room")),
        (IGNORE, "ignore"),
    ],
)
async def test_init_that_declines_is_a_start_error(result: object, reason: object) -> None:
    async with quick_node() as node:
        with pytest.raises(StartError) as caught:
            await start(By, returns(result))
        assert str(caught.value) == f"start of By <test.1>: expected init to finish, got {reason!r}"
        assert caught.value.reason == reason
        assert node.processes == {}


async def test_init_that_raises_process_exit_is_a_start_error_with_its_reason() -> None:
    async with quick_node():
        with pytest.raises(StartError) as caught:
            await start(By, raises(ProcessExit(("shutdown", 3))))
        assert caught.value.reason == ("shutdown", 3)


@pytest.mark.parametrize("result", [42, NO_REPLY, UNHANDLED, Reply(1, then=Stop()), [IGNORE]])
async def test_init_that_returns_something_else_is_a_start_error(result: object) -> None:
    async with quick_node():
        with pytest.raises(StartError) as caught:
            await start(By, returns(result))
        assert isinstance(caught.value.reason, BadReturnError)
        assert str(caught.value.reason) == (
            "By.init(): expected None, Continue(...), Timeout(...), Stop(...) or IGNORE as its return value, "
            f"got {result!r}"
        )


async def test_terminate_does_not_run_when_init_fails() -> None:
    states: list[object] = []

    def fail(server):
        states.append(server.state)
        raise ValueError

    async with quick_node():
        with pytest.raises(StartError):
            await start(By, fail)
        assert states == [[]]


async def test_init_that_takes_too_long_is_killed_and_says_what_to_do() -> None:
    async with quick_node() as node:
        with pytest.raises(StartError) as caught:
            await start(By, hang, timeout=0.01)
        assert str(caught.value) == (
            "start of By <test.1>: expected init to finish within 0.01 s, got 'timeout'\n"
            "Limit: timeout=0.01.\n"
            f"Target: By <test.1> is in its init(), at {HANG}.\n"
            "Fix: pass a longer timeout=, or do the slow work in handle_continue()."
        )
        assert node.processes == {}


async def test_init_may_take_as_long_as_the_node_says_when_nothing_is_said() -> None:
    async with quick_node(timeouts=0.01):
        with pytest.raises(StartError, match="got 'timeout'"):
            await start(By, hang)


async def test_class_may_say_how_long_its_init_may_take() -> None:
    class Patient(By):
        start_timeout = 0.01

    async with quick_node():
        with pytest.raises(StartError, match="got 'timeout'"):
            await start(Patient, hang)


async def test_init_may_take_for_ever_when_told_so() -> None:
    async with quick_node(timeouts=0.001):
        pid = await start(By, lambda _: asyncio.sleep(0.02), timeout=None)
        assert pid.alive


async def test_init_that_swallows_its_timeout_is_declared_dead() -> None:
    free = asyncio.Event()

    async def deaf(_):
        while not free.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await free.wait()

    async with quick_node() as node:
        with pytest.raises(StartError, match="got 'timeout'"):
            await start(By, deaf, timeout=0.01)
        assert node.processes == {}
        free.set()
        while node.runaways:
            await asyncio.sleep(0)


async def test_init_that_swallows_an_exit_signal_and_returns_ends_with_its_reason() -> None:
    async def swallow(_):
        with contextlib.suppress(asyncio.CancelledError):
            await hang()
        await asyncio.sleep(0)  # see tests/server/test_stop.py

    async with quick_node(exit_grace=10):
        starting = asyncio.create_task(start(By, swallow, name="by"))
        await steps()
        pid = whereis("by")
        assert pid is not None
        exit(pid, "shutdown")
        with pytest.raises(StartError) as caught:
            await starting
        assert caught.value.reason == "shutdown"


@pytest.mark.parametrize(("reason", "told"), [("kill", "killed"), ("shutdown", "shutdown")])
async def test_server_that_is_ended_during_its_init_is_a_start_error(reason, told: str) -> None:
    async with quick_node():
        starting = asyncio.create_task(start(By, hang, name="by"))
        await steps()
        exit(whereis("by"), reason)
        with pytest.raises(StartError) as caught:
            await starting
        assert caught.value.reason == told


async def test_init_that_is_linked_with_a_process_that_exits_is_a_start_error() -> None:
    async with quick_node():
        other = spawn(sleeper)

        async def linked(_):
            link(other)
            exit(other, "kill")
            await hang()

        with pytest.raises(StartError) as caught:
            await start(By, linked)
        assert caught.value.reason == "killed"


async def test_cancelled_start_kills_the_half_started_server() -> None:
    async with quick_node() as node:
        starting = asyncio.create_task(start(By, hang, name="by"))
        await steps()
        pid = whereis("by")
        starting.cancel()
        await asyncio.wait([starting])
        assert starting.cancelled()
        assert pid is not None
        assert await wait_exit(pid, timeout=1) in ("killed", "noproc")
        assert node.processes == {}


async def test_start_that_is_cancelled_when_its_server_has_failed_already_is_harmless() -> None:
    async with quick_node() as node:
        starting = asyncio.create_task(start(By, raises(ValueError())))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        starting.cancel()
        await asyncio.wait([starting])
        assert starting.cancelled()
        assert node.processes == {}


async def test_init_may_register_itself() -> None:
    async with quick_node():
        pid = await start(By, lambda _: register("me", self_pid()))
        assert whereis("me") is pid


async def test_taken_name_is_refused_before_init_runs() -> None:
    async with quick_node() as node:
        await start(Counter, name="counter")
        with pytest.raises(NameTakenError, match=r"got one held by <test\.1 counter>"):
            await start(By, raises(AssertionError("ran")), name="counter")
        assert len(node.processes) == 1


async def test_class_whose_constructor_fails_is_a_start_error() -> None:
    class Demanding(GenServer):
        def __init__(self, needed: int) -> None:
            self.needed = needed

    async with quick_node():
        with pytest.raises(StartError, match="missing 1 required positional argument: 'needed'"):
            await start(Demanding)


async def test_class_without_an_init_refuses_arguments() -> None:
    async with quick_node():
        with pytest.raises(StartError) as caught:
            await start(GenServer, 1, "two")
        assert str(caught.value.reason) == (
            "start of GenServer: expected no arguments, since GenServer has no init() to take them, got (1, 'two')\n"
            "Fix: write init(self, ...) in GenServer."
        )


async def test_start_refuses_an_instance() -> None:
    async with quick_node():
        server = Counter()
        with pytest.raises(InvalidOptionError) as caught:
            await start(server)
        assert str(caught.value) == (
            f"start(server): expected a subclass of GenServer, got {server!r}\n"
            "Fix: pass the class, and the arguments of init after it."
        )


@pytest.mark.parametrize("server", [int, None, "Counter", hang])
async def test_start_refuses_what_is_no_server(server) -> None:
    async with quick_node():
        with pytest.raises(InvalidOptionError) as caught:
            await start(server)
        assert str(caught.value) == f"start(server): expected a subclass of GenServer, got {server!r}"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"mailbox": 0}, "start(mailbox): expected a whole number >= 1, a MailboxPolicy or None, got 0"),
        ({"timeout": -1}, "start(timeout): expected seconds >= 0 as a finite number, or a timedelta, got -1"),
        ({"name": ""}, "start of Counter: name: expected a name (a string that is not empty), got ''"),
    ],
)
async def test_start_refuses_wrong_options(options: dict[str, object], text: str) -> None:
    async with quick_node() as node:
        with pytest.raises(InvalidOptionError) as caught:
            await start(Counter, **options)
        assert str(caught.value) == text
        assert node.processes == {}


async def test_start_needs_a_node() -> None:
    with pytest.raises(NoNodeError, match=r"^start\(\): expected a running node"):
        await start(Counter)


async def test_start_is_refused_when_the_node_has_stopped() -> None:
    gate = asyncio.Event()

    async def late() -> None:
        await gate.wait()
        await start(Counter)

    async with quick_node():
        task = asyncio.create_task(late())
        await steps()
    gate.set()
    with pytest.raises(
        NodeStateError, match="start of Counter on node 'test': expected a running node, got one that is stopped"
    ):
        await task


async def test_started_server_is_watched_by_nobody() -> None:
    async with quick_node():
        pid = await start(Counter)
        assert process_of(pid).watchers is None
        assert not process_of(pid).starting


async def test_server_started_by_a_process_without_a_link_outlives_it() -> None:
    async with quick_node():
        pid = await run_in_process(start, Counter)
        await steps()
        assert pid.alive
        assert process_of(pid).parent is None


async def test_continue_out_of_init_is_part_of_no_start() -> None:
    async with quick_node():
        pid = await start(By, returns(Continue(hang)))
        assert pid.alive


async def test_start_under_a_deadline_that_has_passed_starts_nothing() -> None:
    began = []
    async with quick_node() as node:
        with pytest.raises(StartError) as caught:
            async with deadline(0):
                await start(By, began.append)
        assert str(caught.value) == (
            "start of By: expected init to finish within 0 s, got 'timeout', and nothing was started\n"
            f"Limit: what was left of {caught.value.cut_by}; without it: default = 5 s (code).\n"
            "Fix: give the deadline more seconds, or do less under it."
        )
        assert node.next_id() == 1
    assert began == []


async def test_init_may_take_no_longer_than_the_deadline_leaves(node: Node) -> None:
    with pytest.raises(StartError, match=r"Limit: what was left of the deadline of 1 s .*without it: timeout=5\."):
        async with deadline(1):
            await start(By, hang, timeout=5)
    assert node.processes == {}


async def test_init_has_the_time_that_a_rule_gives() -> None:
    async with quick_node() as node:
        node.timeouts.set(0.01, operation="stanchion.init")
        with pytest.raises(StartError, match=r"Limit: operation 'stanchion\.init' = 0\.01 s"):
            await start(By, hang)
