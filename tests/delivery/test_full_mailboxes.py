# SPDX-License-Identifier: MIT
"""Supervised sends to a process whose mailbox is full."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import stanchion as st
from stanchion.delivery._receipt import Notice
from stanchion.kernel._indexed_queue import IndexedQueue
from stanchion.telemetry import DEAD_LETTER, DROPPED
from stanchion.testing import advance
from tests.delivery.servers import Log, Recorder
from tests.kernel.helpers import Events

ONCE = {"retries": 0, "on_error": "ignore"}


async def full(overflow: Any) -> st.Pid:
    """Start a recorder that is busy for 100 seconds, and whose one place is taken."""
    pid = await st.start(Recorder, mailbox=st.MailboxPolicy(1, overflow))
    st.cast(pid, ("sleep", 100))
    await advance(0)
    st.cast(pid, "waits")
    return pid


def sending(pid: st.Pid, message: object, **options: Any) -> asyncio.Task[st.Delivery]:
    """Begin a supervised send that has no limit of its own."""
    return asyncio.create_task(
        st.send_supervised(pid, message, **{"timeout": None, "deadline": None, "on_error": "ignore", **options})
    )


async def test_send_is_not_repeated_when_the_mailbox_drops_the_newest(node):
    pid = await full("drop_newest")
    delivery = await st.send_supervised(pid, "late", on_error="ignore")
    assert (delivery.outcome, delivery.reason_text, delivery.attempts) == ("rejected", "overflow: dropped", 1)


@pytest.mark.parametrize("ack", ["processed", "enqueued"])
async def test_sender_is_told_at_once_when_a_newer_message_took_its_place(node, ack):
    events = Events(node, DROPPED)
    pid = await full("drop_oldest")
    first = sending(pid, "first", ack=ack)
    await advance(0)
    assert events.all("message") == ["waits"]
    st.cast(pid, "newer")
    delivery = await first
    if ack == "processed":
        assert (delivery.outcome, delivery.reason_text, delivery.attempts) == ("rejected", "overflow: dropped", 1)
    else:  # its place was all that it waited for
        await advance(0)
        assert (bool(delivery), events.all("message")) == (True, ["waits", "first"])
    await advance(100)
    assert await st.call(pid, Log()) == [("sleep", 100), "newer"]


async def test_broadcast_that_displaces_a_message_is_taken_by_all_whatever_who_hears_of_that_does(node):
    pid, log = await full("drop_oldest"), []
    other = await st.start(Recorder, log, mailbox=1)
    node.telemetry.attach(DROPPED, lambda *_: st.cast(other, "heard of it"))
    report = await st.broadcast_supervised([pid, other], "all", strategy="all_or_nothing", timeout=None, deadline=None)
    assert report
    assert log == ["all"]


async def test_senders_wait_in_line_and_are_handled_in_order(node):
    pid = await full("block")
    sends = []
    for number in range(4):
        sends.append(sending(pid, number, ack="enqueued" if number % 2 else "processed"))
        await advance(0)
    await advance(99)
    assert not any(send.done() for send in sends)
    await advance(1)
    deliveries = await asyncio.gather(*sends)
    assert [(bool(delivery), delivery.attempts, delivery.elapsed) for delivery in deliveries] == [(True, 1, 100)] * 4
    assert await st.call(pid, Log()) == [("sleep", 100), "waits", 0, 1, 2, 3]


@pytest.mark.parametrize("ack", ["processed", "enqueued"])
async def test_sender_that_finds_no_place_in_time_is_rejected(node, ack):
    pid = await full("block")
    delivery = await st.send_supervised(pid, "late", ack=ack, timeout=1, **ONCE)
    assert (delivery.outcome, delivery.reason) == ("rejected", "overflow")
    assert delivery.reason_text.startswith("overflow: no place in its mailbox within 1 s (timeout=1); ")
    assert 1 <= delivery.elapsed < 1.01
    await advance(100)
    assert await st.call(pid, Log()) == [("sleep", 100), "waits"]


@pytest.mark.parametrize("ack", ["processed", "enqueued"])
async def test_sender_that_is_cancelled_leaves_the_line(node, ack):
    pid = await full("block")
    late = sending(pid, "late", ack=ack)
    await advance(0)
    late.cancel()
    await advance(100)
    assert await st.call(pid, Log()) == [("sleep", 100), "waits"]


@pytest.mark.parametrize("ack", ["processed", "enqueued"])
async def test_sender_in_line_hears_of_the_exit_once(node, ack):
    events = Events(node, DEAD_LETTER)
    pid = await full("block")
    late = sending(pid, "late", ack=ack)
    await advance(0)
    st.exit(pid, "kill")
    delivery = await late
    assert (delivery.outcome, delivery.reason, delivery.exit_reason) == ("rejected", "down", "killed")
    assert events.all("message") == ["waits"]


async def test_sender_that_got_its_place_and_ran_out_of_time_in_one_step_is_taken_back(node):
    pid = await full("block")
    late = sending(pid, "late", ack="enqueued", timeout=1, **ONCE)
    await advance(0)
    box = pid._mailbox
    assert isinstance(box.queue, IndexedQueue)
    ((envelope, _),) = box.queue.line.values()
    assert isinstance(envelope[2], Notice)
    envelope[2].expire()
    box.withdraw(box.queue[0])
    assert box.queue[0] is envelope
    delivery = await late
    assert (delivery.outcome, delivery.reason) == ("rejected", "timeout")
    assert not box.queue


@pytest.mark.parametrize("seed", [1, 2])
async def test_crowd_of_senders_that_is_cancelled_in_any_order_leaves_the_mailbox_empty(node, seed):
    pid = await st.start(Recorder)
    st.cast(pid, ("sleep", 100))
    await advance(0)
    sends = [sending(pid, number) for number in range(2_000)]
    await advance(0)
    assert len(pid._mailbox.queue) == 2_000
    order = list(sends)
    node.random.shuffle(order)
    for send in order[:1_990]:
        send.cancel()
    await advance(100)
    kept = sorted(send.result().message_id for send in order[1_990:])
    assert len(kept) == 10
    assert len(await st.call(pid, Log())) == 11
