# SPDX-License-Identifier: MIT
"""Databases that fail durable subscriptions for a while, or are not there, in virtual time."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

import stanchion as st
from stanchion.errors import InvalidOptionError, StoreError, StoreFullError
from stanchion.router import _tables
from stanchion.telemetry import SIGNAL_DROPPED
from stanchion.testing import VirtualTimeLoop
from tests.router.durable_support import Failing, Subscriber, behind, publish, virtual


@pytest.fixture
def loop_factory():
    return VirtualTimeLoop


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/app.db"


async def test_nothing_is_lost_when_the_database_fails_for_a_while(url, monkeypatch, caplog):
    log: list[object] = []
    async with virtual(url) as running:
        await st.start(Subscriber, log, name="auditor")
        await running.router.subscribe_durable("audit", "**", "auditor")
        await publish(running.router, 1)
        await asyncio.sleep(2)
        await publish(running.router, ("sleep", 2), 2)
        await asyncio.sleep(1)
        failing = Failing(running.outbox.database, monkeypatch)
        failing.fail("read", "write")
        with pytest.raises(StoreError):
            await publish(running.router, 3)
        running.router.publish_nowait(st.Signal("order.placed", "nobody hears of it"))
        await asyncio.sleep(40)
        assert failing.calls < 1000  # of the outbox and the letters, too
        failing.work()
        await asyncio.sleep(5)
        await publish(running.router, 4)
        await asyncio.sleep(3)
        assert await behind(running, "audit") == 0
    assert log == [1, ("sleep", 2), 2, 4]
    ours = [record.message for record in caplog.records if record.name == "stanchion.router"]
    assert len(ours) <= 5
    assert any("was not stored" in text for text in ours)
    assert any("cannot be looked at" in text for text in ours)
    assert any("its position cannot be noted yet" in text for text in ours)


async def test_signal_that_was_put_without_waiting_and_is_not_stored_is_an_event(url, monkeypatch):
    dropped: list[object] = []
    async with virtual(url) as running:
        running.telemetry.attach(SIGNAL_DROPPED, lambda *it: dropped.append(it[2]["reason"]))
        await running.router.subscribe_durable("audit", "**", "auditor")
        failing = Failing(running.outbox.database, monkeypatch)
        failing.fail("write")
        running.router.publish_nowait(st.Signal("order.placed", 1))
        await asyncio.sleep(1)
        failing.work()
        running.router.publish_nowait(st.Signal("order.placed", 2))
        await asyncio.sleep(1)
        assert await behind(running, "audit") == 1
    assert dropped == ["not_stored"]


async def test_publisher_that_does_not_wait_is_refused_when_too_many_signals_wait_for_their_commit(url, monkeypatch):
    monkeypatch.setattr("stanchion.router._journal.MAX_PENDING", 1)
    async with virtual(url) as running:
        await running.router.subscribe_durable("audit", "**", "auditor")
        running.router.publish_nowait(st.Signal("order.placed", 1))
        with pytest.raises(StoreError, match="expected fewer than 1 signals that wait for their commit, got as many"):
            running.router.publish_nowait(st.Signal("order.placed", 2))
        await running.router.publish(st.Signal("order.placed", 3))
        assert await behind(running, "audit") == 2


async def test_publisher_that_was_cancelled_is_told_by_the_log_that_nothing_was_stored(url, monkeypatch, caplog):
    async with virtual(url) as running:
        await running.router.subscribe_durable("audit", "**", "auditor")
        failing = Failing(running.outbox.database, monkeypatch)
        failing.fail("write")
        publishing = asyncio.create_task(publish(running.router, 1))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        publishing.cancel()
        await asyncio.sleep(1)
        failing.work()
    assert "of type order.placed was not stored" in caplog.text


async def test_signal_is_not_passed_before_its_dead_letter_is_stored(url, monkeypatch, caplog):
    log: list[object] = []
    async with virtual(url, redeliver=False) as running:
        add = running.dead_letters.add

        async def fails(**_: object) -> str:
            raise StoreFullError("sqlite:", expected="room", got="none")

        monkeypatch.setattr(running.dead_letters, "add", fails)
        await st.start(Subscriber, log, name="auditor")
        await running.router.subscribe_durable("audit", "**", "auditor")
        await publish(running.router, "reject for good", "next")
        await asyncio.sleep(60)
        assert log == ["reject for good"]
        assert caplog.text.count("no dead letter can be stored") == 1
        monkeypatch.setattr(running.dead_letters, "add", add)
        await asyncio.sleep(3)
        assert (await running.dead_letters.stats()).exhausted == 1
    assert log == ["reject for good", "next"]


@pytest.mark.parametrize("works", [True, False])
async def test_node_that_stops_while_it_stores_a_dead_letter_passes_the_signal_if_it_could(url, monkeypatch, works):
    log: list[object] = []
    async with virtual(url, redeliver=False) as running:
        add = running.dead_letters.add

        async def slow(**options: object) -> str:
            await asyncio.sleep(2)
            if works:
                return await add(**options)
            raise StoreFullError("sqlite:", expected="room", got="none")

        monkeypatch.setattr(running.dead_letters, "add", slow)
        await st.start(Subscriber, log, name="auditor")
        await running.router.subscribe_durable("audit", "**", "auditor")
        await publish(running.router, "reject for good")
        await asyncio.sleep(1)
    async with virtual(url) as running:
        await running.router.subscribe_durable("audit", "**", "auditor")
        assert await behind(running, "audit") == (not works)
        assert (await running.dead_letters.stats()).total == works


async def test_lease_that_cannot_be_given_up_is_logged(url, monkeypatch, caplog):
    async with virtual(url) as running:
        await st.start(Subscriber, [], name="auditor")
        await running.router.subscribe_durable("audit", "**", "auditor")
        await asyncio.sleep(2)
        Failing(running.outbox.database, monkeypatch).fail("write")
    assert "that it has stopped in order cannot be noted" in caplog.text


async def test_many_subscriptions_wait_at_once_when_a_node_stops_and_its_database_fails(url, monkeypatch):
    loop = asyncio.get_running_loop()
    async with virtual(url) as running:
        await st.start(Subscriber, [], name="auditor")
        for number in range(20):
            await running.router.subscribe_durable(f"audit{number}", "**", "auditor")
        await asyncio.sleep(2)

        async def fails(*_: object, **__: object) -> None:
            await asyncio.sleep(1)
            raise StoreError("sqlite:", expected="an answer", got="none")

        monkeypatch.setattr(running.outbox.database, "write", fails)
        began = loop.time()
    assert loop.time() - began < 10


async def test_what_fails_in_an_unexpected_way_is_tried_again(url, monkeypatch, caplog):
    log: list[object] = []
    async with virtual(url) as running:
        await st.start(Subscriber, log, name="auditor")
        await running.router.subscribe_durable("audit", "**", "auditor")
        real = _tables.read
        monkeypatch.setattr(_tables, "read", lambda *_, **__: 1 / 0)
        await asyncio.sleep(5)
        monkeypatch.setattr(_tables, "read", real)
        await publish(running.router, 1)
        await asyncio.sleep(3)
    assert log == [1]
    assert "durable subscription 'audit' failed; it goes on in 1 s" in caplog.text


async def test_node_that_cannot_open_the_journal_does_not_start(url, monkeypatch):
    monkeypatch.setattr(_tables, "all_subscriptions", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        async with virtual(url):
            pass


async def test_node_whose_outbox_was_never_loaded_has_none(monkeypatch):
    monkeypatch.delitem(sys.modules, "stanchion.outbox")
    async with virtual(None) as running:
        with pytest.raises(InvalidOptionError, match="expected a node with a database"):
            await running.router.durable_subscriptions()
