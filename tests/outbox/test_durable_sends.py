# SPDX-License-Identifier: MIT
"""Sends with durable=True: what is stored, what is delivered, and what callers are told."""

from __future__ import annotations

import asyncio
import logging
from inspect import signature

import pytest

import stanchion as st
from stanchion import telemetry
from stanchion.breakers import BreakerPolicy
from stanchion.delivery import OutboxDelivery
from stanchion.errors import (
    DeliveryError,
    InvalidOptionError,
    MessageEncodeError,
    OutboxClosedError,
    StoreError,
    StoreReadOnlyError,
    StoreRejectedError,
)
from stanchion.outbox import Outbox
from stanchion.storage import SqliteDatabase
from tests.delivery.servers import Flaky, Log, Recorder, Seen
from tests.outbox.support import stored
from tests.registry.helpers import registry


async def test_durable_send_returns_when_it_is_stored_and_is_delivered_then(new_node):
    async with new_node() as node:
        pid = await st.start(Recorder, name="server")
        delivery = await st.send_supervised("server", "hello", durable=True)
        assert (delivery.outcome, delivery.attempts, delivery.duplicate) == ("confirmed", 0, False)
        await node.outbox.wait_empty()
        assert await st.call(pid, Log()) == ["hello"]
        assert await node.outbox.count() == {}


async def test_what_is_delivered_is_what_was_stored(new_node):
    async with new_node() as node:
        pid = await st.start(Recorder, name="server")
        message = {"sku": "A-1", "tags": ("new", 3)}
        await st.send_supervised("server", message, durable=True)
        message["sku"] = "changed since"
        await node.outbox.wait_empty()
        assert await st.call(pid, Log()) == [{"sku": "A-1", "tags": ("new", 3)}]


async def test_receiver_sees_the_id_and_the_metadata_of_a_durable_send(new_node):
    async with new_node() as node:
        pid = await st.start(Flaky, 1, name="server")
        sent = await st.send_supervised("server", "hello", durable=True, metadata={"at": (1, 2)})
        await node.outbox.wait_empty()
        first, second = await st.call(pid, Seen())
        assert (first.message_id, first.attempt, first.metadata) == (sent.message_id, 1, {"at": (1, 2)})
        assert (second.message_id, second.attempt) == (sent.message_id, 2)


async def test_key_of_a_registry_is_a_lasting_address(new_node):
    async with new_node() as node:
        await registry()
        pid = await st.start(Recorder, name=st.Registry.via("registry", ("shop", 7)))
        await st.send_supervised(st.Registry.via("registry", ("shop", 7)), "hello", durable=True)
        await node.outbox.wait_empty()
        assert await st.call(pid, Log()) == ["hello"]


async def test_durable_send_can_wait_until_the_message_is_processed(new_node):
    async with new_node() as node:
        await st.start(Recorder, name="server")
        delivery = await st.send_supervised("server", ("sleep", 3), durable=True, ack="processed")
        assert (delivery.outcome, delivery.attempts, round(delivery.elapsed)) == ("confirmed", 1, 3)
        assert node.outbox.statistics().delivered in (0, 1)
        await node.outbox.wait_empty()


async def test_durable_send_can_wait_until_the_message_is_in_the_mailbox(new_node):
    async with new_node() as node:
        await st.start(Recorder, name="server")
        delivery = await st.send_supervised("server", ("sleep", 3), durable=True, ack="enqueued")
        assert (delivery.outcome, delivery.elapsed < 1) == ("confirmed", True)
        await node.outbox.wait_empty()


async def test_options_of_a_durable_send_are_kept_with_it(new_node):
    async with new_node() as node:
        backoff = st.Backoff(initial=10, factor=1, maximum=10, jitter=0)
        await st.send_supervised(
            "nobody", "hello", durable=True, retries=2, backoff=backoff, timeout=1, deadline=None, poison_after=None
        )
        await asyncio.sleep(15)
        assert (await node.dead_letters.stats()).waiting == 0
        await asyncio.sleep(6)
        (letter,) = (await node.dead_letters.list()).entries
        assert [round(attempt.at - letter.attempts[0].at) for attempt in letter.attempts[:3]] == [0, 10, 20]


async def test_breaker_of_a_durable_send_is_kept_by_its_name(new_node):
    async with new_node() as node:
        breaker = node.breakers.add("payments", BreakerPolicy())
        breaker.trip("maintenance")
        delivery = await st.send_supervised("nobody", "hello", durable=True, ack="processed", breaker="payments")
        assert (delivery.reason, delivery.dead_letter_id is not None) == ("circuit_open", True)


async def test_message_that_is_given_up_becomes_a_dead_letter(new_node, caplog):
    async with new_node() as node:
        delivery = await st.send_supervised("nobody", ("reserve", "A-1"), durable=True, ack="processed")
        assert (delivery.outcome, delivery.reason, delivery.attempts) == ("rejected", "noproc", 4)
        letter = await node.dead_letters.get(delivery.dead_letter_id)
        assert (letter.recipient, letter.message(), letter.message_id) == (
            "nobody", ("reserve", "A-1"), delivery.message_id
        )  # fmt: skip
        await node.outbox.wait_empty()
        assert node.outbox.statistics().given_up == 1
    assert "was not confirmed: ('reserve', 'A-1')" in caplog.text


@pytest.mark.parametrize("on_error", ["raise", "dead_letter"])
async def test_message_that_is_given_up_is_logged_only_when_that_was_asked_for(new_node, caplog, on_error):
    async with new_node() as node:
        await st.send_supervised("nobody", "hello", durable=True, on_error=on_error)
        await node.outbox.wait_empty()
        assert (await node.dead_letters.stats()).waiting == 1
    assert "was not confirmed" not in caplog.text


async def test_message_whose_end_nobody_wants_to_know_is_dropped(new_node, caplog):
    async with new_node() as node:
        await st.send_supervised("nobody", "hello", durable=True, on_error="ignore")
        await node.outbox.wait_empty()
        assert (await node.dead_letters.list()).entries == ()
    assert caplog.text == ""


async def test_caller_who_waits_gets_the_error_that_was_asked_for(new_node):
    async with new_node() as node:
        with pytest.raises(DeliveryError) as raised:
            await st.send_supervised("nobody", "hello", durable=True, ack="processed", on_error="raise")
        assert raised.value.delivery.dead_letter_id is not None
        assert (await node.dead_letters.stats()).waiting == 1


async def test_caller_waits_no_longer_than_the_deadline_and_the_outbox_goes_on(new_node):
    async with new_node() as node:
        pid = await st.start(Recorder, name="server")
        for _ in range(64):
            await st.send_supervised("server", ("sleep", 1), durable=True, timeout=None, deadline=None)
        delivery = await st.send_supervised("server", "late", durable=True, ack="processed", deadline=10)
        assert (delivery.outcome, delivery.reason, round(delivery.elapsed)) == ("unknown", "timeout", 10)
        assert delivery.reason_text == "timeout: it is stored, and the outbox goes on with it"
        await node.outbox.wait_empty()
        assert (await st.call(pid, Log(), timeout=None))[-1] == "late"


async def test_send_that_is_cancelled_after_its_commit_is_delivered_all_the_same(new_node):
    async with new_node() as node:
        pid = await st.start(Recorder, name="server")
        send = asyncio.create_task(st.send_supervised("server", ("sleep", 5), durable=True, ack="processed"))
        await asyncio.sleep(1)
        send.cancel()
        await asyncio.wait([send])
        await node.outbox.wait_empty()
        assert await st.call(pid, Log()) == [("sleep", 5)]


async def test_process_can_send_durably_to_itself(new_node):
    class Looping(Recorder):
        async def handle_info(self, message: object) -> None:
            await st.send_supervised("server", "to myself", durable=True)

    async with new_node() as node:
        pid = await st.start(Looping, name="server")
        st.send(pid, "go")
        await st.call(pid, Log())
        await node.outbox.wait_empty()
        assert await st.call(pid, Log()) == ["to myself"]


# --- what is refused -----------------------------------------------------------------------------


async def test_node_without_an_outbox_refuses_durable_sends(new_node):
    async with new_node(database=None) as node:
        with pytest.raises(InvalidOptionError) as raised:
            await st.send_supervised("server", "hello", durable=True)
        assert str(raised.value) == (
            f"send_supervised(durable): expected a node with an outbox for durable=True, got {node!r}, which has none\n"
            "Fix: make the node with Node(database='sqlite:///app.db')."
        )
        with pytest.raises(InvalidOptionError) as raised:
            _ = node.outbox
        assert str(raised.value) == (
            f"Node.outbox: expected a node with an outbox, got {node!r}\n"
            "Fix: make it with Node(database='sqlite:///app.db')."
        )


async def test_pid_is_no_address_that_lasts(new_node):
    async with new_node() as node:
        pid = await st.start(Recorder)
        with pytest.raises(InvalidOptionError) as raised:
            await st.send_supervised(pid, "hello", durable=True)
        assert str(raised.value) == (
            "send_supervised(ref): expected an address that a later node knows: a registered name, or the key of a "
            f"registry by names, got {pid!r}\nFix: register the process, and send to its name."
        )
        assert await node.outbox.count() == {}


async def test_message_that_cannot_become_data_is_refused_and_not_stored(new_node):
    async with new_node() as node:
        with pytest.raises(MessageEncodeError):
            await st.send_supervised("server", object(), durable=True)
        with pytest.raises(MessageEncodeError):
            await st.send_supervised("server", "hello", durable=True, metadata={"it": object()})
        assert await node.outbox.count() == {}


async def test_breaker_of_a_durable_send_must_be_given_by_its_name(new_node):
    async with new_node() as node:
        breaker = node.breakers.add("payments", BreakerPolicy())
        with pytest.raises(InvalidOptionError) as raised:
            await st.send_supervised("server", "hello", durable=True, breaker=breaker)
        assert str(raised.value) == (
            "send_supervised(breaker): expected the name of one of the node's breakers, or None, for a message that is "
            f"stored, got {breaker!r}\nFix: add it to the node, and pass its name, 'payments'."
        )


async def test_ack_stored_is_for_what_is_stored(new_node):
    async with new_node():
        with pytest.raises(InvalidOptionError) as raised:
            await st.send_supervised("server", "hello", ack="stored")
        assert str(raised.value) == (
            "send_supervised(ack): expected 'enqueued' or 'processed' for a message that is not stored, got 'stored'\n"
            "Fix: pass durable=True too."
        )
        with pytest.raises(InvalidOptionError) as raised:
            await st.send_supervised("server", "hello", durable=True, ack="store")
        assert str(raised.value) == (
            "send_supervised(ack): expected one of 'stored', 'enqueued', 'processed', got 'store'\nFix: write 'stored'."
        )
        with pytest.raises(InvalidOptionError) as raised:
            await st.send_supervised("server", "hello", durable="yes")
        assert str(raised.value) == "send_supervised(durable): expected an instance of bool, got 'yes'"
        with pytest.raises(InvalidOptionError) as raised:
            await st.broadcast_supervised(["server"], "hello", ack="stored")
        assert str(raised.value).startswith(
            "broadcast_supervised(ack): expected one of 'enqueued', 'processed', got 'stored'"
        )


async def test_process_cannot_wait_for_its_own_handling_of_a_stored_message(new_node):
    class Waiting(Recorder):
        async def handle_call(self, request: object, sender: st.Sender) -> object:
            with pytest.raises(InvalidOptionError, match="expected another process"):
                await st.send_supervised("server", "to myself", durable=True, ack="processed")
            return "refused"

    async with new_node() as node:
        assert await st.call(await st.start(Waiting, name="server"), Log()) == "refused"
        assert await node.outbox.count() == {}


@pytest.mark.allow_blocking("the test fills the file itself")
async def test_message_that_finds_no_room_is_the_callers_again(new_node, tmp_path):
    database = SqliteDatabase(f"sqlite:///{tmp_path}/small.db", max_bytes=150_000)
    async with new_node(database=database) as node:
        pid = await st.start(Recorder, name="server")
        with pytest.raises(StoreError) as raised:
            await st.send_supervised("server", b"x" * 200_000, durable=True)
        assert "expected room for" in str(raised.value)
        await st.send_supervised("server", "small", durable=True)
        await node.outbox.wait_empty()
        assert await st.call(pid, Log()) == ["small"]


async def test_message_that_the_database_cannot_keep_fails_alone(new_node):
    async with new_node() as node:
        pid = await st.start(Recorder, name="server")
        bad = st.send_supervised("\udc80", "bad", durable=True)
        good = st.send_supervised("server", "good", durable=True)
        failed, delivery = await asyncio.gather(bad, good, return_exceptions=True)
        assert (type(failed), bool(delivery)) == (StoreRejectedError, True)
        await node.outbox.wait_empty()
        assert await st.call(pid, Log()) == ["good"]


async def test_sends_wait_for_room_when_too_many_wait_for_their_commit(new_node, url):
    outbox = Outbox(url, max_pending=2)
    async with new_node(database=None, dead_letters="memory:", services=[outbox, OutboxDelivery(outbox)]):
        pid = await st.start(Recorder, name="server")
        await asyncio.gather(*(st.send_supervised("server", number, durable=True) for number in range(20)))
        await outbox.wait_empty()
        assert sorted(await st.call(pid, Log())) == list(range(20))


# --- the services --------------------------------------------------------------------------------


async def test_outbox_and_dead_letters_share_one_database(new_node, url):
    async with new_node(dead_letters="memory:") as node:
        await st.send_supervised("nobody", "hello", durable=True, retries=0, on_error="dead_letter")
        await node.outbox.wait_empty()
        assert (await node.dead_letters.stats()).waiting == 1
    async with new_node() as node:
        assert (await node.dead_letters.stats()).waiting == 0  # those were in memory


async def test_outbox_that_is_closed_says_so(url):
    outbox = Outbox(url)
    for use in (outbox.statistics, outbox.wake):
        with pytest.raises(OutboxClosedError) as raised:
            use()
    assert str(raised.value) == (
        "wake: expected an open outbox, got a closed one\nFix: use it while the node that owns it runs."
    )
    assert raised.value.operation == "wake"
    for wait in (outbox.count(), outbox.wait_empty()):
        with pytest.raises(OutboxClosedError):
            await wait
    outbox.done(stored(1), delivered=True, handled=True)
    outbox.put_back(stored(1))
    await outbox.close()


async def test_outbox_is_opened_once(new_node):
    async with new_node() as node:
        with pytest.raises(InvalidOptionError) as raised:
            await node.outbox.open(node)
        assert str(raised.value) == "Outbox.open(): expected a closed outbox, got an open one"


async def test_outbox_whose_database_cannot_be_opened_keeps_the_node_from_starting(new_node, tmp_path):
    with pytest.raises(StoreError, match="create the folder"):
        async with new_node(database=f"sqlite:///{tmp_path}/missing/app.db"):
            pass


async def test_outbox_that_cannot_register_closes_its_database(new_node, url, monkeypatch):
    async def fails(*_: object) -> None:
        raise StoreReadOnlyError(url, expected="a file that can be written", got="none")

    outbox = Outbox(database := SqliteDatabase(url))
    monkeypatch.setattr(database, "write", fails)
    with pytest.raises(StoreReadOnlyError):
        async with new_node(database=None, services=[outbox]):
            pass
    with pytest.raises(StoreError, match="open"):
        await database.read(lambda _: None)


async def test_delivery_of_an_outbox_wants_a_queue_for_what_is_given_up(new_node, url):
    outbox = Outbox(url)
    node = new_node(database=None, services=[outbox, OutboxDelivery(outbox)])
    with pytest.raises(InvalidOptionError) as raised:
        async with node:
            pass
    assert str(raised.value) == (
        "OutboxDelivery.open(node): expected a node with a dead-letter queue, for what is given up, "
        "got <Node node running, 0 processes>, which has none\n"
        "Fix: make the node with Node(database='sqlite:///app.db')."
    )


def test_defaults_are_those_that_the_docs_name():
    defaults = {name: option.default for name, option in signature(Outbox).parameters.items()}
    assert (defaults["lease"], defaults["poll"], defaults["per_recipient"], defaults["max_pending"]) == (
        30,
        1,
        64,
        10_000,
    )


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"lease": 0}, "Outbox: lease: expected more than 0 seconds, got 0"),
        ({"poll": -1}, "Outbox: poll: expected seconds >= 0 as a finite number, or a timedelta, got -1"),
        ({"concurrency": 0}, "Outbox: concurrency: expected a whole number >= 1, got 0"),
        ({"per_recipient": 0}, "Outbox: per_recipient: expected a whole number >= 1, got 0"),
        ({"max_pending": 0}, "Outbox: max_pending: expected a whole number >= 1, got 0"),
        ({"remember_keys": "1 h"}, "Outbox: remember_keys: expected seconds >= 0 as a finite number, or a timedelta, got '1 h'"),
    ],
)  # fmt: skip
def test_options_of_an_outbox_are_checked(url, options, text):
    with pytest.raises(InvalidOptionError) as raised:
        Outbox(url, **options)
    assert str(raised.value) == text


def test_options_of_a_node_about_its_database_are_checked():
    with pytest.raises(InvalidOptionError) as raised:
        st.Node(database=7)
    assert str(raised.value) == "Node(database): expected a database, its URL, or None, got 7"
    with pytest.raises(InvalidOptionError) as raised:
        st.Node(remember_keys=60)
    assert str(raised.value) == (
        "Node(remember_keys): expected a node with a database to keep keys in, got 60\n"
        "Fix: pass database='sqlite:///app.db' too."
    )


async def test_what_happens_is_told(new_node, caplog):
    caplog.set_level(logging.ERROR)
    told: list[tuple[str, object]] = []
    async with new_node() as node:
        for event in (telemetry.OUTBOX_STORED, telemetry.OUTBOX_DELIVERED, telemetry.OUTBOX_GIVEN_UP):
            node.telemetry.attach(event, lambda event, _, about: told.append((event.name[-1], about["recipient"])))
        await st.start(Recorder, name="server")
        await st.send_supervised("server", "hello", durable=True)
        await st.send_supervised("nobody", "hello", durable=True)
        await node.outbox.wait_empty()
    assert sorted(told) == [("delivered", "server"), ("given_up", "nobody"), ("stored", "nobody"), ("stored", "server")]


async def test_whoever_waits_for_an_empty_outbox_gives_up_when_the_time_is_up(new_node):
    async with new_node() as node:
        await st.start(Recorder, name="server")
        await st.send_supervised("server", ("sleep", 3), durable=True)
        with pytest.raises(TimeoutError) as caught:
            await node.outbox.wait_empty(timeout=1)
        assert str(caught.value) == "Outbox.wait_empty(): expected no message within 1 s, got some left"
        node.timeouts.set(0.5, operation="stanchion.wait_empty")
        with pytest.raises(TimeoutError, match=r"within 0\.5 s, got some left"):
            await node.outbox.wait_empty()
        await node.outbox.wait_empty(timeout=None)
