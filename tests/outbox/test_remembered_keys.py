# SPDX-License-Identifier: MIT
"""Idempotency keys that are kept in the database."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import stanchion as st
from stanchion.errors import StoreError
from stanchion.outbox import _tables
from stanchion.storage import SqliteDatabase
from tests.delivery.servers import Log, Recorder
from tests.outbox.support import leave_behind, opened, stored

DAY = 86_400.0


async def sent(message: str, *, key: str = "order-7", **options: object) -> st.Delivery:
    return await st.send_supervised("server", message, idempotency_key=key, **options)


@pytest.mark.parametrize("durable", [False, True])
async def test_message_whose_key_was_handled_is_confirmed_and_not_sent_again(new_node, durable):
    log: list[object] = []
    async with new_node(remember_keys=DAY) as node:
        await st.start(Recorder, log, name="server")
        first = await sent("first", durable=durable)
        assert (first.outcome, first.duplicate, first.message_id) == ("confirmed", False, "order-7")
        await node.outbox.wait_empty()
    async with new_node(remember_keys=DAY) as node:
        await st.start(Recorder, log, name="server")
        second = await sent("second", durable=durable)
        assert (second.outcome, second.duplicate) == ("confirmed", True)
        waited_for = await sent("third", durable=True, ack="processed")
        assert (waited_for.outcome, waited_for.duplicate) == ("confirmed", True)
        assert await sent("other", key="order-8", durable=durable)
        await node.outbox.wait_empty()
    assert log == ["first", "other"]


async def test_node_that_remembers_no_keys_sends_again(new_node):
    log: list[object] = []
    for _ in range(2):
        async with new_node() as node:
            await st.start(Recorder, log, name="server")
            await sent("hello", durable=True)
            await sent("hello", key="not durable")
            await node.outbox.wait_empty()
            assert not await node.outbox.was_handled("server", "order-7")
    assert sorted(log) == ["hello"] * 4


async def test_keys_are_of_one_recipient_and_of_lasting_ones(new_node):
    async with new_node(remember_keys=DAY) as node:
        pid = await st.start(Recorder, name="server")
        other = await st.start(Recorder, name="other")
        await sent("hello")
        assert await st.send_supervised("other", "hello", idempotency_key="order-7")
        assert await st.send_supervised(pid, "hello", idempotency_key="by pid")
        assert await st.call(other, Log()) == ["hello"]
        assert not await node.outbox.was_handled(repr(pid), "by pid")


async def test_key_of_a_message_that_was_not_handled_is_not_remembered(new_node):
    async with new_node(remember_keys=DAY) as node:
        await sent("hello", retries=0)
        await sent("hello", retries=0, durable=True)
        await node.outbox.wait_empty()
        assert not await node.outbox.was_handled("server", "order-7")


@pytest.mark.parametrize("durable", [False, True])
async def test_key_of_a_message_that_only_has_its_place_is_not_remembered(new_node, durable):
    async with new_node(remember_keys=DAY) as node:
        pid = await st.start(Recorder, name="server")
        st.cast(pid, ("sleep", 10))
        assert await sent("hello", ack="enqueued", durable=durable)
        await node.outbox.wait_empty()
        st.exit(pid, "kill")
        assert not await node.outbox.was_handled("server", "order-7")
        assert node.outbox.statistics().delivered == int(durable)


async def test_message_that_waits_in_the_database_is_dropped_when_its_key_was_handled(new_node, url):
    async with new_node(remember_keys=DAY) as node:
        await st.start(Recorder, name="server")
        await sent("hello")
    await leave_behind(url, [stored(1, key="order-7"), stored(2)], process=None)
    async with new_node(remember_keys=DAY) as node:
        pid = await st.start(Recorder, name="server")
        await node.outbox.wait_empty()
        assert await st.call(pid, Log()) == [2]


async def test_keys_are_forgotten_after_their_time(new_node, url):
    async with new_node(remember_keys=60) as node:
        await st.start(Recorder, name="server")
        await sent("hello")
        await asyncio.sleep(40)
        await sent("hello", key="later")
        await asyncio.sleep(40)
        assert not await node.outbox.was_handled("server", "order-7")
        assert await node.outbox.was_handled("server", "later")


async def test_key_that_is_handled_twice_is_kept_once(url):
    async with opened(url) as database:
        change = _tables.Change(
            [], [], [], [], [_tables.Handled("server", "key", 1.0), _tables.Handled("server", "key", 2.0)]
        )
        await database.write(_tables.commit, change)
        assert await database.write(_tables.forget, 1.5, 10) == 1


async def test_message_counts_as_confirmed_when_its_key_cannot_be_remembered(new_node, url, monkeypatch, caplog):
    database = SqliteDatabase(url)
    async with new_node(database=database, remember_keys=DAY):
        await st.start(Recorder, name="server")
        real: Any = database.write

        async def fails(work: object, *arguments: object) -> object:
            if work is _tables.commit:
                raise StoreError(url, expected="the database to work", got="a test")
            return await real(work, *arguments)

        monkeypatch.setattr(database, "write", fails)
        assert await sent("hello")
        monkeypatch.setattr(database, "write", real)
    assert "key 'order-7' of server was handled and cannot be remembered" in caplog.text


async def test_ordered_sends_keep_their_order_while_their_keys_are_looked_up(new_node):
    log: list[object] = []
    async with new_node(remember_keys=DAY):
        await st.start(Recorder, log, name="server")
        await asyncio.gather(*(sent(word, key=word, ordered=True) for word in ("a", "b", "c")))
    assert log == ["a", "b", "c"]
