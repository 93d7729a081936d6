# SPDX-License-Identifier: MIT
"""What is done with a message that was not confirmed."""

from __future__ import annotations

import pytest

import stanchion as st
from stanchion.dead_letters import Attempt, DeadLetterQueue, MemoryStore
from stanchion.errors import DeliveryError, InvalidOptionError, StoreFullError
from tests.delivery.servers import Log, Recorder

STEADY = st.Backoff(initial=1, factor=2, jitter=0)
START = 1_800_000_000.0  # the wall clock of virtual time


class Order(st.Message, type="test.order"):
    sku: str
    quantity: int


async def test_failed_send_is_logged_by_default(node, caplog):
    delivery = await st.send_supervised("nobody", "hello", retries=0)
    assert caplog.messages == [f"{delivery!r} was not confirmed: 'hello'"]


async def test_failed_send_is_silent_when_ignored(node, caplog):
    assert not await st.send_supervised("nobody", "hello", retries=0, on_error="ignore")
    assert caplog.messages == []


async def test_failed_send_raises_with_its_delivery(node):
    with pytest.raises(DeliveryError) as caught:
        await st.send_supervised("nobody", "hello", retries=1, backoff=STEADY, on_error="raise")
    delivery = caught.value.delivery
    assert delivery.reason == "noproc"
    assert str(caught.value) == (
        f"send of {delivery.message_id} to nobody: expected a confirmation, got rejected (noproc) after 2 attempts "
        "in 1.000 s; the message was not handled"
    )


async def test_error_says_that_the_message_may_have_been_handled(node):
    pid = await st.start(Recorder)
    with pytest.raises(DeliveryError) as caught:
        await st.send_supervised(pid, "crash", on_error="raise")
    assert str(caught.value).endswith("the message may have been handled")


@pytest.mark.stanchion(dead_letters="memory:", redeliver=False)
async def test_failed_send_is_stored_with_its_history(node):
    delivery = await st.send_supervised(
        "nobody",
        Order("A-1", 2),
        retries=1,
        backoff=STEADY,
        on_error="dead_letter",
        metadata={"tenant": "a"},
    )
    assert delivery.dead_letter_id is not None
    assert repr(delivery).endswith(f", dead letter {delivery.dead_letter_id}>")
    letter = await node.dead_letters.get(delivery.dead_letter_id)
    assert (letter.recipient, letter.reason, letter.state) == ("nobody", "noproc", "waiting")
    assert letter.message() == Order("A-1", 2)
    assert letter.attempts == (Attempt(START, "noproc", "noproc"), Attempt(START + 1, "noproc", "noproc"))
    assert (letter.message_id, letter.metadata) == (delivery.message_id, {"tenant": "a"})


@pytest.mark.stanchion(dead_letters="memory:", redeliver=False)
async def test_letter_to_a_pid_waits_for_a_person_even_if_the_process_had_a_name(node):
    pid = await st.start(Recorder, name="server")
    delivery = await st.send_supervised(pid, "crash", on_error="dead_letter")
    letter = await node.dead_letters.get(delivery.dead_letter_id)
    assert (letter.recipient, letter.redeliverable, letter.state) == ("<test.1 server>", False, "exhausted")
    assert (letter.reason, letter.error) == ("down", "down: ZeroDivisionError('told to')")


@pytest.mark.stanchion(dead_letters="memory:", redeliver=False)
async def test_letter_to_a_bare_pid_waits_for_a_person(node):
    pid = await st.start(Recorder)
    delivery = await st.send_supervised(pid, "crash", on_error="dead_letter")
    letter = await node.dead_letters.get(delivery.dead_letter_id)
    assert (letter.recipient, letter.redeliverable, letter.state) == ("<test.1>", False, "exhausted")


@pytest.mark.stanchion(dead_letters="memory:", redeliver=False)
async def test_message_that_cannot_be_data_is_kept_with_its_preview(node):
    delivery = await st.send_supervised("nobody", object, retries=0, on_error="dead_letter")
    letter = await node.dead_letters.get(delivery.dead_letter_id)
    assert (letter.replayable, letter.preview, letter.state) == (False, "<class 'object'>", "exhausted")


async def test_send_sends_nothing_when_there_is_no_queue_for_its_dead_letter(node):
    pid = await st.start(Recorder)
    with pytest.raises(InvalidOptionError) as caught:
        await st.send_supervised(pid, "hello", on_error="dead_letter")
    assert str(caught.value) == (
        "send_supervised(on_error): expected a node with a dead-letter queue for on_error='dead_letter', "
        "got <Node test running, 1 processes>, which has none\n"
        "Fix: make the node with Node(dead_letters='sqlite:///letters.db')."
    )
    assert await st.call(pid, Log()) == []
    with pytest.raises(InvalidOptionError, match=r"Node\.dead_letters: expected a node with a dead-letter queue"):
        _ = node.dead_letters


class FullStore(MemoryStore):
    async def write(self, writes):
        raise StoreFullError("memory:", expected="room", got="none")


async def test_message_is_the_callers_again_when_its_letter_cannot_be_stored(new_node):
    async with new_node(dead_letters=DeadLetterQueue(FullStore()), redeliver=False):
        with pytest.raises(DeliveryError) as caught:
            await st.send_supervised("nobody", "hello", retries=0, on_error="dead_letter")
        assert isinstance(caught.value.__cause__, StoreFullError)
        assert caught.value.delivery.dead_letter_id is None
        assert "it could not be stored as a dead letter either" in str(caught.value)


def test_node_refuses_what_is_no_queue():
    with pytest.raises(InvalidOptionError) as caught:
        st.Node(dead_letters=42)
    assert str(caught.value) == ("Node(dead_letters): expected a DeadLetterQueue, the URL of a store, or None, got 42")
