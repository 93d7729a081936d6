# SPDX-License-Identifier: MIT
"""A message that comes a second time is confirmed, and not handled again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import stanchion as st
from stanchion.dead_letters import DeadLetterQueue, MemoryStore
from stanchion.delivery._options import USUAL
from stanchion.delivery._receipt import Notice, OnceReceipt
from stanchion.errors import InvalidOptionError
from stanchion.kernel._indexed_queue import IndexedQueue
from stanchion.server import get_state
from stanchion.state_machine import POSTPONE, CastEvent, KeepState, NextState, StateMachine
from stanchion.telemetry import MESSAGE_DUPLICATE
from stanchion.testing import advance
from tests.delivery.servers import Flaky, Log, Recorder, Seen

STEADY = st.Backoff(initial=1, factor=2, jitter=0)
QUIET = {"on_error": "ignore", "backoff": STEADY}


async def test_message_is_handled_once_when_its_ack_was_lost(node):
    pid = await st.start(Recorder)
    delivery = await st.send_supervised(pid, ("sleep", 3), timeout=2, **QUIET)
    # given up at 2, sent again at 3, when the handler returned
    assert (delivery.outcome, delivery.attempts, delivery.duplicate) == ("confirmed", 2, True)
    assert await st.call(pid, Log()) == [("sleep", 3)]


async def test_message_is_handled_again_when_the_receiver_had_not_taken_it(node):
    pid = await st.start(Flaky, 1)
    delivery = await st.send_supervised(pid, "hello", **QUIET)
    assert (delivery.attempts, delivery.duplicate) == (2, False)
    assert len(await st.call(pid, Seen())) == 2


async def test_message_is_handled_once_when_two_senders_use_one_key(node):
    pid = await st.start(Recorder)
    first = await st.send_supervised(pid, "pay", idempotency_key="order-17")
    second = await st.send_supervised(pid, "pay", idempotency_key="order-17")
    assert (first.message_id, first.duplicate) == ("order-17", False)
    assert (second.message_id, second.duplicate, second.outcome) == ("order-17", True, "confirmed")
    assert await st.call(pid, Log()) == ["pay"]


async def test_message_with_a_key_is_handled_once_when_both_wait_in_the_mailbox(node):
    pid = await st.start(Recorder)
    sends = [st.send_supervised(pid, ("sleep", 1), idempotency_key="one") for _ in range(3)]
    deliveries = await asyncio.gather(*sends)
    assert sorted(delivery.duplicate for delivery in deliveries) == [False, True, True]
    assert await st.call(pid, Log()) == [("sleep", 1)]


async def test_message_with_a_key_is_handled_once_when_nobody_waits_for_it(node):
    pid = await st.start(Recorder)
    for _ in range(2):
        assert await st.send_supervised(pid, "pay", ack="enqueued", idempotency_key="order-17")
    assert await st.call(pid, Log()) == ["pay"]


async def test_message_with_a_key_is_handled_when_the_one_before_was_refused(node):
    pid = await st.start(Flaky, 1)
    assert not await st.send_supervised(pid, "pay", idempotency_key="order-17", retries=0, **QUIET)
    delivery = await st.send_supervised(pid, "pay", idempotency_key="order-17")
    assert (delivery.outcome, delivery.duplicate) == ("confirmed", False)


async def test_late_ack_of_a_repeated_message_is_no_error_when_the_sender_has_given_up(node):
    receipt = OnceReceipt(asyncio.get_running_loop().create_future(), "order-17", 2, USUAL, None, None)
    receipt.expire()
    receipt.repeated()
    receipt.processed()
    failure = await receipt.future
    assert failure is not None
    assert failure.reason == "timeout"


async def test_keys_of_two_receivers_are_apart(node):
    pids = [await st.start(Recorder) for _ in range(2)]
    deliveries = [await st.send_supervised(pid, "pay", idempotency_key="order-17") for pid in pids]
    assert [delivery.duplicate for delivery in deliveries] == [False, False]


async def test_next_incarnation_handles_the_message_again(node):
    log: list[object] = []
    first = await st.start(Recorder, log, name="server")
    await st.send_supervised("server", "pay", idempotency_key="order-17")
    await st.stop(first)
    await st.start(Recorder, log, name="server")
    assert not (await st.send_supervised("server", "pay", idempotency_key="order-17")).duplicate
    assert log == ["pay", "pay"]


async def test_key_is_forgotten_when_it_is_too_old(new_node):
    async with new_node(dedup=st.DedupWindow(age=60)):
        pid = await st.start(Recorder)
        duplicates: list[bool] = []
        for pause in (0, 59, 1, 0):
            await asyncio.sleep(pause)
            duplicates.append((await st.send_supervised(pid, "pay", idempotency_key="order-17")).duplicate)
        assert duplicates == [False, True, False, True]


async def test_oldest_keys_are_forgotten_when_there_are_too_many(new_node):
    async with new_node(dedup=st.DedupWindow(size=2, age=None)):
        pid = await st.start(Recorder)
        duplicates = [
            (await st.send_supervised(pid, key, idempotency_key=key)).duplicate
            for key in ("a", "b", "a", "c", "b", "a")
        ]
        assert duplicates == [False, False, True, False, True, False]


async def test_nothing_is_a_duplicate_without_a_window(new_node):
    async with new_node(dedup=st.DedupWindow(size=0)):
        pid = await st.start(Recorder)
        for _ in range(2):
            assert not (await st.send_supervised(pid, "pay", idempotency_key="order-17")).duplicate
        assert await st.call(pid, Log()) == ["pay", "pay"]


async def test_first_attempts_are_not_remembered(node):
    pid = await st.start(Recorder)
    for number in range(10):
        await st.send_supervised(pid, number)
    assert pid._process is not None
    assert pid._process.handled is None


async def test_plain_process_does_not_receive_a_message_again(node):
    got: list[object] = []

    async def worker() -> None:
        while True:
            got.append(await st.receive(timeout=None))

    pid = st.spawn(worker)
    keys = ["a", "a", "b", "a"]
    sends = [asyncio.create_task(st.send_supervised(pid, key, idempotency_key=key)) for key in keys]
    assert [(await send).duplicate for send in sends].count(True) == 2
    assert (await st.send_supervised(pid, "b", idempotency_key="b")).duplicate  # it sleeps, and is woken for this
    assert sorted(got) == ["a", "b"]


async def test_idle_timeout_goes_on_when_a_message_comes_again(node):
    class Idle(Recorder):
        async def handle_cast(self, message: object) -> object:
            self.log.append(message)
            return st.Timeout(10)

        async def handle_info(self, message: object) -> None:
            self.log.append(message)

    pid = await st.start(Idle)
    await st.send_supervised(pid, "pay", idempotency_key="order-17")
    await advance(9)
    assert (await st.send_supervised(pid, "pay", idempotency_key="order-17")).duplicate
    await advance(9)
    assert pid._process is not None
    await advance(2)
    assert await st.call(pid, Log()) == ["pay", st.TIMEOUT]


class Door(StateMachine):
    """Postpones what it is sent while it is closed."""

    def init(self) -> object:
        self.log: list[object] = []
        return NextState("closed")

    def closed(self, event: Any) -> object:
        if isinstance(event, CastEvent):
            return NextState("open") if event.message == "open" else KeepState(POSTPONE)
        return None

    def open(self, event: Any) -> object:
        self.log.append(event.message)
        return None


async def test_message_is_handled_once_when_it_was_postponed_twice(node):
    pid = await st.start(Door)
    sends = [asyncio.create_task(st.send_supervised(pid, "pay", idempotency_key="order-17")) for _ in range(2)]
    await advance(1)
    st.cast(pid, "open")
    assert sorted([(await send).duplicate for send in sends]) == [False, True]
    assert (await get_state(pid))["log"] == ["pay"]


class Slow(StateMachine):
    """Postpones a first attempt after its sender has stopped waiting, and takes the second one."""

    def init(self) -> object:
        self.log: list[int] = []
        return NextState("closed")

    async def closed(self, event: Any) -> object:
        info = st.message_info()
        if info is None:
            return NextState("open")
        if info.attempt == 1:
            await asyncio.sleep(3)
            return KeepState(POSTPONE)
        return self.open(event)

    def open(self, event: Any) -> object:
        info = st.message_info()
        assert info is not None
        self.log.append(info.attempt)
        return None


async def test_first_attempt_is_not_handled_when_a_later_one_was_while_it_was_postponed(node):
    pid = await st.start(Slow)
    assert await st.send_supervised(pid, "pay", timeout=2, **QUIET)
    st.cast(pid, "open")
    await advance(0)
    assert (await get_state(pid))["log"] == [2]


async def test_message_that_comes_in_as_its_time_in_line_is_up_is_handled_once(node):
    class Punctual(Recorder):
        async def handle_cast(self, message: object) -> object:
            if message == "first":
                await asyncio.sleep(1)
                queue = pid._mailbox.queue
                assert isinstance(queue, IndexedQueue)
                (((_, _, token), _),) = queue.line.values()
                assert isinstance(token, Notice)
                token.expire()  # in the step in which it comes in, and is handled
            return await super().handle_cast(message)

    pid = await st.start(Punctual, mailbox=st.MailboxPolicy(1, "block"))
    st.cast(pid, "first")
    await advance(0)
    st.cast(pid, "second")
    late = await st.send_supervised(pid, "late", ack="enqueued", **QUIET)
    assert (late.outcome, late.attempts) == ("confirmed", 2)
    assert await st.call(pid, Log()) == ["first", "second", "late"]


@pytest.mark.parametrize("cast_by", ["timeout", "receive"])
async def test_message_is_not_lost_when_one_that_hears_of_a_duplicate_sends_to_a_full_mailbox(node, cast_by):
    got: list[object] = []

    class Idle(st.GenServer):
        async def handle_cast(self, message: object) -> object:
            got.append(message)
            await asyncio.sleep(1)
            return st.Timeout(10)

    async def worker() -> None:
        while True:
            got.append(await st.receive(timeout=None))
            await asyncio.sleep(1)

    policy = st.MailboxPolicy(2, "drop_oldest")
    pid = await st.start(Idle, mailbox=policy) if cast_by == "timeout" else st.spawn(worker, mailbox=policy)
    node.telemetry.attach(MESSAGE_DUPLICATE, lambda *_: st.cast(pid, "heard of it"))
    await st.send_supervised(pid, "pay", idempotency_key="order-17")
    st.cast(pid, "busy")
    await advance(0)
    again = asyncio.create_task(st.send_supervised(pid, "pay", idempotency_key="order-17"))
    await advance(0)
    st.cast(pid, "precious")
    assert (await again).duplicate
    await advance(5)
    assert got == ["pay", "busy", "precious", "heard of it"]


async def test_message_that_ends_its_server_is_confirmed_although_it_has_a_key(node):
    class Last(st.GenServer):
        def handle_cast(self, message: object) -> st.Stop:
            return st.Stop()

    pid = await st.start(Last)
    ended = asyncio.create_task(st.wait_exit(pid, timeout=1))
    await advance(0)
    assert await st.send_supervised(pid, "end", idempotency_key="end")
    assert await ended == "normal"


async def test_message_that_nobody_waits_for_is_told_when_its_receiver_ends(node, caplog):
    pid = await st.start(Recorder)
    st.cast(pid, ("sleep", 10))
    await advance(0.1)
    await st.send_supervised(pid, "pay", ack="enqueued", idempotency_key="order-17")
    st.exit(pid, "kill")
    await st.wait_exit(pid, timeout=1)
    assert caplog.messages == [f"message to {pid!r} was not handled (noproc): 'pay'"]


async def test_redelivery_is_not_handled_again_when_the_first_send_was(new_node):
    letters = DeadLetterQueue(MemoryStore(), backoff=st.Backoff(initial=30, factor=1, maximum=30, jitter=0))
    async with new_node(dead_letters=letters) as node:
        pid = await st.start(Recorder, name="server")
        sent = await st.send_supervised("server", ("sleep", 10), timeout=1, retries=0, on_error="dead_letter")
        assert sent.outcome == "unknown"
        await asyncio.sleep(60)
        assert sent.dead_letter_id is not None
        assert (await node.dead_letters.get(sent.dead_letter_id)).state == "delivered"
        assert await st.call(pid, Log()) == [("sleep", 10)]


async def test_each_duplicate_is_told(node):
    told: list[dict[str, object]] = []
    node.telemetry.attach(MESSAGE_DUPLICATE, lambda _event, _numbers, details: told.append(dict(details)))
    pid = await st.start(Recorder, name="server")
    for _ in range(2):
        await st.send_supervised(pid, "pay", idempotency_key="order-17")
    assert told == [{"node": "test", "pid": pid, "name": "server", "message_id": "order-17"}]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"size": -1}, "DedupWindow(size): expected a whole number >= 0, got -1"),
        (
            {"age": "long"},
            "DedupWindow(age): expected seconds >= 0 as a finite number, or a timedelta, got 'long'",
        ),
    ],
)
def test_window_tells_the_mistake(options, text):
    with pytest.raises(InvalidOptionError) as caught:
        st.DedupWindow(**options)
    assert str(caught.value) == text


def test_window_shows_its_bounds():
    assert repr(st.DedupWindow()) == "DedupWindow(size=10000, age=3600.0)"


def test_node_refuses_what_is_no_window():
    with pytest.raises(InvalidOptionError) as caught:
        st.Node(dedup=100)
    assert str(caught.value) == "Node(dedup): expected an instance of DedupWindow, got 100"
