# SPDX-License-Identifier: MIT
"""Sends inside of a deadline's scope: cut by what remains of it, and received with it."""

from __future__ import annotations

import asyncio

import pytest

import stanchion as st
from stanchion.breakers import BreakerPolicy, CircuitBreaker
from stanchion.testing import advance
from tests.delivery.servers import Address, Log, Recorder

STEADY = st.Backoff(initial=1, factor=1, jitter=0)
QUIET = {"on_error": "ignore", "backoff": STEADY}
TICK = 1 / 128


class Clockwatcher(st.GenServer):
    """Keeps what it knows of the time that is left, and takes a message at the second try."""

    def init(self) -> None:
        self.seen: list[object] = []

    def handle_call(self, request: object, sender: st.Sender) -> object:
        return self.seen

    async def handle_cast(self, message: object) -> object:
        info = st.message_info()
        self.seen.append((st.remaining(), None if info is None else info.remaining()))
        return st.Reject("once more") if info is not None and info.attempt == 1 else None


async def busy(seconds: float = 100, **options: object) -> st.Pid:
    """Return a recorder that is busy for some seconds."""
    pid = await st.start(Recorder, **options)
    st.cast(pid, ("sleep", seconds))
    await advance(0)
    return pid


async def late(pid: st.Pid, message: object, **options: object) -> st.Delivery:
    """Send in a scope whose deadline has passed."""
    async with st.deadline(0):
        return await st.send_supervised(pid, message, **{**QUIET, **options})
    raise AssertionError


# --- nothing is begun ----------------------------------------------------------------------------


async def test_send_is_not_begun_when_the_deadline_has_passed(node):
    pid = await st.start(Recorder)
    delivery = await late(pid, "hello")
    assert (delivery.outcome, delivery.reason, delivery.attempts, delivery.elapsed) == ("rejected", "timeout", 0, 0.0)
    assert delivery.reason_text.startswith("timeout: the deadline of 0 s set at ")
    assert delivery.reason_text.endswith(" had passed; it was not sent")
    assert await st.call(pid, Log()) == []


async def test_ordered_send_is_not_begun_when_the_deadline_has_passed(node):
    pid = await st.start(Recorder)
    assert (await late(pid, "hello", ordered=True)).attempts == 0
    assert await st.send_supervised(pid, "next", ordered=True)


async def test_circuit_breaker_is_not_asked_when_the_deadline_has_passed(node):
    pid = await st.start(Recorder)
    gate = CircuitBreaker("gate", BreakerPolicy(failure_threshold=1), clock=node.clock)
    assert (await late(pid, "hello", breaker=gate)).reason == "timeout"
    assert (gate.statistics().failures, gate.state) == (0, "closed")


@pytest.mark.parametrize("strategy", ["best_effort", "at_least_one", "all_or_nothing"])
async def test_broadcast_is_not_begun_when_the_deadline_has_passed(node, strategy):
    pids = [await st.start(Recorder) for _ in range(2)]
    reports: list[st.BroadcastReport] = []

    async def oversleep() -> None:
        await st.receive(timeout=None)
        await asyncio.sleep(3)  # nobody cancels a receiver whose deadline passes
        reports.append(await st.broadcast_supervised(pids, "hello", strategy=strategy, **QUIET))

    pid = st.spawn(oversleep)
    async with st.deadline(2):
        st.cast(pid, "go")
    await advance(5)
    assert [(one.outcome, one.reason, one.attempts) for one in reports[0].deliveries] == [
        ("rejected", "timeout", 0)
    ] * 2
    assert [await st.call(pid, Log()) for pid in pids] == [[], []]


async def test_message_that_was_not_begun_becomes_a_dead_letter_as_any_other(new_node):
    async with new_node(dead_letters="memory:") as node:
        await st.start(Recorder, name="server")
        async with st.deadline(0):
            delivery = await st.send_supervised("server", "hello", on_error="dead_letter")
        letter = await node.dead_letters.get(delivery.dead_letter_id)
        assert (letter.reason, letter.error, len(letter.attempts)) == ("timeout", delivery.reason_text, 1)


# --- waits are cut -------------------------------------------------------------------------------


async def test_attempt_is_cut_when_less_remains_than_its_timeout(node):
    pid = await st.start(Recorder)
    async with st.deadline(2):
        delivery = await st.send_supervised(pid, ("sleep", 60), timeout=50, **QUIET)
    assert (delivery.outcome, delivery.reason, delivery.attempts) == ("unknown", "timeout", 1)
    assert 2 <= delivery.elapsed <= 2 + TICK


async def test_attempt_without_a_limit_is_cut_all_the_same(node):
    pid = await st.start(Recorder)
    async with st.deadline(2):
        delivery = await st.send_supervised(pid, ("sleep", 60), timeout=None, deadline=None, **QUIET)
    assert 2 <= delivery.elapsed <= 2 + TICK


async def test_send_keeps_its_own_deadline_when_more_remains(node):
    pid = await st.start(Recorder)
    async with st.deadline(20):
        delivery = await st.send_supervised(pid, ("sleep", 60), timeout=None, deadline=3, **QUIET)
    assert 3 <= delivery.elapsed <= 3 + TICK


async def test_no_attempt_follows_when_the_pause_would_outlast_the_deadline(node):
    pid = await st.start(Recorder)
    async with st.deadline(2.5):
        delivery = await st.send_supervised(pid, "reject", retries=99, **QUIET)
    assert (delivery.outcome, delivery.reason_text, delivery.attempts) == ("rejected", "refused: not now", 3)
    assert delivery.elapsed == 2.0


def hold_up_the_loop(after: float) -> None:
    """Have the loop do nothing for ten seconds, as a call that blocks it does."""
    loop = asyncio.get_running_loop()
    loop.call_later(after, lambda: setattr(loop, "_now", loop.time() + 10))


async def test_no_attempt_follows_when_the_pause_ends_too_late(node):
    pid = await st.start(Recorder)
    hold_up_the_loop(0.5)
    delivery = await st.send_supervised(pid, "reject", deadline=5, **QUIET)
    assert (delivery.outcome, delivery.reason_text, delivery.attempts) == ("rejected", "refused: not now", 1)
    assert await st.call(pid, Log()) == ["reject"]


async def test_all_or_nothing_is_given_up_when_the_pause_ends_too_late(node):
    pids = [await st.start(Recorder), await busy(mailbox=1)]
    st.cast(pids[1], "waits")
    hold_up_the_loop(0.5)
    report = await st.broadcast_supervised(pids, "hello", strategy="all_or_nothing", deadline=5, **QUIET)
    assert [(one.outcome, one.attempts) for one in report.deliveries] == [("rejected", 1)] * 2


async def test_wait_for_a_turn_is_cut(node):
    pid = await st.start(Recorder)
    first = asyncio.create_task(st.send_supervised(pid, ("sleep", 10), timeout=60, ordered=True))
    await advance(0)
    async with st.deadline(2):
        delivery = await st.send_supervised(pid, "hello", ordered=True, **QUIET)
    assert (delivery.outcome, delivery.reason_text, delivery.attempts) == (
        "rejected", "timeout: the deadline passed before its turn came", 0,
    )  # fmt: skip
    assert delivery.elapsed == 2.0
    assert await first


@pytest.mark.parametrize("ack", ["processed", "enqueued"])
async def test_wait_in_line_is_cut(node, ack):
    pid = await busy(mailbox=st.MailboxPolicy(1, "block"))
    st.cast(pid, "waits")
    async with st.deadline(2):
        delivery = await st.send_supervised(pid, "hello", timeout=None, deadline=None, ack=ack, **QUIET)
    assert (delivery.outcome, delivery.reason, delivery.attempts) == ("rejected", "overflow", 1)
    assert 2 <= delivery.elapsed <= 2 + TICK


async def test_wait_for_one_of_the_places_of_a_broadcast_is_cut(node):
    pids = [await st.start(Recorder) for _ in range(2)]
    async with st.deadline(2):
        report = await st.broadcast_supervised(pids, ("sleep", 60), timeout=None, concurrency=1, **QUIET)
    assert sorted((one.outcome, one.attempts) for one in report.deliveries) == [("rejected", 0), ("unknown", 1)]
    assert report.elapsed <= 2 + TICK


async def test_all_or_nothing_is_given_up_when_the_pause_would_outlast_the_deadline(node):
    pids = [await st.start(Recorder), await busy(mailbox=1)]
    st.cast(pids[1], "waits")
    async with st.deadline(2.5):
        report = await st.broadcast_supervised(pids, "hello", strategy="all_or_nothing", retries=99, **QUIET)
    assert [(one.outcome, one.reason, one.attempts) for one in report.deliveries] == [
        ("rejected", "aborted", 3),
        ("rejected", "overflow", 3),
    ]
    assert report.elapsed == 2.0


async def test_deadline_of_another_node_is_measured_on_its_own_clock(node, new_node):
    pid = await st.start(Recorder)
    async with new_node(), st.deadline(2):
        await asyncio.sleep(0.5)
        delivery = await st.send_supervised(pid, ("sleep", 60), timeout=None, **QUIET)
    assert 1.5 <= delivery.elapsed <= 1.5 + TICK


# --- credits -------------------------------------------------------------------------------------


async def test_cast_waits_for_a_credit_no_longer_than_the_deadline(node):
    pid = await st.start(Recorder)
    sender = st.credits(pid, window=1, timeout=None)
    await sender.cast(("sleep", 60))
    async with st.deadline(2):
        assert not await sender.cast("hello")
        left = st.remaining()
    assert left is not None
    assert 0 <= left <= TICK
    assert sender.statistics().lost == 1
    await sender.drain(timeout=None)


async def test_drain_waits_no_longer_than_the_deadline(node):
    pid = await st.start(Recorder)
    sender = st.credits(pid, timeout=None)
    await sender.cast(("sleep", 60))
    async with st.deadline(2):
        with pytest.raises(TimeoutError) as raised:
            await sender.drain()
    text = str(raised.value)
    assert text.startswith(
        f"CreditSender.drain(): expected {pid!r} to handle all within 2 s (what was left of the deadline of 2 s set at "
    )
    assert "), got 1 messages unhandled; Recorder <test.1> has had ('sleep', 60) in hand for 2" in text
    await sender.drain(timeout=None)


async def test_drain_says_so_when_nobody_is_there(node):
    address = Address(await st.start(Recorder))
    sender = st.credits(address, timeout=1)
    await sender.cast(("sleep", 60))
    address.pid = None
    with pytest.raises(TimeoutError) as raised:
        await sender.drain()
    assert str(raised.value) == (
        "CreditSender.drain(): expected Address to handle all within 1 s (timeout=1), got 1 messages unhandled; "
        "nobody is there"
    )
    await sender.drain(timeout=None)


async def test_credit_comes_back_when_its_message_is_too_late_to_be_begun(node, caplog):
    pid = await busy(3)
    sender = st.credits(pid, window=1)
    async with st.deadline(2):
        await sender.cast("hello")
    await advance(5)
    assert sender.statistics() == (1, 0, 0, 0, 1)
    assert await st.call(pid, Log()) == [("sleep", 3)]
    assert caplog.messages == [f"message to {pid!r} was not handled (its deadline has passed): 'hello'"]


# --- the receiver --------------------------------------------------------------------------------


async def test_receiver_sees_what_remains_of_the_scope_in_each_attempt(node):
    pid = await st.start(Clockwatcher)
    async with st.deadline(10):
        await st.send_supervised(pid, "hello", **QUIET)
    assert await st.call(pid, "seen") == [(10.0, 10.0), (9.0, 9.0)]


async def test_deadline_of_the_send_is_told_and_not_passed_on(node):
    pid = await st.start(Clockwatcher)
    async with st.deadline(10):
        await st.send_supervised(pid, "hello", deadline=4, **QUIET)
    await st.send_supervised(pid, "hello", deadline=4, **QUIET)
    assert await st.call(pid, "seen") == [(10.0, 4.0), (9.0, 3.0), (None, 4.0), (None, 3.0)]


async def test_receiver_sees_what_remains_when_the_ack_is_enqueued(node):
    pid = await st.start(Clockwatcher)
    async with st.deadline(10):
        await st.send_supervised(pid, "hello", ack="enqueued")
        await st.broadcast_supervised([pid], "hello", ack="enqueued", strategy="all_or_nothing")
        await advance(0)
    assert await st.call(pid, "seen") == [(10.0, 10.0), (10.0, 10.0)]


async def test_message_is_not_begun_when_its_deadline_passes_before_its_turn(node):
    pid = await busy(2)
    async with st.deadline(2):
        delivery = await st.send_supervised(pid, "hello", timeout=None, deadline=None, **QUIET)
    assert (delivery.outcome, delivery.reason, delivery.attempts) == ("rejected", "timeout", 1)
    assert delivery.reason_text.startswith("timeout: the deadline of 2 s set at ")
    assert delivery.reason_text.endswith(" had passed when its turn came, and it was not begun")
    assert await st.call(pid, Log()) == [("sleep", 2)]


async def test_message_in_the_mailbox_is_not_begun_when_its_deadline_has_passed(node, caplog):
    pid = await busy(5)
    async with st.deadline(2):
        assert await st.send_supervised(pid, "hello", ack="enqueued")
    await advance(5)
    assert await st.call(pid, Log()) == [("sleep", 5)]
    assert caplog.messages == [f"message to {pid!r} was not handled (its deadline has passed): 'hello'"]


async def test_message_that_is_not_begun_is_not_sent_again(node):
    pid = await busy(2)
    async with st.deadline(2):
        delivery = await st.send_supervised(Address(pid), "hello", retries=99, timeout=1.5, **QUIET)
    assert delivery.attempts == 1
    await advance(10)
    assert await st.call(pid, Log()) == [("sleep", 2)]
