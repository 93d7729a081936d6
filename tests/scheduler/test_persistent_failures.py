# SPDX-License-Identifier: MIT
"""Databases that fail persistent schedules, and rows that this program does not know, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import stanchion as st
from stanchion.errors import StoreError, StoreUncertainError
from stanchion.scheduler import SendMessage, _persistent
from stanchion.storage import database_of
from stanchion.testing import VirtualTimeLoop
from tests.scheduler.kit import TICK, Told
from tests.scheduler.persistent_support import inside, only, run_sql, running, scheduling

pytestmark = pytest.mark.timeout(60)  # a few seconds, of a machine that may be busy with other tests


@pytest.fixture
def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    return VirtualTimeLoop


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/app.db"


@pytest.fixture(autouse=True)
def _few_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look takes a while that is real."""
    monkeypatch.setattr(_persistent, "POLL", 5.0)


class Failing:
    """A database that fails while it has an error to raise."""

    def __init__(self, database: Any) -> None:
        self._database = database
        self.error: Exception | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    async def write(self, *arguments: Any, **options: Any) -> Any:
        if self.error is not None:
            raise self.error
        return await self._database.write(*arguments, **options)

    async def read(self, *arguments: Any, **options: Any) -> Any:
        if self.error is not None:
            raise self.error
        return await self._database.read(*arguments, **options)


def persistent_end() -> Any:
    from stanchion.scheduler._tables import End

    return End("x", "confirmed", None)


# --- databases -----------------------------------------------------------------------------------


async def test_end_that_nobody_noted_is_unknown_in_the_end(url):
    async with running(url) as node:
        await node.scheduler.after(
            5, SendMessage("absent", "tick", retries=100_000, deadline=None), id="tick", persistent=True
        )
        await asyncio.sleep(7)
        assert (await only(node)).running == 1
    await run_sql(url, "DELETE FROM stanchion_outbox")
    async with running(url) as node:
        await asyncio.sleep(5)
        assert ((await only(node)).running, (await only(node)).last_outcome) == (0, None)
        await asyncio.sleep(10)
        info = await only(node)
        assert (info.last_outcome, info.last_error) == ("unknown", "the node that had it ended before it noted how")


async def test_end_is_noted_when_the_database_works_again(url, caplog):
    async with running(url, seconds=3) as node:
        await node.scheduler.after(5, TICK, id="tick", persistent=True)
        await asyncio.sleep(6)
        persistent = inside(node)
        failing = Failing(persistent._database)
        persistent._database = failing
        failing.error = StoreError("store", expected="an answer", got="none")
        await asyncio.sleep(20)
        failing.error = None
        await asyncio.sleep(5)
        assert (await only(node)).last_outcome == "confirmed"
        failing.error = StoreError("store", expected="an answer", got="none")
        assert await asyncio.create_task(_refused(node))
        await asyncio.sleep(3)
    assert caplog.text.count("the persistent schedules cannot be looked at, and are again in 5 s") == 2


async def _refused(node: st.Node) -> bool:
    with pytest.raises(StoreError):
        await node.scheduler.trigger("tick")
    return True


async def test_end_that_cannot_be_noted_while_the_node_closes_is_told_of(url, caplog):
    async with running(url) as node:
        await node.scheduler.after(5, TICK, id="tick", persistent=True)
        await asyncio.sleep(4)
        persistent = inside(node)
        persistent._ends["x"] = persistent_end()
        persistent._database = failing = Failing(persistent._database)
        failing.error = StoreError("store", expected="an answer", got="none")
    assert "how 1 runs of schedules ended could not be noted: store store: expected an answer, got none" in caplog.text


async def test_lease_is_given_up_whatever_happens_to_the_ends(url):
    async with running(url) as node:
        await asyncio.sleep(4)
        persistent = inside(node)
        persistent._ends["x"] = persistent_end()
        persistent._database = failing = Failing(persistent._database)
        failing.error = ZeroDivisionError("what is this")
    assert await run_sql(url, "SELECT owner FROM stanchion_leases") == [(None,)]


async def test_error_that_is_no_store_error_is_told_with_its_traceback_each_time(url, caplog):
    async with running(url) as node:
        persistent = inside(node)
        persistent._database = failing = Failing(persistent._database)
        failing.error = ZeroDivisionError("what is this")
        await asyncio.sleep(12)
        failing.error = None
    assert caplog.text.count("Traceback") >= 2


async def test_nothing_is_lost_while_the_database_fails(url):
    async with running(url) as node:
        told = Told(node)
        await node.scheduler.every(10, TICK, id="tick", persistent=True)
        persistent = inside(node)
        persistent._database = failing = Failing(persistent._database)
        failing.error = StoreUncertainError("store", got="none")
        await asyncio.sleep(35)
        failing.error = None
        await asyncio.sleep(3)
        info = await only(node)
        assert (info.runs, info.missed) == (1, 2)
        assert told.missed() == [("coalesced", 10, 1), ("coalesced", 20, 1)]


async def test_scheduler_that_cannot_open_leaves_the_database_to_the_others(url, monkeypatch):
    from stanchion.storage import Lease

    async def fail(lease: Lease) -> None:
        raise StoreError("store", expected="an answer", got="none")

    monkeypatch.setattr(Lease, "open", fail)
    with pytest.raises(StoreError, match="expected an answer, got none"):
        async with scheduling(url):
            pass
    monkeypatch.undo()
    database = database_of(url)
    await database.open()
    await database.close()


# --- what this program does not know -------------------------------------------------------------


async def test_schedule_whose_message_is_unknown_is_kept_and_told_and_the_others_go_on(url, caplog):
    async with running(url) as node:
        await node.scheduler.every(10, TICK, id="unknown", persistent=True)
        await node.scheduler.every(10, TICK, id="later", persistent=True)
        await node.scheduler.every(11, TICK, id="known", persistent=True)
        await run_sql(url, "UPDATE stanchion_schedules SET message_type = 'gone' WHERE id = 'unknown'")
        await run_sql(url, "UPDATE stanchion_schedules SET trigger = '{\"type\":\"lunar\"}' WHERE id = 'later'")
        await asyncio.sleep(45)
        infos = {info.id: info for info in await node.scheduler.list()}
        assert [infos[id].runs for id in ("unknown", "later", "known")] == [0, 0, 4]
        assert infos["later"].trigger == '{"type":"lunar"}'
        assert caplog.text.count("schedule 'unknown' is due, and this program cannot run it; it is kept: ") == 1
        assert caplog.text.count("schedule 'later' is due, and this program cannot run it; it is kept: ") == 1
        await run_sql(url, "UPDATE stanchion_schedules SET message_type = 'data' WHERE id = 'unknown'")
        await node.scheduler.every(10, TICK, id="later", persistent=True)
        await asyncio.sleep(12)
        infos = {info.id: info for info in await node.scheduler.list()}
        assert [infos[id].runs for id in ("unknown", "later", "known")] == [1, 1, 5]
        assert infos["unknown"].missed == 4
