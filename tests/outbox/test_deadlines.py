# SPDX-License-Identifier: MIT
"""How long a durable send waits: for room, for its commit, for its end. What is stored is delivered all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import create_engine

import stanchion as st
from stanchion.delivery import OutboxDelivery
from stanchion.delivery._durable import Durable, options_of
from stanchion.delivery._options import USUAL
from stanchion.errors import DeliveryError, StoreError
from stanchion.outbox import Outbox, OutboxMessage, _tables
from stanchion.storage import SqliteDatabase
from stanchion.timeouts import POLICY
from tests.delivery.servers import Log, Recorder

TICK = 1 / 128
GOES_ON = "timeout: it is stored, and the outbox goes on with it"


class Clockwatcher(st.GenServer):
    """Keeps what it knows of the time that is left."""

    def init(self) -> None:
        self.left: list[object] = []

    def handle_call(self, request: object, sender: st.Sender) -> object:
        return self.left

    def handle_cast(self, message: object) -> None:
        info = st.message_info()
        assert info is not None
        self.left.append((st.remaining(), info.remaining()))


class Gate:
    """A database that works when it is told to."""

    def __init__(self, url: str) -> None:
        self.database = SqliteDatabase(url)
        self.open = asyncio.Event()
        self.open.set()

    def stand_between(self, monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
        for name in names:
            monkeypatch.setattr(self.database, name, self._late(getattr(self.database, name)))

    def _late(self, work: Callable[..., Awaitable[object]]) -> Callable[..., Awaitable[object]]:
        async def waits(*args: object) -> object:
            await self.open.wait()
            return await work(*args)

        return waits


# --- in time or not at all -----------------------------------------------------------------------


async def test_durable_send_is_not_begun_when_the_deadline_has_passed(new_node):
    async with new_node() as node:
        await st.start(Recorder, name="server")
        async with st.deadline(0):
            delivery = await st.send_supervised("server", "hello", durable=True, on_error="ignore", breaker="unknown")
        assert (delivery.outcome, delivery.reason, delivery.attempts) == ("rejected", "timeout", 0)
        assert delivery.reason_text.endswith(" had passed; it was not sent")
        assert await node.outbox.count() == {}


async def test_durable_send_that_is_not_begun_does_what_on_error_says(new_node):
    async with new_node() as node:
        async with st.deadline(0):
            with pytest.raises(DeliveryError):
                await st.send_supervised("server", "hello", durable=True, on_error="raise")
        async with st.deadline(5):
            await asyncio.sleep(0)
        assert (await node.dead_letters.stats()).waiting == 0


async def test_durable_send_that_finds_no_room_in_time_is_rejected(new_node, url, monkeypatch):
    gate = Gate(url)
    outbox = Outbox(gate.database, max_pending=1)
    async with new_node(database=None, dead_letters="memory:", services=[outbox, OutboxDelivery(outbox)]) as node:
        pid = await st.start(Recorder, name="server")
        gate.stand_between(monkeypatch, "write")
        gate.open.clear()
        first = [asyncio.create_task(st.send_supervised("server", number, durable=True)) for number in range(2)]
        await asyncio.sleep(1)
        async with st.deadline(2):
            delivery = await st.send_supervised("server", "late", durable=True, on_error="dead_letter")
        assert (delivery.outcome, delivery.reason_text, delivery.elapsed) == (
            "rejected", "timeout: the deadline passed before the outbox had room for it", 2.0,
        )  # fmt: skip
        assert (await node.dead_letters.get(delivery.dead_letter_id)).error == delivery.reason_text
        gate.open.set()
        assert all(await asyncio.gather(*first))
        await outbox.wait_empty()
        assert await st.call(pid, Log()) == [0, 1]


async def test_outbox_stores_what_waited_for_room(new_node, url, monkeypatch):
    gate = Gate(url)
    outbox = Outbox(gate.database, max_pending=1)
    async with new_node(database=None, dead_letters="memory:", services=[outbox, OutboxDelivery(outbox)]):
        await st.start(Recorder, name="server")
        gate.stand_between(monkeypatch, "write")
        gate.open.clear()
        sends = [asyncio.create_task(st.send_supervised("server", number, durable=True)) for number in range(3)]
        await asyncio.sleep(1)
        gate.open.set()
        assert all(await asyncio.gather(*sends))
        await outbox.wait_empty()


@pytest.mark.parametrize("ack", ["stored", "processed"])
async def test_wait_for_the_commit_is_cut_and_the_message_is_delivered_all_the_same(new_node, url, monkeypatch, ack):
    gate = Gate(url)
    async with new_node(database=gate.database) as node:
        pid = await st.start(Recorder, name="server")
        gate.stand_between(monkeypatch, "write")
        gate.open.clear()
        async with st.deadline(2):
            scoped = await st.send_supervised("server", "scoped", durable=True, ack=ack)
        own = await st.send_supervised("server", "own", durable=True, ack=ack, deadline=3)
        for delivery, seconds in ((scoped, 2), (own, 3)):
            assert (delivery.outcome, delivery.elapsed) == ("unknown", seconds + TICK)
            assert delivery.reason_text == (
                "timeout: the deadline passed before its commit was known; "
                "if it is committed, the outbox goes on with it"
            )
        with pytest.raises(DeliveryError):
            await st.send_supervised("server", "raised", durable=True, ack=ack, deadline=1, on_error="raise")
        gate.open.set()
        await asyncio.sleep(1)
        await node.outbox.wait_empty()
        assert sorted(await st.call(pid, Log())) == ["own", "raised", "scoped"]


async def test_wait_for_the_end_is_cut_and_the_delivery_goes_on(new_node):
    async with new_node() as node:
        pid = await st.start(Recorder, name="server")
        async with st.deadline(2):
            delivery = await st.send_supervised("server", ("sleep", 4), durable=True, ack="processed")
        assert (delivery.outcome, delivery.reason_text, delivery.elapsed) == ("unknown", GOES_ON, 2 + TICK)
        await node.outbox.wait_empty()
        assert await st.call(pid, Log()) == [("sleep", 4)]


async def test_commit_that_fails_when_its_sender_has_given_up_is_logged(new_node, url, monkeypatch, caplog):
    gate = Gate(url)
    async with new_node(database=gate.database):
        real: Any = gate.database.write

        async def fails(work: object, *args: object) -> object:
            if work is not _tables.commit:
                return await real(work, *args)
            await asyncio.sleep(3)
            raise StoreError(url, expected="the database to work", got="a test")

        monkeypatch.setattr(gate.database, "write", fails)
        assert (await st.send_supervised("server", "hello", durable=True, deadline=2)).outcome == "unknown"
        assert "was not stored" not in caplog.text
        await asyncio.sleep(2)
        monkeypatch.setattr(gate.database, "write", real)
    assert "to server was not stored: store " in caplog.text


async def test_sender_waits_on_when_the_database_fails_as_it_looks_after_its_message(new_node, url, monkeypatch):
    async with new_node() as node:
        looks: list[str] = []

        async def has(id: str) -> bool:
            looks.append(id)
            raise StoreError(url, expected="the database to work", got="a test")

        monkeypatch.setattr(node.outbox, "has", has)
        await st.start(Recorder, name="server")
        endless: dict[str, Any] = {"ack": "processed", "timeout": None, "deadline": None}
        assert await st.send_supervised("server", ("sleep", 40), durable=True, **endless)
        assert len(looks) == 1


@pytest.mark.parametrize(("ack", "outcome"), [("stored", "confirmed"), ("processed", "unknown")])
async def test_commit_that_is_known_in_the_step_of_the_deadline_counts(new_node, monkeypatch, ack, outcome):
    async with new_node() as node:
        loop = asyncio.get_running_loop()

        def put(message: OutboxMessage, *, hold: bool) -> asyncio.Future[bool | None]:
            answer: asyncio.Future[bool | None] = loop.create_future()
            loop.call_soon(answer.set_result, True)
            return answer

        monkeypatch.setattr(node.outbox, "put", put)
        delivery = await st.send_supervised("server", "hello", durable=True, ack=ack, deadline=0)
        assert (delivery.outcome, delivery.reason_text) == (outcome, "" if ack == "stored" else GOES_ON)


@pytest.mark.parametrize("ack", ["stored", "processed"])
async def test_send_that_is_cancelled_while_it_waits_for_its_commit_leaves_nothing_behind(
    new_node, url, monkeypatch, ack
):
    gate = Gate(url)
    async with new_node(database=gate.database) as node:
        pid = await st.start(Recorder, name="server")
        gate.stand_between(monkeypatch, "write")
        gate.open.clear()
        send = asyncio.create_task(st.send_supervised("server", "hello", durable=True, ack=ack))
        await asyncio.sleep(1)
        send.cancel()
        await asyncio.wait([send])
        assert send.cancelled()
        assert node.service(OutboxDelivery)._waiting == {}
        gate.open.set()
        await asyncio.sleep(1)
        await node.outbox.wait_empty()
        assert await st.call(pid, Log()) == ["hello"]


class LastSender:
    """A service that sends when the node stops, and nobody delivers any more."""

    async def open(self, node: st.Node) -> None:
        pass

    async def close(self) -> None:
        self.send = asyncio.create_task(st.send_supervised("server", 1, durable=True, ack="processed", deadline=None))
        await asyncio.sleep(1)


async def test_send_that_is_stored_while_the_node_stops_does_not_wait_for_ever(new_node, url):
    outbox, last = Outbox(url), LastSender()
    async with new_node(database=None, dead_letters="memory:", services=[outbox, OutboxDelivery(outbox), last]):
        pass
    delivery = await last.send
    assert (delivery.outcome, delivery.reason_text) == ("unknown", GOES_ON)


# --- what is stored ------------------------------------------------------------------------------


async def test_scope_of_the_sender_does_not_travel_with_what_is_stored(new_node):
    async with new_node() as node:
        pid = await st.start(Clockwatcher, name="server")
        async with st.deadline(5):
            await st.send_supervised("server", "hello", durable=True)
            await st.send_supervised("server", "hello", durable=True, deadline=60)
            await st.send_supervised("server", "hello", durable=True, deadline=None)
        await node.outbox.wait_empty()
        left: Any = await st.call(pid, "left")
        assert sorted(left, key=repr) == [(None, 30.0), (None, 60.0), (None, None)]


@pytest.mark.allow_blocking("it writes in a transaction of its own")
async def test_message_that_is_written_takes_no_part_in_the_scope_around_it(new_node, url):
    async with new_node() as node:
        pid = await st.start(Clockwatcher, name="server")
        async with st.deadline(5):
            engine = create_engine(url)
            with engine.begin() as connection:
                st.write_message(connection, "server", "hello")
            engine.dispose()
        node.outbox.wake()
        await node.outbox.wait_empty()
        assert await st.call(pid, "left") == [(None, 30.0)]


async def test_deadline_of_a_stored_message_is_what_the_policy_of_the_node_says_that_delivers_it(new_node):
    async with new_node():
        await st.send_supervised("server", "hello", durable=True)
    async with new_node(timeouts=st.TimeoutPolicy(operations={"stanchion.send": 7})) as node:
        pid = await st.start(Clockwatcher, name="server")
        await node.outbox.wait_empty()
        assert await st.call(pid, "left") == [(None, 7.0)]


@pytest.mark.parametrize(
    ("deadline", "text"), [(POLICY, "{}"), (30.0, '{"deadline":30.0}'), (None, '{"deadline":null}')]
)
def test_deadline_is_stored_as_it_was_given(deadline, text):
    options = USUAL._replace(durable=True, deadline=deadline)
    message = Durable("send_supervised", "server", "hello", options).stored("1", 1.0)
    assert message.options == text
    assert options_of(message).deadline == deadline


# --- keys ----------------------------------------------------------------------------------------


async def test_send_whose_key_is_not_looked_up_in_time_is_rejected(new_node, url, monkeypatch):
    gate = Gate(url)
    async with new_node(database=gate.database, remember_keys=60):
        pid = await st.start(Recorder, name="server")
        gate.stand_between(monkeypatch, "read")
        gate.open.clear()
        async with st.deadline(2):
            delivery = await st.send_supervised("server", "hello", idempotency_key="order-17", on_error="ignore")
        gate.open.set()
        assert (delivery.outcome, delivery.attempts, delivery.elapsed) == ("rejected", 0, 2.0)
        assert delivery.reason_text == "timeout: the deadline passed while its key was looked up; it was not sent"
        assert await st.call(pid, Log()) == []


async def test_send_whose_key_is_not_remembered_in_time_is_confirmed_and_the_key_is_remembered_later(
    new_node, url, monkeypatch
):
    gate = Gate(url)
    async with new_node(database=gate.database, remember_keys=60) as node:
        await st.start(Recorder, name="server")
        gate.stand_between(monkeypatch, "write")
        gate.open.clear()
        before = node.clock.monotonic()
        async with st.deadline(2):
            assert await st.send_supervised("server", "hello", idempotency_key="order-17")
        assert node.clock.monotonic() == before + 2
        gate.open.set()
        await asyncio.sleep(1)
        assert (await st.send_supervised("server", "hello", idempotency_key="order-17")).attempts == 0
