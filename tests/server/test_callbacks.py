# SPDX-License-Identifier: MIT
"""Which callback gets what, and what its return value does."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stanchion.errors import UnhandledRequestError
from stanchion.kernel import Down, Exit, exit, monitor, self_pid, spawn, trap_exit, wait_exit
from stanchion.server import (
    UNHANDLED,
    Continue,
    GenServer,
    Reject,
    Stop,
    call,
    cast,
    send,
    start,
    stop,
)
from stanchion.telemetry import DEAD_LETTER, MESSAGE_UNHANDLED
from tests.kernel.helpers import Events, process_of, quick_node, sleeper, steps
from tests.server.servers import By, Counter, Token, hang, raises, returns


@pytest.mark.parametrize("kind", ["plain", "async"])
async def test_callbacks_may_be_plain_or_async(kind: str) -> None:
    log: list[object] = []

    class Plain(GenServer):
        def init(self, *args):
            log.append(("init", args))
            return Continue("go")

        def handle_continue(self, arg):
            log.append(("continue", arg))

        def handle_call(self, request, sender):
            log.append(("call", request))
            return "reply"

        def handle_cast(self, message):
            log.append(("cast", message))

        def handle_info(self, message):
            log.append(("info", message))

        def terminate(self, reason):
            log.append(("terminate", reason))

    class Async(GenServer):
        async def init(self, *args):
            return Plain.init(self, *args)

        async def handle_continue(self, arg):
            return Plain.handle_continue(self, arg)

        async def handle_call(self, request, sender):
            return Plain.handle_call(self, request, sender)

        async def handle_cast(self, message):
            return Plain.handle_cast(self, message)

        async def handle_info(self, message):
            return Plain.handle_info(self, message)

        async def terminate(self, reason):
            return Plain.terminate(self, reason)

    async with quick_node():
        pid = await start({"plain": Plain, "async": Async}[kind], 1, 2)
        cast(pid, "a")
        send(pid, "b")
        assert await call(pid, "c") == "reply"
        await stop(pid, "shutdown")
    assert log == [
        ("init", (1, 2)),
        ("continue", "go"),
        ("cast", "a"),
        ("info", "b"),
        ("call", "c"),
        ("terminate", "shutdown"),
    ]


async def test_callbacks_of_one_server_never_overlap() -> None:
    async with quick_node():
        running: list[int] = []

        class Slow(GenServer):
            async def handle_call(self, request, sender):
                running.append(request)
                await asyncio.sleep(0)
                assert running == [request]
                running.clear()

        pid = await start(Slow)
        await asyncio.gather(*(call(pid, number) for number in range(20)))


async def test_handle_info_gets_down_and_exit_messages() -> None:
    async with quick_node():
        other = spawn(sleeper)

        def watch(server):
            trap_exit()
            server.ref = monitor(other)

        pid = await start(By, watch)
        exit(other, "kill")
        stranger = spawn(lambda: asyncio.sleep(0, exit(pid, "shutdown")))
        await wait_exit(stranger, timeout=1)
        told: list[Any] = []
        await call(pid, lambda server: told.extend([server.ref, server.state]))
        ref, state = told
        assert sorted(state, key=repr) == sorted(
            [Down(ref, other, "killed", None), Exit(stranger, "shutdown")], key=repr
        )


@pytest.mark.parametrize("send_it", [cast, send])
async def test_crash_in_a_callback_ends_the_server_and_is_logged_with_the_message(
    send_it, caplog: pytest.LogCaptureFixture
) -> None:
    class Fragile(GenServer):
        def handle_cast(self, message):
            raise ValueError("broken")

        handle_info = handle_cast

    async with quick_node():
        pid = await start(Fragile, name="fragile")
        send_it(pid, {"order": 7})
        send_it(pid, "left")
        assert str(await wait_exit(pid, timeout=1)) == "broken"
        crash = [record for record in caplog.records if record.name == "stanchion.process"]
        assert [record.getMessage() for record in crash] == [
            "Fragile <test.1 fragile> crashed on {'order': 7}; 1 messages were left in its mailbox"
        ]


@pytest.mark.parametrize("kind", ["cast", "info"])
async def test_message_without_a_clause_is_told_and_logged_and_the_server_goes_on(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with quick_node() as node:
        events = Events(node, MESSAGE_UNHANDLED, DEAD_LETTER)
        pid = await start(GenServer, name="idle")
        {"cast": cast, "info": send}[kind](pid, "what?")
        await steps()
        assert pid.alive
        assert events.told == [
            (
                MESSAGE_UNHANDLED,
                {"count": 1},
                {"node": "test", "pid": pid, "name": "idle", "kind": kind, "message": "what?"},
            )
        ]
        assert [record.getMessage() for record in caplog.records] == [
            f"message to <test.1 idle> was not handled (GenServer.handle_{kind}() has no clause for it): 'what?'"
        ]


async def test_request_without_a_clause_is_an_error_for_the_caller_alone() -> None:
    async with quick_node() as node:
        events = Events(node, MESSAGE_UNHANDLED)

        class Picky(GenServer):
            def handle_call(self, request, sender):
                return UNHANDLED

        pid = await start(Picky)
        with pytest.raises(UnhandledRequestError) as caught:
            await call(pid, {"what": 1})
        assert str(caught.value) == (
            "call to <test.1>: expected Picky.handle_call() to know the request, got {'what': 1}\n"
            "Fix: add a clause for it to Picky.handle_call(), or send what it knows."
        )
        assert (caught.value.target, caught.value.request) == ("<test.1>", "{'what': 1}")
        assert events.all("kind") == ["call"]
        assert pid.alive


async def test_message_without_a_clause_costs_nothing_when_nobody_listens() -> None:
    async with quick_node():
        pid = await start(GenServer)
        with pytest.raises(UnhandledRequestError):
            await call(pid, 1)


async def test_rejected_cast_is_a_dead_letter_event_and_the_server_goes_on() -> None:
    async with quick_node() as node:
        events = Events(node, DEAD_LETTER)
        pid = await start(By)
        message = returns(Reject("closed today"))
        cast(pid, message)
        await steps()
        assert pid.alive
        assert events.told[0][2] == {
            "node": "test",
            "recipient": pid,
            "message": message,
            "reason": "rejected: closed today",
        }


@pytest.mark.parametrize(
    ("result", "told"),
    [
        (None, ["processed"]),
        (Reject("no", retry=False), [("no", True, False)]),
        (UNHANDLED, [("By.handle_cast", False, False)]),
        (Continue(returns(None)), ["processed"]),
        (Stop("shutdown"), ["processed"]),
    ],
)
async def test_sender_that_wants_to_know_is_told_what_the_handler_returned(result, told: list[object]) -> None:
    async with quick_node():
        pid, token = await start(By), Token()
        process_of(pid).mailbox.put(("cast", returns(result), token))
        await steps()
        assert token.log == told


async def test_sender_that_wants_to_know_is_told_of_a_crash_in_handle_continue() -> None:
    async with quick_node():
        pid, token, error = await start(By), Token(), ValueError("broken")
        process_of(pid).mailbox.put(("cast", returns(Continue(raises(error))), token))
        await steps()
        assert token.log == [("abandoned", error, True)]


async def test_plain_handler_that_returns_a_coroutine_is_awaited() -> None:
    async with quick_node():
        pid = await start(By)

        class Forwards(GenServer):
            def handle_call(self, request, sender):
                return call(request, returns("from behind"))

        assert await call(await start(Forwards), pid) == "from behind"


async def test_message_withdrawn_between_wake_and_read_is_not_missed() -> None:
    async with quick_node():
        pid = await start(Counter)
        await steps()
        mailbox = process_of(pid).mailbox
        envelope = ("cast", 5, None)
        mailbox.put(envelope)
        assert mailbox.withdraw(envelope)
        await steps()
        assert await call(pid, "count") == 0


async def test_message_withdrawn_while_the_server_lets_others_run_is_not_missed() -> None:
    async with quick_node():
        pid = await start(Counter)
        mailbox = process_of(pid).mailbox
        for _ in range(256):
            cast(pid, 1)
        last = ("cast", 1000, None)
        mailbox.put(last)
        await steps(1)
        assert mailbox.withdraw(last)
        assert await call(pid, "count") == 256


async def test_flooded_server_lets_other_tasks_run() -> None:
    async with quick_node():
        handled: list[int] = []

        class Flood(GenServer):
            def handle_cast(self, message):
                handled.append(message)
                cast(self_pid(), message + 1)

        pid = await start(Flood)
        cast(pid, 1)
        before = 0
        for _ in range(4):
            await asyncio.sleep(0)
            assert len(handled) - before <= 256
            before = len(handled)
        assert before > 256


async def test_server_sees_the_class_it_was_started_with_in_its_texts() -> None:
    async with quick_node():
        pid = await start(By)
        assert repr(process_of(pid)) == "By <test.1>"
        cast(pid, hang)
        await steps()
