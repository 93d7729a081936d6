# SPDX-License-Identifier: MIT
"""Persistent schedules of two nodes, in virtual time: only the holder of the lease fires."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import stanchion as st
from stanchion.scheduler import _persistent
from stanchion.telemetry import LEASE_LOST
from stanchion.testing import VirtualTimeLoop
from tests.scheduler.kit import START, TICK, Told
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


async def test_schedule_of_another_process_is_seen_at_the_next_look(url):
    """On SQLite nobody tells of it."""
    async with running(url) as node, scheduling(url, name="other") as other:
        await asyncio.sleep(5)
        await other.scheduler.after(3, TICK, id="tick", persistent=True)
        await asyncio.sleep(8)
        assert (await only(node)).runs == 1


async def test_only_one_of_two_nodes_fires_and_the_other_goes_on_when_it_stops(url):
    async with running(url, name="second") as second:
        async with running(url, name="first") as first:
            # Whoever looked first has it.
            await first.scheduler.every(10, TICK, id="tick", persistent=True)
            told = [Told(first), Told(second)]
            await asyncio.sleep(35)
            begun = [sum(event.name[-1] == "started" for event, _, _ in one.all) for one in told]
            assert sorted(begun) == [0, 3]
        await asyncio.sleep(20)
        assert (await only(second)).runs == 5


async def test_any_node_pauses_triggers_and_cancels(url):
    async with running(url, name="holder") as holder, scheduling(url, name="other") as other:
        await holder.scheduler.every(10, TICK, id="tick", persistent=True)
        await asyncio.sleep(5)
        assert await other.scheduler.trigger("tick")
        assert await other.scheduler.pause("tick")
        await asyncio.sleep(20)
        assert (await only(holder)).runs == 1
        assert await other.scheduler.resume("tick")
        await asyncio.sleep(10)
        assert (await only(holder)).runs == 2
        assert await other.scheduler.cancel("tick")
        await asyncio.sleep(20)
        assert await holder.scheduler.list() == []
        assert await other.scheduler.cancel("tick") is False


async def test_lost_lease_is_an_event_and_nothing_is_fired_without_it(url, caplog):
    async with running(url) as node:
        lost: list[Any] = []
        node.telemetry.attach(LEASE_LOST, lambda *told: lost.append(told[2]))
        await node.scheduler.every(10, TICK, id="tick", persistent=True)
        await asyncio.sleep(9.5)
        await run_sql(url, "UPDATE stanchion_leases SET owner = 'thief', host = NULL, beats = 0, token = token + 1")
        await asyncio.sleep(20)
        assert [about["lease"] for about in lost] == ["scheduler"]
        assert (await only(node)).runs == 0
        await asyncio.sleep(20)  # the thief is silent
        info = await only(node)
        assert (info.runs, info.missed) == (1, 3)
    assert "lease 'scheduler' was taken over by another node" in caplog.text


async def test_node_that_stood_still_until_another_had_the_lease_fires_nothing(url):
    """It has not noticed when it fires."""
    async with running(url) as node:
        await node.scheduler.every(100, TICK, id="tick", persistent=True)
        persistent = inside(node)
        await asyncio.sleep(9)
        await run_sql(url, "UPDATE stanchion_leases SET owner = 'thief', host = NULL, beats = 0, token = token + 1")
        await run_sql(url, f"UPDATE stanchion_schedules SET fire_at = {START}, next_due = {START}")
        assert persistent._lease.held
        persistent._wake.set()
        await asyncio.sleep(4)
        assert not persistent._lease.held
        assert (await only(node)).runs == 0


async def test_node_that_stops_fires_nothing_more(url):
    class Slow(st.GenServer):
        def init(self) -> None:
            st.trap_exit()

        async def terminate(self, reason: st.ExitReason) -> None:
            await asyncio.sleep(20)

    async with running(url) as node:
        await node.scheduler.every(10, TICK, id="tick", persistent=True)
        await st.start(Slow)
        await asyncio.sleep(5)
    rows = await run_sql(url, "SELECT runs FROM stanchion_schedules")
    assert rows == [(0,)]
