# SPDX-License-Identifier: MIT
"""Credits: a sender that waits while so many of its messages are unhandled."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import stanchion as st
from stanchion.delivery import CreditStatistics
from stanchion.errors import InvalidOptionError
from stanchion.telemetry import DEAD_LETTER, DROPPED
from tests.kernel.helpers import Events, process_of, quick_node, sleeper, steps


class Gate(st.GenServer):
    """Handles messages only while it is open."""

    def init(self, made: list[Gate]) -> None:
        made.append(self)
        self.open = asyncio.Event()
        self.heard: list[Any] = []

    async def handle_cast(self, message: Any) -> Any:
        await self.open.wait()
        self.heard.append(message)
        if message == "reject":
            return st.Reject("not now")
        return st.UNHANDLED if message == "no clause" else None


async def gate(**options: Any) -> tuple[st.Pid, Gate]:
    """Start a closed gate; return it and its own object."""
    made: list[Gate] = []
    return await st.start(Gate, made, **options), made[0]


async def casts(sender: st.CreditSender, messages: Any) -> list[bool]:
    """Cast one after the other."""
    return [await sender.cast(message) for message in messages]


async def test_sender_waits_while_its_window_is_unhandled_and_order_is_kept() -> None:
    async with quick_node():
        pid, server = await gate()
        sender = st.credits(pid, window=2)
        casting = asyncio.create_task(casts(sender, range(5)))
        await steps()
        assert sender.statistics() == CreditStatistics(window=2, unhandled=2, waiting=1, handled=0, lost=0)
        assert repr(sender) == f"<credits for {pid!r}: 2 of 2 out>"
        server.open.set()
        assert await casting == [True] * 5
        await sender.drain()
        assert server.heard == [0, 1, 2, 3, 4]
        assert sender.statistics() == CreditStatistics(window=2, unhandled=0, waiting=0, handled=5, lost=0)


async def test_tasks_that_share_a_sender_get_their_credits_in_line() -> None:
    async with quick_node():
        pid, server = await gate()
        async with st.credits(pid, window=1) as sender:
            tasks = [asyncio.create_task(sender.cast(number)) for number in range(10)]
            await steps()
            assert sender.statistics().waiting == 9
            server.open.set()
            await asyncio.gather(*tasks)
        assert server.heard == list(range(10))


async def test_end_of_the_block_waits_for_the_last_message() -> None:
    async with quick_node():
        pid, server = await gate()
        async with st.credits(pid) as sender:
            await sender.cast(1)
            asyncio.get_running_loop().call_soon(server.open.set)
        assert server.heard == [1]


async def test_those_who_wait_for_the_last_message_go_on_in_the_order_in_which_they_came() -> None:
    async with quick_node():
        pid, server = await gate()
        sender = st.credits(pid)
        await sender.cast("one")
        order: list[int] = []

        async def drains(number: int) -> None:
            await sender.drain()
            order.append(number)

        tasks = [asyncio.create_task(drains(number)) for number in range(20)]
        await steps()
        server.open.set()
        await asyncio.gather(*tasks)
        assert order == list(range(20))


async def test_block_that_is_left_by_an_error_waits_for_nothing() -> None:
    async with quick_node():
        pid, _ = await gate()

        async def fail() -> None:
            async with st.credits(pid) as sender:
                await sender.cast(1)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await fail()


async def test_drain_says_what_is_left_when_the_time_is_up() -> None:
    async with quick_node():
        pid, _ = await gate(name="gate")
        sender = st.credits("gate", timeout=0)
        await sender.drain()
        await sender.cast(1)
        text = (
            "CreditSender.drain(): expected 'gate' to handle all within 0 s (timeout=0), got 1 messages unhandled; "
            f"Gate {pid!r} has had 1 in hand for "
        )
        for options in ({}, {"timeout": 0}):
            with pytest.raises(TimeoutError) as caught:
                await sender.drain(**options)
            assert str(caught.value).startswith(text)
        assert pid.alive


async def test_cast_for_which_no_credit_comes_in_time_is_a_dropped_event() -> None:
    async with quick_node() as node:
        events = Events(node, DROPPED)
        pid, server = await gate()
        sender = st.credits(pid, window=1, timeout=0)
        assert await casts(sender, [1, 2]) == [True, False]
        assert (events.all("message"), events.all("reason")) == ([2], ["no_credit"])
        server.open.set()
        await sender.drain(timeout=1)
        assert await sender.cast(3)
        await sender.drain(timeout=None)
        assert server.heard == [1, 3]
        assert sender.statistics() == CreditStatistics(window=1, unhandled=0, waiting=0, handled=2, lost=1)


async def test_cancelled_cast_was_not_sent_and_keeps_no_credit() -> None:
    async with quick_node():
        pid, server = await gate()
        sender = st.credits(pid, window=1)
        await sender.cast(1)
        first, second = (asyncio.create_task(sender.cast(number)) for number in (2, 3))
        await steps()
        first.cancel()
        await steps()
        assert sender.statistics().waiting == 1
        server.open.set()
        assert await second
        await sender.drain()
        assert server.heard == [1, 3]


async def test_credit_that_came_in_the_step_of_the_cancellation_goes_to_the_next() -> None:
    async with quick_node():
        pid, server = await gate()
        sender = st.credits(pid, window=1)
        await sender.cast(1)
        first, second = (asyncio.create_task(sender.cast(number)) for number in (2, 3))
        await steps()
        token: Any = process_of(pid).handling[2]  # type: ignore[index]
        token.processed()
        first.cancel()
        await steps()
        assert (first.cancelled(), second.done()) == (True, True)
        token.processed()  # a second time, as a duplicated message would
        assert sender.statistics().unhandled == 1
        server.open.set()
        await sender.drain()
        assert server.heard == [1, 3]


@pytest.mark.parametrize("first", ["credit", "timeout"])
async def test_credit_and_timeout_that_come_in_one_step_go_by_the_first(first: str) -> None:
    async with quick_node():
        pid, server = await gate()
        sender = st.credits(pid, window=1)
        await sender.cast(1)
        casting = asyncio.create_task(sender.cast(2))
        await steps()
        (wait,) = sender._waiting
        token: Any = process_of(pid).handling[2]  # type: ignore[index]
        for end in (token.processed, wait.expire) if first == "credit" else (wait.expire, token.processed):
            end()
        token.displaced()  # its credit is back already
        assert await casting is (first == "credit")
        server.open.set()
        await sender.drain()
        assert sender.statistics().unhandled == 0


async def test_exit_of_the_receiver_wakes_all_who_wait() -> None:
    async with quick_node() as node:
        events = Events(node, DEAD_LETTER)
        pid, _ = await gate()
        sender = st.credits(pid, window=2)
        tasks = [asyncio.create_task(sender.cast(number)) for number in range(6)]
        draining = asyncio.create_task(sender.drain())
        await steps()
        st.exit(pid, "kill")
        assert await asyncio.gather(*tasks) == [True] * 6
        await draining
        assert events.all("message") == [1, 2, 3, 4, 5]  # the first one was in hand
        assert sender.statistics() == CreditStatistics(window=2, unhandled=0, waiting=0, handled=0, lost=6)


async def test_sender_to_a_name_goes_on_with_the_restarted_receiver() -> None:
    async with quick_node():
        sender = st.credits("gate", window=1)
        assert await sender.cast("nobody is there")
        _, server = await gate(name="gate")
        server.open.set()
        assert await sender.cast("somebody is")
        await sender.drain()
        assert server.heard == ["somebody is"]


@pytest.mark.parametrize("message", ["reject", "no clause"])
async def test_refused_message_gives_its_credit_back(message: str) -> None:
    async with quick_node() as node:
        events = Events(node, DEAD_LETTER)
        pid, server = await gate()
        server.open.set()
        async with st.credits(pid, window=1) as sender:
            await casts(sender, [message, "fine"])
        assert events.all("reason") == (["rejected: not now"] if message == "reject" else [])
        assert (sender.statistics().handled, sender.statistics().lost) == (1, 1)


@pytest.mark.parametrize(
    ("overflow", "lost", "heard"),
    [("reject", [3], [1, 2]), ("drop_newest", [3], [1, 2]), ("drop_oldest", [2], [1, 3]), ("block", [], [1, 2, 3])],
)
async def test_full_mailbox_gives_the_credits_back_of_what_it_drops(overflow: Any, lost: Any, heard: Any) -> None:
    async with quick_node() as node:
        events = Events(node, DROPPED)
        pid, server = await gate(mailbox=st.MailboxPolicy(1, overflow))
        async with st.credits(pid, window=9) as sender:
            await sender.cast(1)
            await steps()
            await casts(sender, [2, 3])
            server.open.set()
        assert (server.heard, events.all("message"), sender.statistics().lost) == (heard, lost, len(lost))


async def test_via_that_fails_costs_no_credit() -> None:
    class Broken(st.Via):
        def whereis(self) -> Any:
            raise LookupError("broken")

        def register(self, pid: st.Pid) -> None:
            raise AssertionError("nobody registers")

        unregister = register

    async with quick_node():
        sender = st.credits(Broken(), window=1)
        for _ in range(3):
            with pytest.raises(LookupError):
                await sender.cast(1)
        assert sender.statistics().unhandled == 0


@pytest.mark.parametrize(
    ("ref", "options", "text"),
    [
        ("x", {"window": 0}, "credits(window): expected a whole number >= 1, got 0"),
        (
            "x",
            {"timeout": -1},
            "credits(timeout): expected seconds >= 0 as a finite number, or a timedelta, got -1",
        ),
        (
            7,
            {},
            (
                "credits(ref): expected a pid or a registered name, got 7\n"
                "Fix: pass what start() or spawn() returned, or the name= the process was started with."
            ),
        ),
    ],
)
async def test_credits_refuse_wrong_options(ref: Any, options: Any, text: str) -> None:
    async with quick_node():
        with pytest.raises(InvalidOptionError) as caught:
            st.credits(ref, **options)
        assert str(caught.value) == text


async def test_drain_refuses_a_wrong_timeout() -> None:
    async with quick_node():
        with pytest.raises(InvalidOptionError, match=r"^CreditSender.drain\(timeout\): expected seconds >= 0"):
            await st.credits(st.spawn(sleeper)).drain(timeout="1")  # type: ignore[arg-type]
