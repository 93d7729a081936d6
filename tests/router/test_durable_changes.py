# SPDX-License-Identifier: MIT
"""Durable subscriptions that another node changes while this one delivers, in virtual time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import sqlalchemy as sa

import stanchion as st
from stanchion.errors import StoreError
from stanchion.router import _tables
from stanchion.testing import VirtualTimeLoop
from tests.router.durable_support import Subscriber, behind, info, publish, virtual

OFTEN = st.Backoff(initial=1, factor=1, maximum=1, jitter=0)


@pytest.fixture
def loop_factory():
    return VirtualTimeLoop


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/app.db"


async def test_node_that_delivers_skips_nothing_when_another_one_replaces_the_pattern(url):
    log: list[object] = []
    async with virtual(url) as old:
        await st.start(Subscriber, log, name="auditor")
        await old.router.subscribe_durable("audit", "order.*", "auditor")
        await publish(old.router, 1)
        await asyncio.sleep(0.5)
        async with virtual(url) as new:
            await new.router.subscribe_durable("audit", ["order.*", "invoice.*"], "auditor")
            await publish(new.router, 2, type="invoice.sent")
            await publish(old.router, 3)
            await asyncio.sleep(5)
            assert await behind(old, "audit") == 0
            assert (await info(old, "audit")).state == "delivering"
    assert log == [1, 3, 2]  # it went back when it knew; 3 came again, under the message id that it had


async def test_subscription_that_was_forgotten_and_made_anew_is_delivered_by_the_node_that_did(url, caplog):
    log: list[object] = []
    async with virtual(url) as old:
        await st.start(Subscriber, [], name="auditor")
        await old.router.subscribe_durable("audit", "**", "auditor")
        await asyncio.sleep(0.5)
        async with virtual(url) as new:
            await new.router.forget("audit")
            await asyncio.sleep(5)
            assert "was forgotten" in caplog.text
            await st.start(Subscriber, log, name="auditor")
            await new.router.subscribe_durable("audit", "**", "auditor")
            await publish(new.router, 1)
            await asyncio.sleep(5)
    assert log == [1]


async def test_signal_is_no_poison_because_its_target_is_busy_after_the_end_of_a_node(url):
    log: list[object] = []
    async with virtual(url) as running:
        await running.router.subscribe_durable("audit", "**", "auditor", timeout=1)
        await publish(running.router, 1)
        died = _tables.subscriptions.update().values(in_hand=0)
        await running.outbox.database.write(lambda connection: connection.execute(died).close())
        st.cast(await st.start(Subscriber, log, name="auditor"), st.Signal("other.task", ("sleep", 20)))
        await asyncio.sleep(60)
        letters = (await running.dead_letters.list()).entries
    assert (log, list(letters)) == ([("sleep", 20), 1], [])


async def test_signal_is_not_tried_again_when_its_subscription_was_forgotten(url):
    log: list[object] = []
    async with virtual(url) as running:
        await st.start(Subscriber, log, name="auditor")
        await running.router.subscribe_durable("audit", "**", "auditor", retries=50, backoff=OFTEN)
        await publish(running.router, "reject")
        await asyncio.sleep(5)
        async with virtual(url) as other:
            await other.router.forget("audit")
        await asyncio.sleep(3)
        tried = len(log)
        await asyncio.sleep(20)
        assert (await running.router.durable_subscriptions(), len(log)) == ([], tried)


async def test_replay_is_not_missed_when_the_database_fails_as_it_is_noticed(url, monkeypatch):
    log: list[object] = []
    async with virtual(url) as running:
        await st.start(Subscriber, log, name="auditor")
        await running.router.subscribe_durable("audit", "**", "auditor")
        await publish(running.router, "id")
        await asyncio.sleep(2)
        real, asked = _tables.begin, []

        def begin(connection: sa.Connection, name: str) -> object:
            asked.append(name)
            if len(asked) == 1:
                raise StoreError("sqlite:", expected="room", got="none")
            return real(connection, name)

        monkeypatch.setattr(_tables, "begin", begin)
        await running.router.replay("audit", "beginning")
        await publish(running.router, "id")
        await asyncio.sleep(5)
        first, second, third = (str(key).removeprefix("audit-").split(":") for key in log)
    assert [first[1], second[1], third[1]] == ["1", "1", "2"]
    assert first[0] != second[0] == third[0]
