# SPDX-License-Identifier: MIT
"""Messages that a server keeps back: what a server that postpones is made of."""

from __future__ import annotations

import asyncio

import pytest

from stanchion.errors import CallExitError, CallTimeoutError
from stanchion.kernel import current_process, exit, wait_exit
from stanchion.server import HELD, GenServer, call, cast, hold, send, settle, start, take_up
from stanchion.telemetry import LATE_REPLY
from tests.kernel.helpers import Events, process_of, quick_node, steps
from tests.server.servers import wanted


class Keeper(GenServer):
    """Keeps back what it is sent until it is sent "go"; then it echoes in the order of arrival."""

    def init(self):
        self.kept = []
        self.done = []

    def handle_call(self, request, sender):
        return self.keep(request)

    def handle_cast(self, message):
        return self.keep(message)

    def handle_info(self, message):
        return self.keep(message)

    def keep(self, message):
        process = current_process("test")
        if message != "go":
            self.kept.append(hold(process))
            return HELD
        settle(process, "gone")
        while self.kept:
            envelope = self.kept.pop(0)
            take_up(process, envelope)
            if envelope[1] == "crash":
                raise ValueError("crash")
            self.done.append(envelope[1])
            settle(process, envelope[1])
        return HELD


class Postpones(GenServer):
    """Keeps all messages for later, and never comes to it."""

    def handle_call(self, request, sender):
        return self.keep()

    def handle_cast(self, message):
        return self.keep()

    def keep(self):
        hold(current_process("test"), handled=False)
        return HELD


async def test_held_call_is_answered_when_it_is_taken_up() -> None:
    async with quick_node():
        pid = await start(Keeper)
        waiting = [asyncio.create_task(call(pid, number)) for number in (1, 2)]
        await steps()
        assert [task.done() for task in waiting] == [False, False]
        assert await call(pid, "go") == "gone"
        assert await asyncio.gather(*waiting) == [1, 2]
        assert not process_of(pid).deferred


async def test_held_plain_messages_are_handled_when_they_are_taken_up() -> None:
    async with quick_node():
        pid = await start(Keeper)
        cast(pid, 1)
        send(pid, 2)
        cast(pid, "go")
        await steps()
        assert not process_of(pid).deferred


async def test_held_message_is_confirmed_when_it_is_taken_up() -> None:
    async with quick_node():
        pid = await start(Keeper)
        token = wanted(pid, 1)
        await steps()
        assert token.log == []
        assert await call(pid, "go") == "gone"
        assert token.log == ["processed"]


@pytest.mark.parametrize(("server", "handled"), [(Keeper, True), (Postpones, False)])
async def test_those_who_wait_for_a_held_message_hear_of_the_exit_and_whether_it_was_handled(server, handled) -> None:
    async with quick_node():
        pid = await start(server)
        token = wanted(pid, 1)
        waiting = asyncio.create_task(call(pid, 1, timeout=None))
        await steps()
        exit(pid, "shutdown")
        with pytest.raises(CallExitError) as caught:
            await waiting
        assert (caught.value.reason, caught.value.handled) == ("shutdown", handled)
        assert token.log == [("abandoned", "shutdown", handled)]


async def test_message_that_crashes_when_it_is_taken_up_is_told_once() -> None:
    async with quick_node():
        pid = await start(Keeper)
        first, second = wanted(pid, "crash"), wanted(pid, 2)
        cast(pid, "go")
        reason = await wait_exit(pid, timeout=1)
        assert isinstance(reason, ValueError)
        assert (first.log, second.log) == ([("abandoned", reason, True)], [("abandoned", reason, True)])


async def test_caller_that_stops_waiting_is_owed_nothing() -> None:
    async with quick_node() as node:
        late = Events(node, LATE_REPLY)
        pid = await start(Keeper)
        with pytest.raises(CallTimeoutError):
            await call(pid, 1, timeout=0)
        await steps()
        assert not process_of(pid).deferred
        await call(pid, "go")
        assert late.all("cause") == ["timeout"]


async def test_caller_that_stopped_waiting_before_its_message_is_held_is_owed_nothing() -> None:
    async with quick_node():
        pid = await start(Keeper)
        waiting = asyncio.create_task(call(pid, 1))
        await asyncio.sleep(0)  # the request is in the mailbox
        waiting.cancel()
        await steps()
        assert not process_of(pid).deferred


async def test_message_that_its_sender_took_back_is_not_taken_up() -> None:
    class Takes(Keeper):
        def keep(self, message):
            process = current_process("test")
            if message != "go":
                return super().keep(message)
            settle(process, [take_up(process, envelope) for envelope in self.kept])
            return HELD

    async with quick_node():
        pid = await start(Takes)
        token = wanted(pid, 1)
        await steps()
        deferred = process_of(pid).deferred
        assert deferred is not None
        del deferred[token]
        assert await call(pid, "go") == [False]
        assert token.log == []


async def test_settling_when_nothing_is_in_hand_is_harmless() -> None:
    async with quick_node():

        class Twice(GenServer):
            def handle_call(self, request, sender):
                settle(current_process("test"), 1)
                settle(current_process("test"), 2)
                return HELD

        assert await call(await start(Twice), 1) == 1
