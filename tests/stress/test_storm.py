# SPDX-License-Identifier: MIT
"""Thousands of supervised sends while their receivers crash, hang, refuse and are killed.

Virtual time makes a storm quick, and its seed makes it the same each time.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter

import pytest

import stanchion as st
from stanchion.telemetry import PROCESS_EXIT
from stanchion.testing import VirtualClock, VirtualTimeLoop

ROUNDS = int(os.environ.get("STANCHION_STRESS_ROUNDS", "40"))
SENDS = 2_000
RECEIVERS = 8

pytestmark = [pytest.mark.stress, pytest.mark.timeout(600)]


@pytest.fixture
def loop_factory():
    return VirtualTimeLoop


class Journal:
    """What really happened to each message, as its receivers saw it."""

    def __init__(self) -> None:
        self.begun: Counter[int] = Counter()
        self.done: Counter[int] = Counter()


class Unreliable(st.GenServer):
    """Handles most messages, and does everything else that a server can do."""

    def init(self, journal: Journal, chance: random.Random) -> None:
        self.journal, self.chance = journal, chance

    async def handle_cast(self, message: int) -> object:
        fate = self.chance.random()
        if fate < 0.05:
            return st.Reject("not now", retry=fate < 0.04)
        if fate < 0.06:
            return st.UNHANDLED
        self.journal.begun[message] += 1
        if fate < 0.10:
            raise RuntimeError("crashed on it")
        if fate < 0.13:
            await asyncio.sleep(self.chance.uniform(0, 8))
        elif fate < 0.5:
            await asyncio.sleep(self.chance.uniform(0, 0.01))
        self.journal.done[message] += 1
        return None


async def kill_now_and_then(chance: random.Random) -> None:
    while True:
        await asyncio.sleep(chance.uniform(0.05, 0.5))
        victim = st.whereis(f"receiver{chance.randrange(RECEIVERS)}")
        if victim is not None:
            st.exit(victim, chance.choice(["kill", "shutdown", RuntimeError("told to")]))


async def send(number: int, chance: random.Random) -> st.Delivery:
    await asyncio.sleep(chance.uniform(0, 20))
    name = f"receiver{chance.randrange(RECEIVERS)}"
    ref = st.whereis(name) if chance.random() < 0.3 else name
    return await st.send_supervised(
        name if ref is None else ref,
        number,
        timeout=chance.choice([0.05, 1, 5]),
        retries=chance.randrange(4),
        backoff=st.Backoff(initial=0.05, maximum=2),
        on_error="ignore",
    )


@pytest.mark.parametrize("seed", range(ROUNDS))
async def test_every_outcome_is_true(seed, caplog):
    caplog.set_level("CRITICAL")
    chance, journal = random.Random(seed), Journal()
    specs = [
        st.child_spec(
            Unreliable, journal, random.Random(seed + n), name=f"receiver{n}", mailbox=chance.choice([4, None])
        )
        for n in range(RECEIVERS)
    ]
    exits: Counter[object] = Counter()
    async with st.Node(clock=VirtualClock(), block_threshold=None, seed=seed) as node:
        node.telemetry.attach(PROCESS_EXIT, lambda _event, _numbers, details: exits.update([details["pid"]]))
        await st.start(st.Supervisor, specs, "one_for_one", 1_000_000, 1.0)
        killer = asyncio.create_task(kill_now_and_then(chance))
        deliveries = await asyncio.gather(*(send(number, chance) for number in range(SENDS)))
        killer.cancel()
        await asyncio.gather(killer, return_exceptions=True)
        await asyncio.sleep(60)  # nothing that was given up is handled later
        assert not any(process.mailbox.queue for process in node.processes.values())
    assert node.processes == {}
    assert set(exits.values()) == {1}
    outcomes = Counter(str(delivery.outcome) for delivery in deliveries)
    assert set(outcomes) == {"confirmed", "rejected", "unknown"}
    for number, delivery in enumerate(deliveries):
        if delivery.outcome is st.Outcome.CONFIRMED:
            assert journal.done[number] >= 1, delivery
        elif delivery.outcome is st.Outcome.REJECTED:
            assert journal.begun[number] == 0, delivery
        assert journal.begun[number] <= delivery.attempts
