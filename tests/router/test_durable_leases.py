# SPDX-License-Identifier: MIT
"""Durable subscriptions that two nodes share, in virtual time: only the holder of the lease sends."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import sqlalchemy as sa

import stanchion as st
from stanchion.router import _tables
from stanchion.testing import VirtualTimeLoop
from tests.router.durable_support import Subscriber, behind, durable, info, publish, stored, virtual


@pytest.fixture
def loop_factory():
    return VirtualTimeLoop


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/app.db"


async def test_node_whose_lease_is_taken_sends_nothing_more_until_it_has_it_again(url, caplog):
    log: list[object] = []
    leases = sa.table("stanchion_leases", sa.column("owner"), sa.column("token"), sa.column("host"))
    async with virtual(url) as running:
        await st.start(Subscriber, log, name="auditor")
        await running.router.subscribe_durable("audit", "**", "auditor")
        await publish(running.router, 1)
        await asyncio.sleep(2)
        taken = leases.update().values(owner="another", token=leases.c.token + 1, host="elsewhere")
        await running.outbox.database.write(lambda connection: connection.execute(taken).close())
        await asyncio.sleep(15)
        assert (await info(running, "audit")).state == "elsewhere"
        await publish(running.router, 2)
        await asyncio.sleep(5)
        assert log == [1]
        await asyncio.sleep(40)
        assert log == [1, 2]
    assert "was taken over by another node" in caplog.text


async def test_position_that_another_node_has_noted_is_never_taken_back(url):
    log: list[object] = []
    async with virtual(url) as running:
        await st.start(Subscriber, log, name="auditor")
        await running.router.subscribe_durable("audit", "**", "auditor")
        await publish(running.router, 1, ("sleep", 3), 3)
        await asyncio.sleep(1)
        farther = _tables.subscriptions.update().values(position=3)
        await running.outbox.database.write(lambda connection: connection.execute(farther).close())
        await asyncio.sleep(5)
        assert (await info(running, "audit")).position == 3


async def test_replay_by_another_node_is_noticed_when_the_position_is_noted(url):
    log: list[object] = []
    async with virtual(url) as running:
        await st.start(Subscriber, log, name="auditor")
        await running.router.subscribe_durable("audit", "**", "auditor")
        await publish(running.router, 1, ("sleep", 0.5), 2)
        await asyncio.sleep(0.4)
        anew = _tables.subscriptions.update().values(position=0, incarnation="anew")
        await running.outbox.database.write(lambda connection: connection.execute(anew).close())
        await asyncio.sleep(5)
        assert await behind(running, "audit") == 0
    assert log in ([1, ("sleep", 0.5), 1, ("sleep", 0.5), 2], [1, ("sleep", 0.5), 2, 1, ("sleep", 0.5), 2])


async def test_subscription_that_is_dropped_while_the_node_stops_is_another_nodes_at_once(url):
    async with virtual(url) as running:
        await st.start(Subscriber, [], name="auditor")
        subscription = await running.router.subscribe_durable("audit", "**", "auditor")
        await asyncio.sleep(2)
        running.kill(next(one for one in running.processes.values() if one.code == "DurableSubscriptions"))
        await asyncio.sleep(1)
        assert subscription.unsubscribe()
        await running.router.subscribe_durable("late", "**", "auditor")  # stored, and another node's
    log: list[object] = []
    async with virtual(url) as running:
        await st.start(Subscriber, log, name="auditor")
        await running.router.subscribe_durable("audit", "**", "auditor")
        await publish(running.router, 1)
        await asyncio.sleep(2)
    assert log == [1]


async def test_subscription_that_is_forgotten_just_before_a_signal_is_noted_sends_nothing(url, caplog):
    log: list[object] = []
    async with virtual(url) as running:
        await running.router.subscribe_durable("audit", "**", "auditor")
        await publish(running.router, ("sleep", 1), 2)
        change = _tables.subscriptions.update().values(in_hand=0)
        await running.outbox.database.write(lambda connection: connection.execute(change).close())
        await st.start(Subscriber, log, name="auditor")
        await asyncio.sleep(0.5)
        await running.outbox.database.write(lambda connection: _tables.forget(connection, "audit"))
        await asyncio.sleep(0.45)
        await asyncio.sleep(5)
    assert log == [("sleep", 1)]
    assert "was forgotten" in caplog.text


async def test_node_that_stands_by_leaves_the_lease_alone_when_it_stops(url):
    leases = sa.table("stanchion_leases", sa.column("owner"), sa.column("token"), sa.column("host"))
    async with virtual(url) as running:
        await st.start(Subscriber, [], name="auditor")
        await running.router.subscribe_durable("audit", "**", "auditor")
        await asyncio.sleep(2)
        taken = leases.update().values(owner="another", token=leases.c.token + 1, host="elsewhere")
        await running.outbox.database.write(lambda connection: connection.execute(taken).close())
        await asyncio.sleep(15)
    async with virtual(url) as running:
        owner = await running.outbox.database.read(lambda it: it.execute(sa.select(leases.c.owner)).scalar())
        found = await stored(running, "audit")
        assert (owner, found.in_hand) == ("another", 0)


async def test_node_that_stops_waits_for_a_subscription_that_is_being_ended(url):
    async with virtual(url) as running:
        await st.start(Subscriber, [], name="auditor")
        subscription = await running.router.subscribe_durable("audit", "**", "auditor")
        await asyncio.sleep(2)
        assert running.router.unsubscribe(subscription)
    async with virtual(url) as running:
        found = await stored(running, "audit")
        assert found.in_hand is None


async def test_answers_that_come_too_late_change_nothing(url):
    async with virtual(url) as running:
        await st.start(Subscriber, [], name="auditor")
        await running.router.subscribe_durable("audit", "**", "auditor")
        await asyncio.sleep(2)
        one = durable(running)._here["audit"]
        late: list[asyncio.Future[int]] = [running.loop.create_future() for _ in range(2)]
        late[0].cancel()
        late[1].set_result(0)
        for answer in late:
            one._was_noted(_tables.Advance("audit", "another life", "**", 1), answer)
        assert not one._stale
