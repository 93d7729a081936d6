# SPDX-License-Identifier: MIT
"""Targets, signals and databases that fail durable subscriptions for a while, in virtual time."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

import stanchion as st
from stanchion.errors import InvalidOptionError, SignalSizeError, StoreError, StoreFullError
from stanchion.router import _durable_delivery, _tables
from stanchion.storage import Database
from stanchion.telemetry import SIGNAL_DELIVERED, SIGNAL_DROPPED
from stanchion.testing import VirtualClock, VirtualTimeLoop
from tests.router.durable_support import Subscriber, behind, data_of, durable, info, node, publish, stored

SOON = st.Backoff(initial=1, factor=1, maximum=1, jitter=0)


@pytest.fixture
def loop_factory():
    return VirtualTimeLoop


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/app.db"


def virtual(url: str | None, **options: object) -> st.Node:
    return node(url, clock=VirtualClock(), seed=7, **options)


def is_small(signal: st.Signal) -> bool:
    """Say so of a number; it fails for 0."""
    assert isinstance(signal.data, int)
    return 6 / signal.data > 1


class Failing:
    """Has a database fail, and be well again."""

    def __init__(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        self._database = database
        self._monkeypatch = monkeypatch
        self._real = {"read": database.read, "write": database.write}
        self.calls = 0

    def fail(self, *verbs: str) -> None:
        async def fails(*_: object, **__: object) -> None:
            self.calls += 1
            raise StoreFullError("sqlite:", expected="room", got="none")

        for verb in verbs:
            self._monkeypatch.setattr(self._database, verb, fails)

    def work(self) -> None:
        for verb, real in self._real.items():
            self._monkeypatch.setattr(self._database, verb, real)


# --- targets -------------------------------------------------------------------------------------


async def test_signals_wait_for_a_target_that_is_away(url):
    log: list[object] = []
    async with virtual(url) as running:
        await running.router.subscribe_durable("audit", "**", "auditor", retries=0)
        await publish(running.router, 1, 2)
        await asyncio.sleep(45)
        assert (await info(running, "audit")).state == "waiting"
        await st.start(Subscriber, log, name="auditor")
        await asyncio.sleep(2)
        await st.stop("auditor")
        await publish(running.router, 3)
        await asyncio.sleep(45)
        await st.start(Subscriber, log, name="auditor")
        await asyncio.sleep(2)
        assert (await running.dead_letters.stats()).total == 0
    assert log == [1, 2, 3]


async def test_key_of_a_registry_can_be_the_target(url):
    log: list[object] = []
    async with virtual(url) as running:
        await running.router.subscribe_durable("audit", "**", st.Registry.via("books", "auditor"))
        await publish(running.router, 1)
        await asyncio.sleep(2)
        other = await st.start(Subscriber, log, name="books")
        await asyncio.sleep(2)
        await st.stop(other)
        await st.start(st.Registry, "unique", name="books")
        await st.start(Subscriber, log, name=st.Registry.via("books", "auditor"))
        await asyncio.sleep(2)
    assert log == [1]


async def test_signal_that_is_refused_too_often_becomes_a_dead_letter_and_the_next_one_is_sent(url, caplog):
    log: list[object] = []
    async with virtual(url, redeliver=False) as running:
        await st.start(Subscriber, log, name="auditor")
        await running.router.subscribe_durable("audit", "**", "auditor", retries=2, backoff=SOON)
        await publish(running.router, "reject", "next")
        await asyncio.sleep(5)
        (letter,) = (await running.dead_letters.list()).entries
        assert log == ["reject", "reject", "reject", "next"]
        assert (letter.recipient, letter.reason, letter.state, len(letter.attempts)) == (
            "auditor",
            "refused",
            "waiting",
            3,
        )
        assert data_of(letter) == "reject"
        assert await running.router.redrive("audit") == 1
        assert await behind(running, "audit") == 0
    assert "is a dead letter: refused: not now" in caplog.text


@pytest.mark.parametrize(("limit", "crashes"), [(3, 3), (None, 5)])
async def test_signal_that_crashes_its_target_again_and_again_is_poison(url, limit, crashes):
    log: list[object] = []
    child = st.child_spec(Subscriber, log, name="auditor")
    async with virtual(url, redeliver=False) as running:
        await st.start(st.Supervisor, [child], "one_for_one", 100)
        await running.router.subscribe_durable("audit", "**", "auditor", retries=4, backoff=SOON, poison_after=limit)
        await publish(running.router, "crash", "next")
        await asyncio.sleep(10)
        (letter,) = (await running.dead_letters.list()).entries
        assert log == ["crash"] * crashes + ["next"]
        assert (letter.reason, letter.state) == (("poison", "waiting") if limit else ("down", "waiting"))
        assert "ZeroDivisionError" in str(letter.attempts[0].traceback)


async def test_target_that_is_busy_or_full_or_whose_circuit_is_open_fails_no_signal(url):
    log: list[object] = []
    mailbox = st.MailboxPolicy(1, "reject")
    async with virtual(url) as running:
        breaker = running.breakers.add("books", st.BreakerPolicy())
        breaker.trip("told to")
        pid = await st.start(Subscriber, log, name="auditor", mailbox=mailbox)
        await running.router.subscribe_durable("audit", "**", "auditor", retries=0, timeout=3, breaker="books")
        await publish(running.router, 1)
        await asyncio.sleep(5)
        assert log == []
        for number in ("first", "waits"):
            st.cast(pid, st.Signal("order.placed", ("sleep", 10) if number == "first" else number))
            await asyncio.sleep(0)
        breaker.reset()
        await asyncio.sleep(30)
        assert (await running.dead_letters.stats()).total == 0
    assert log == [("sleep", 10), "waits", 1]


async def test_filter_drops_what_it_does_not_want_and_what_it_raises_on(url, caplog):
    log: list[object] = []
    dropped: list[object] = []
    async with virtual(url) as running:
        running.telemetry.attach(SIGNAL_DROPPED, lambda *it: dropped.append(it[2]["reason"]))
        delivered: list[object] = []
        running.telemetry.attach(SIGNAL_DELIVERED, lambda *it: delivered.append(it[2]["subscriber"]))
        await st.start(Subscriber, log, name="auditor")
        await running.router.subscribe_durable("audit", "**", "auditor", filter=is_small)
        await publish(running.router, 1, 7, 0, 2)
        await asyncio.sleep(2)
        found = await info(running, "audit")
        assert (found.delivered, found.filtered, found.behind) == (2, 2, 0)
    assert (log, dropped, delivered) == ([1, 2], ["filter_failed"], ["audit", "audit"])
    assert "its filter failed" in caplog.text
    caplog.clear()
    async with virtual(url) as running:  # telemetry costs nothing when nobody listens
        await running.router.subscribe_durable("audit", "**", "auditor", filter=is_small)
        await st.start(Subscriber, log, name="auditor")
        await publish(running.router, 0)
        await asyncio.sleep(2)
    assert "its filter failed" in caplog.text


# --- signals -------------------------------------------------------------------------------------


async def test_signal_that_this_program_does_not_know_becomes_a_dead_letter(url, caplog):
    log: list[object] = []
    async with virtual(url) as running:
        await running.router.subscribe_durable("audit", "**", "auditor")
        await publish(running.router, 1, 2)
        change = _tables.signals.update().where(_tables.signals.c.position == 1).values(version=99)
        await running.outbox.database.write(lambda connection: connection.execute(change).close())
        await st.start(Subscriber, log, name="auditor")
        await asyncio.sleep(3)
        (letter,) = (await running.dead_letters.list()).entries
        assert (letter.reason, letter.state, letter.preview) == ("invalid", "exhausted", "<Signal 'order.placed'>")
    assert log == [2]
    assert "cannot be read" in caplog.text


async def test_large_signals_are_read_one_by_one_and_those_over_the_limit_are_refused(url, monkeypatch):
    monkeypatch.setattr(_durable_delivery, "_BYTES", 1000)
    log: list[object] = []
    async with virtual(url, max_size=2000) as running:
        await running.router.subscribe_durable("audit", "**", "auditor")
        await publish(running.router, ["x" * 1900], "y" * 2000, 3, 4)
        with pytest.raises(SignalSizeError, match="expected at most 2000 bytes of data, got 2"):
            await running.router.publish(st.Signal("a", ["x" * 2000]))
        await st.start(Subscriber, log, name="auditor")
        await asyncio.sleep(3)
    assert log == [["x" * 1900], "y" * 2000, 3, 4]


async def test_signals_after_the_end_of_a_node_are_each_noted_before_they_are_sent(url):
    log: list[object] = []
    async with virtual(url) as running:
        await running.router.subscribe_durable("audit", "**", "auditor", poison_after=None)
        await publish(running.router, *range(30))
        database = running.outbox.database
        change = _tables.subscriptions.update().values(in_hand=0)
        await database.write(lambda connection: connection.execute(change).close())
        await st.start(Subscriber, log, name="auditor")
        await asyncio.sleep(3)
        noted = await database.read(lambda it: it.execute(sa.select(_tables.subscriptions.c.in_hand)).scalar())
        assert (len(log), noted) == (30, 20)
    async with virtual(url) as running:
        found = await stored(running, "audit")
        assert (found.in_hand, found.interrupted) == (None, 0)


async def test_signal_that_was_in_hand_at_three_deaths_becomes_a_dead_letter(url, caplog):
    log: list[object] = []
    async with virtual(url) as running:
        await running.router.subscribe_durable("audit", "**", "auditor")
        await publish(running.router, "culprit", "next")
        change = _tables.subscriptions.update().values(in_hand=1, interrupted=2)
        await running.outbox.database.write(lambda connection: connection.execute(change).close())
        await st.start(Subscriber, log, name="auditor")
        await asyncio.sleep(3)
        (letter,) = (await running.dead_letters.list()).entries
        assert (letter.reason, letter.state, data_of(letter)) == ("poison", "exhausted", "culprit")
    assert log == ["next"]
    assert "is a dead letter: the OS process ended each time that it was sent" in caplog.text


# --- databases -----------------------------------------------------------------------------------


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


# --- two nodes -----------------------------------------------------------------------------------


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


async def test_stopping_node_takes_its_targets_end_for_no_failure_of_the_signal(url):
    log: list[object] = []
    async with virtual(url, shutdown_timeout=0.1) as running:
        await running.router.subscribe_durable("audit", "**", "auditor", retries=0)
        await st.start(Subscriber, log, name="auditor")
        await publish(running.router, ("sleep", 60), 2)
        await asyncio.sleep(1)
    async with virtual(url) as running:
        assert (await running.dead_letters.stats()).total == 0
        assert await behind(running, "audit") == 2


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


async def test_signals_of_other_types_are_passed_without_a_target(url):
    log: list[object] = []
    async with virtual(url, journal=["**"]) as running:
        await running.router.subscribe_durable("audit", "order.*", "auditor")
        await publish(running.router, *range(5), type="mail.sent")
        await publish(running.router, 5)
        await publish(running.router, *range(5), type="mail.sent")
        await st.start(Subscriber, log, name="auditor")
        await asyncio.sleep(3)
        assert (await info(running, "audit")).position == 11
    assert log == [5]


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


async def test_many_dead_letters_are_not_as_many_lines_in_the_log(url, caplog):
    async with virtual(url, redeliver=False) as running:
        await st.start(Subscriber, [], name="auditor")
        await running.router.subscribe_durable("audit", "**", "auditor")
        await publish(running.router, *["reject for good"] * 30)
        await asyncio.sleep(5)
        assert (await running.dead_letters.stats()).exhausted == 30
    assert caplog.text.count("is a dead letter: refused") < 30


async def test_node_whose_outbox_was_never_loaded_has_none(monkeypatch):
    monkeypatch.delitem(sys.modules, "stanchion.outbox")
    async with virtual(None) as running:
        with pytest.raises(InvalidOptionError, match="expected a node with a database"):
            await running.router.durable_subscriptions()
