# SPDX-License-Identifier: MIT
"""A message that crashes its receiver each time is taken out of the traffic."""

from __future__ import annotations

import asyncio

import pytest

import stanchion as st
from stanchion.dead_letters import DeadLetterQueue, MemoryStore
from stanchion.delivery import Redelivery
from stanchion.errors import DeliveryError, InvalidOptionError
from stanchion.telemetry import DELIVERY_POISON
from stanchion.testing import advance, start_supervised
from tests.delivery.servers import Recorder

STEADY = st.Backoff(initial=1, factor=1, jitter=0)
POISON = "its receiver crashed {} while it handled it, at last by ZeroDivisionError('told to')"


class Leaver(st.GenServer):
    """Ends itself with the reason that it is sent."""

    def handle_cast(self, message: st.ExitReason) -> None:
        raise st.ProcessExit(message)


async def test_message_is_sent_no_more_when_it_crashed_its_receiver_so_often(node):
    log: list[object] = []
    await start_supervised(Recorder, log, name="server")
    delivery = await st.send_supervised("server", "crash", retries=10, backoff=STEADY, on_error="ignore")
    assert (delivery.outcome, delivery.reason, delivery.attempts) == ("unknown", "poison", 3)
    assert delivery.reason_text == "poison: " + POISON.format("3 times")
    assert isinstance(delivery.exit_reason, ZeroDivisionError)
    assert log == ["crash"] * 3


@pytest.mark.parametrize(("limit", "attempts", "reason"), [(1, 1, "poison"), (2, 2, "poison"), (None, 5, "down")])
async def test_how_often_is_the_senders_choice(node, limit, attempts, reason):
    await start_supervised(Recorder, name="server")
    delivery = await st.send_supervised(
        "server", "crash", retries=4, backoff=STEADY, poison_after=limit, on_error="ignore"
    )
    assert (delivery.reason, delivery.attempts) == (reason, attempts)


async def test_text_says_once_when_one_crash_is_enough(node):
    pid = await st.start(Recorder)
    delivery = await st.send_supervised(pid, "crash", poison_after=1, on_error="ignore")
    assert delivery.reason_text == "poison: " + POISON.format("once")


async def test_exit_by_a_signal_is_no_crash(node):
    await start_supervised(Recorder, name="server")
    sending = asyncio.create_task(
        st.send_supervised("server", ("sleep", 10), poison_after=1, retries=1, backoff=STEADY, timeout=60)
    )
    await advance(0.1)
    st.exit(st.whereis("server"), "kill")
    assert (await sending).outcome == "confirmed"


async def test_end_in_good_order_is_no_crash(node):
    await start_supervised(Leaver, name="leaver")
    delivery = await st.send_supervised(
        "leaver", "shutdown", poison_after=1, retries=1, backoff=STEADY, on_error="ignore"
    )
    assert (delivery.reason, delivery.attempts) == ("down", 2)


async def test_crash_on_another_message_is_not_counted(node):
    await start_supervised(Recorder, name="server")
    st.cast("server", ("sleep", 1))
    st.cast("server", "crash")
    delivery = await st.send_supervised("server", "hello", poison_after=1, backoff=STEADY)
    assert (delivery.outcome, delivery.attempts) == ("confirmed", 2)


@pytest.mark.stanchion(dead_letters="memory:", redeliver=False)
async def test_poison_is_stored_with_its_stack_traces_whatever_is_to_be_done_else(node, caplog):
    await start_supervised(Recorder, name="server")
    delivery = await st.send_supervised("server", "crash", poison_after=2, backoff=STEADY)
    assert f"{delivery!r} was not confirmed: 'crash'" in caplog.messages
    letter = await node.dead_letters.get(delivery.dead_letter_id)
    assert (letter.state, letter.reason, letter.replayable) == ("exhausted", "poison", True)
    assert [attempt.reason for attempt in letter.attempts] == ["down", "poison"]
    for attempt in letter.attempts:
        assert attempt.traceback.startswith("Traceback (most recent call last):")
        assert attempt.traceback.endswith("ZeroDivisionError: told to\n")


@pytest.mark.stanchion(dead_letters="memory:", redeliver=False)
async def test_poison_is_stored_before_it_is_raised(node):
    pid = await st.start(Recorder)
    with pytest.raises(DeliveryError) as caught:
        await st.send_supervised(pid, "crash", poison_after=1, on_error="raise")
    assert caught.value.delivery.dead_letter_id is not None


@pytest.mark.stanchion(dead_letters="memory:", redeliver=False)
async def test_poison_is_not_stored_when_it_is_ignored(node):
    pid = await st.start(Recorder)
    delivery = await st.send_supervised(pid, "crash", poison_after=1, on_error="ignore")
    assert (delivery.reason, delivery.dead_letter_id) == ("poison", None)


async def test_poison_is_only_logged_when_there_is_no_queue(node, caplog):
    pid = await st.start(Recorder)
    delivery = await st.send_supervised(pid, "crash", poison_after=1)
    assert caplog.messages[-1] == f"{delivery!r} was not confirmed: 'crash'"


async def test_redelivery_counts_the_crashes_before_the_letter_was_one(new_node):
    letters = DeadLetterQueue(MemoryStore(), backoff=st.Backoff(initial=30, factor=1, maximum=30, jitter=0))
    log: list[object] = []
    async with new_node(dead_letters=letters) as node:
        await start_supervised(Recorder, log, name="server")
        sent = await st.send_supervised("server", "crash", retries=0, on_error="dead_letter")
        assert sent.reason == "down"
        await asyncio.sleep(600)
        letter = await node.dead_letters.get(sent.dead_letter_id)
        assert (letter.state, letter.reason, letter.redeliveries) == ("exhausted", "poison", 2)
        assert letter.error == "poison: " + POISON.format("3 times")
        assert all(attempt.traceback for attempt in letter.attempts)
        assert log == ["crash"] * 3


def test_redelivery_refuses_a_limit_that_is_none():
    with pytest.raises(InvalidOptionError) as caught:
        Redelivery(DeadLetterQueue("memory:"), poison_after=0)
    assert str(caught.value) == "Redelivery(poison_after): expected a whole number >= 1, got 0"
    Redelivery(DeadLetterQueue("memory:"), poison_after=None)


async def test_poison_is_told(node):
    told: list[tuple[dict[str, float], dict[str, object]]] = []
    node.telemetry.attach(DELIVERY_POISON, lambda _event, numbers, details: told.append((dict(numbers), dict(details))))
    pid = await st.start(Recorder)
    delivery = await st.send_supervised(pid, "crash", poison_after=1, on_error="ignore")
    about = {
        "node": "test",
        "recipient": pid,
        "message_id": delivery.message_id,
        "reason": delivery.exit_reason,
    }
    assert told == [({"crashes": 1}, about)]
