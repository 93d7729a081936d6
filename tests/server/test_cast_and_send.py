# SPDX-License-Identifier: MIT
from __future__ import annotations

import weakref

import pytest

from stanchion.errors import InvalidOptionError, NoNodeError
from stanchion.kernel import DEADLINES, exit, self_pid, wait_exit
from stanchion.server import GenServer, Timeout, call, cast, send, start, stop
from stanchion.telemetry import DEAD_LETTER, DROPPED
from tests.kernel.helpers import Events, Hearer, quick_node, run_in_process, steps
from tests.server.servers import Counter


async def test_cast_goes_to_handle_cast_and_send_to_handle_info() -> None:
    async with quick_node():
        got: list[object] = []

        class Both(GenServer):
            def handle_cast(self, message):
                got.append(("cast", message))

            def handle_info(self, message):
                got.append(("info", message))

        await start(Both, name="both")
        cast("both", 1)
        send("both", 2)
        await stop("both")
        assert got == [("cast", 1), ("info", 2)]


async def test_message_is_the_very_object() -> None:
    async with quick_node():
        message = object()
        hearer = Hearer()
        cast(hearer.pid, message)
        await steps()
        assert hearer.heard[0] is message


async def test_process_may_cast_to_itself() -> None:
    async with quick_node():

        class Twice(GenServer):
            def init(self):
                self.count = 0

            def handle_cast(self, message):
                self.count += 1
                if message:
                    cast(self_pid(), message - 1)

            def handle_call(self, request, sender):
                return self.count

        pid = await start(Twice)
        cast(pid, 5)
        await steps()
        assert await call(pid, "count") == 6


@pytest.mark.parametrize("send_it", [cast, send])
async def test_message_that_cannot_be_taken_is_an_event_and_no_exception(send_it) -> None:
    async with quick_node() as node:
        events = Events(node, DEAD_LETTER, DROPPED)
        pid = await start(Counter, mailbox=1)
        for _ in range(3):
            send_it(pid, 1)
        await stop(pid)
        send_it(pid, 1)
        send_it("nobody", 1)
        assert [event.name[-1] for event, _, _ in events.told] == ["dropped", "dropped", "dead_letter", "dead_letter"]


async def test_loss_is_told_by_the_receivers_node() -> None:
    async with quick_node("a") as there:
        events = Events(there, DROPPED)
        pid = await start(Counter, mailbox=1)
        async with quick_node("b"):
            cast(pid, 1)
            cast(pid, 1)
        assert events.all("node") == ["a"]


async def test_loss_of_a_message_to_the_dead_is_told_by_the_senders_node() -> None:
    async with quick_node("a"):
        pid = await start(Counter)
    async with quick_node("b") as here:
        events = Events(here, DEAD_LETTER)
        cast(pid, 1)
        assert events.all("node") == ["b"]


async def test_cast_works_from_a_process() -> None:
    async with quick_node():
        pid = await start(Counter, name="counter")
        await run_in_process(cast, "counter", 4)
        assert await call(pid, "count") == 4


@pytest.mark.parametrize("send_it", [cast, send])
async def test_sending_refuses_what_is_no_ref(send_it) -> None:
    async with quick_node():
        with pytest.raises(InvalidOptionError) as caught:
            send_it(3, "x")
        assert str(caught.value) == (
            f"{send_it.__name__}(ref): expected a pid or a registered name, got 3\n"
            "Fix: pass what start() or spawn() returned, or the name= the process was started with."
        )


@pytest.mark.parametrize("send_it", [cast, send])
async def test_sending_by_name_needs_a_node(send_it) -> None:
    with pytest.raises(NoNodeError, match=rf"^{send_it.__name__}\(ref\): expected a running node"):
        send_it("counter", 1)


@pytest.mark.parametrize("used", [False, True])
async def test_cast_is_the_same_before_and_after_the_first_deadline(
    used: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While there has been no deadline in the interpreter, who casts does not look for one."""
    monkeypatch.setattr(DEADLINES, "used", used)
    async with quick_node() as node:
        lost = Events(node, DEAD_LETTER)
        hearer = Hearer()
        cast(hearer.pid, 1)
        await steps()
        exit(hearer.pid, "kill")
        await wait_exit(hearer.pid, timeout=1)
        cast(hearer.pid, 2)
        assert hearer.heard == [1]
        assert lost.all("message") == [2]


@pytest.mark.parametrize("then", [None, Timeout(1)])
async def test_server_that_waits_keeps_nothing_of_its_last_message(then: Timeout | None) -> None:
    class Message:
        pass

    class Heedless(GenServer):
        def handle_cast(self, message):
            return then

    async with quick_node():
        server, message = await start(Heedless), Message()
        cast(server, message)
        await steps()
        kept = weakref.ref(message)
        del message
        assert kept() is None
