# SPDX-License-Identifier: MIT
"""What durable subscriptions deliver, on each database, in real time."""

from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

import stanchion as st
from stanchion.router import _durable, _tables
from stanchion.router.migrations import SCHEMA
from stanchion.storage import database_of
from tests.router.durable_support import Subscriber, behind, durable, info, keeps, node, publish, until


@pytest.fixture
def loop_factory():
    return asyncio.SelectorEventLoop


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path) -> str:
    url = f"sqlite:///{tmp_path}/app.db"
    return url if request.param == "sqlite" else request.getfixturevalue("postgres_url")


async def test_signals_that_were_missed_are_delivered_in_order_after_a_restart(database_url):
    log: list[object] = []
    async with node(database_url) as first:
        await first.router.subscribe_durable("audit", "order.*", "auditor")
        await publish(first.router, 1, 2, 3)
        await publish(first.router, "nobody wants it", type="mail.sent")
        assert await behind(first, "audit") == 3
    async with node(database_url) as second:
        await publish(second.router, 4)  # before its subscriber is back
        await second.router.subscribe_durable("audit", "order.*", "auditor")
        await st.start(Subscriber, log, name="auditor")
        await until(lambda: len(log) == 4)
        await publish(second.router, *range(5, 300))
        await until(lambda: len(log) == 299)
        assert (await info(second, "audit")).delivered == 299
    assert log == list(range(1, 300))
    async with node(database_url) as third:
        await st.start(Subscriber, log, name="auditor")
        await third.router.subscribe_durable("audit", "order.*", "auditor")
        await publish(third.router, "new")
        await until(lambda: log[-1] == "new")
    assert len(log) == 300


async def test_position_passes_signals_of_other_types_without_reading_them(database_url):
    log: list[object] = []
    async with node(database_url) as running:
        await running.router.subscribe_durable("mails", "mail.*", "auditor")
        await running.router.subscribe_durable("all", "**", "nobody")
        await st.start(Subscriber, log, name="auditor")
        await publish(running.router, 1, type="mail.sent")
        await until(lambda: log == [1])
        await publish(running.router, *range(50))
        async with asyncio.timeout(10):
            while (await info(running, "mails")).position < 51:
                await asyncio.sleep(0.05)
        assert (await behind(running, "mails"), await behind(running, "all")) == (0, 51)


@pytest.mark.parametrize("start", ["now", "beginning", "time", "id", "later"])
async def test_new_subscription_begins_where_it_is_told_to(database_url, start):
    log: list[object] = []
    async with node(database_url, journal=["**"]) as running:
        router = running.router
        await publish(router, 1)
        await asyncio.sleep(0.02)
        now = running.clock.time()
        second = st.Signal("order.placed", 2)
        await router.publish(second)
        await st.start(Subscriber, log, name="auditor")
        begin = {"now": "now", "beginning": "beginning", "time": now, "id": second.id, "later": now + 1000}[start]
        await router.subscribe_durable("audit", "**", "auditor", start=begin)
        await publish(router, 3)
        await until(lambda: log and log[-1] == 3)
    assert log == {"now": [3], "beginning": [1, 2, 3], "time": [2, 3], "id": [2, 3], "later": [3]}[start]


async def test_replay_delivers_again_under_other_message_ids_and_skips_nothing(database_url):
    log: list[object] = []
    async with node(database_url) as running:
        router = running.router
        await st.start(Subscriber, log, name="auditor")
        await router.subscribe_durable("audit", "**", "auditor")
        await publish(router, 1, "id", 2)
        await until(lambda: len(log) == 3)
        await router.replay("audit", "beginning")
        await until(lambda: len(log) == 6)
        first, again = log[1], log[4]
        assert (log[0], log[2], log[3], log[5]) == (1, 2, 1, 2)
        assert first != again
        await st.stop("auditor")
        await publish(router, 3)
        await router.replay("audit", running.clock.time() + 1000)
        await st.start(Subscriber, log, name="auditor")
        await until(lambda: len(log) == 7)
    assert log[-1] == 3


async def test_forgotten_subscription_is_over_on_every_node(database_url, caplog):
    log: list[object] = []
    async with node(database_url) as one, node(database_url) as two:
        await st.start(Subscriber, log, name="auditor")
        await two.router.subscribe_durable("audit", "**", "auditor")
        await publish(two.router, 1)
        await until(lambda: log == [1])
        await one.router.forget("audit")
        await until(lambda: "was forgotten" in caplog.text)
        assert await two.router.durable_subscriptions() == []
        with pytest.raises(st.StanchionError, match="expected one that is stored, got none"):
            await one.router.replay("audit", "beginning")
        await until(lambda: not keeps(two))
        await publish(two.router, 2)
        await asyncio.sleep(0.2)
    assert log == [1]


async def test_node_keeps_what_was_subscribed_to_on_another_one(database_url):
    log: list[object] = []
    async with node(database_url) as one, node(database_url) as two:
        await st.start(Subscriber, log, name="auditor")
        await two.router.subscribe_durable("audit", "**", "auditor")
        await until(lambda: keeps(one))
        await publish(one.router, *range(100))
        await until(lambda: len(log) == 100)
    assert log == list(range(100))


async def test_two_nodes_deliver_each_signal_once_while_the_subscription_moves(database_url):
    logs: list[list[object]] = [[], []]
    async with node(database_url) as watching:
        for number in range(4):
            async with node(database_url) as one:
                await st.start(Subscriber, logs[number % 2], name="auditor")
                await one.router.subscribe_durable("audit", "**", "auditor")
                await until(lambda: keeps(watching))
                await publish(watching.router, *range(number * 50, number * 50 + 50))
                await until(lambda number=number: len(logs[0]) + len(logs[1]) == number * 50 + 50)
    assert sorted([*logs[0], *logs[1]], key=str) == sorted(range(200), key=str)


async def test_another_node_goes_on_when_the_target_is_gone_here(database_url):
    log: list[object] = []
    async with node(database_url) as one:
        here = await st.start(Subscriber, log, name="auditor")
        await one.router.subscribe_durable("audit", "**", "auditor")
        await publish(one.router, 1)
        await until(lambda: log == [1])
        async with node(database_url) as two:
            await st.start(Subscriber, log, name="auditor")
            await two.router.subscribe_durable("audit", "**", "auditor")
            await until(lambda: durable(two)._here["audit"].state == "elsewhere")
            await publish(two.router, 2)
            await until(lambda: log == [1, 2])
            await st.stop(here)
            await publish(two.router, 3)
            await until(lambda: log == [1, 2, 3])
            assert (await info(one, "audit")).state == "waiting"
            assert (await info(two, "audit")).state == "delivering"


async def test_subscription_that_unsubscribes_and_comes_back_misses_nothing(database_url):
    log: list[object] = []
    async with node(database_url) as running:
        await st.start(Subscriber, log, name="auditor")
        first = await running.router.subscribe_durable("audit", "**", "auditor")
        await publish(running.router, 1)
        await until(lambda: log == [1])
        assert first.unsubscribe()
        assert not first.unsubscribe()
        await publish(running.router, 2, 3)
        assert (await info(running, "audit")).state == "not_here"
        second = await running.router.subscribe_durable("audit", "**", "auditor")
        third = await running.router.subscribe_durable("audit", "**", "auditor", retries=1)
        await until(lambda: log == [1, 2, 3])
        assert not second.unsubscribe()
        assert repr(third) == "<DurableSubscription audit to '**' for 'auditor'>"


async def test_signals_that_every_subscription_has_passed_are_deleted_when_they_are_old(database_url, monkeypatch):
    monkeypatch.setattr(_durable, "POLL", 0.05)
    monkeypatch.setattr("stanchion.router._journal._TRIM_EVERY", 0.0)
    monkeypatch.setattr("stanchion.router._journal._TRIM_ROWS", 10)
    log: list[object] = []
    async with node(database_url, keep=0.2) as running:
        await st.start(Subscriber, log, name="auditor")
        await running.router.subscribe_durable("audit", "**", "auditor")
        slow = await running.router.subscribe_durable("slow", "order.*", "nobody")
        await publish(running.router, *range(20), type="mail.sent")
        await publish(running.router, *range(20))
        database = running.outbox.database
        await until(lambda: len(log) == 40)

        async def stored() -> int | None:
            return await database.read(lambda it: it.execute(sa.select(sa.func.count(_tables.signals.c.id))).scalar())

        await asyncio.sleep(0.5)
        assert (await stored() or 0) >= 20  # what one has not passed stays, however old it is
        assert slow.unsubscribe()
        await running.router.forget("slow")
        async with asyncio.timeout(10):
            while await stored():
                await asyncio.sleep(0.05)
        await publish(running.router, "goes on")
        await until(lambda: log[-1] == "goes on")


async def test_of_old_signals_only_those_before_the_first_younger_one_are_deleted(database_url):
    database = database_of(database_url)
    await database.open(SCHEMA)

    def work(connection: sa.Connection) -> list[int]:
        ages = [1.0, 2.0, 9.0, 3.0]
        _tables.write(connection, [(str(age), "order.placed", 1, b"", age) for age in ages], [])
        return [_tables.trim(connection, before, 10) for before in (0.0, 5.0, 10.0)]

    assert await database.write(work) == [0, 2, 2]
    await database.close()


async def test_redrive_makes_the_dead_letters_of_one_subscription_due(database_url, monkeypatch):
    log: list[object] = []
    async with node(database_url) as running:
        pid = await st.start(Subscriber, log, name="auditor")
        await running.router.subscribe_durable("audit", "**", "auditor", retries=0)
        await publish(running.router, "reject for good", 1)
        await until(lambda: log == ["reject for good", 1])
        letter = (await running.dead_letters.list()).entries[0]
        assert (letter.state, letter.reason, letter.metadata) == (
            "exhausted",
            "refused",
            {"subscription": "audit", "position": 1},
        )
        another = st.Signal("order.placed", "of another")
        await running.dead_letters.add(recipient="auditor", message=another, reason="refused", final=True)
        monkeypatch.setattr(_durable, "_PAGE", 1)
        assert pid is not None
        assert await running.router.redrive("audit") == 1
        await until(lambda: log.count("reject for good") == 2)
        assert (await info(running, "audit")).dead_letters == 1


async def test_tables_are_what_the_migrations_make(database_url):
    database = database_of(database_url)
    await database.open(SCHEMA)

    def compare(connection: sa.Connection) -> list[object]:
        ours = {*_tables.metadata.tables}
        options = {"include_name": lambda name, kind, _: kind != "table" or name in ours}
        return compare_metadata(MigrationContext.configure(connection, opts=options), _tables.metadata)

    assert await database.read(compare) == []
    await database.close()


def test_the_newest_revision_is_the_one_that_is_written():
    assert ScriptDirectory(str(SCHEMA.folder)).get_current_head() == SCHEMA.head
