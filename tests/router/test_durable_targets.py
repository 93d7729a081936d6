# SPDX-License-Identifier: MIT
"""Targets and signals that fail durable subscriptions, in virtual time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import sqlalchemy as sa

import stanchion as st
from stanchion.errors import SignalSizeError
from stanchion.router import _durable_delivery, _tables
from stanchion.telemetry import SIGNAL_DELIVERED, SIGNAL_DROPPED
from stanchion.testing import VirtualTimeLoop
from tests.router.durable_support import Subscriber, behind, data_of, info, publish, stored, virtual

SOON = st.Backoff(initial=1, factor=1, maximum=1, jitter=0)


@pytest.fixture
def loop_factory():
    return VirtualTimeLoop


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/app.db"


def is_small(signal: st.Signal) -> bool:
    """Say so of a number; it fails for 0."""
    assert isinstance(signal.data, int)
    return 6 / signal.data > 1


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


async def test_many_dead_letters_are_not_as_many_lines_in_the_log(url, caplog):
    async with virtual(url, redeliver=False) as running:
        await st.start(Subscriber, [], name="auditor")
        await running.router.subscribe_durable("audit", "**", "auditor")
        await publish(running.router, *["reject for good"] * 30)
        await asyncio.sleep(5)
        assert (await running.dead_letters.stats()).exhausted == 30
    assert caplog.text.count("is a dead letter: refused") < 30


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
