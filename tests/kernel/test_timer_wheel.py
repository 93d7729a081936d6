# SPDX-License-Identifier: MIT
"""The one coarse timer behind every wait of a node."""

from __future__ import annotations

import asyncio
import random

import pytest

from stanchion.kernel import Bucket, TimerWheel
from stanchion.testing import VirtualClock, VirtualTimeLoop

TICK = 1 / 128


@pytest.fixture
def loop_factory():
    return VirtualTimeLoop


class Item:
    def __init__(self, log: list[tuple[object, float]], name: object = "item", then=lambda: None) -> None:
        self.log = log
        self.name = name
        self.then = then

    def expire(self) -> None:
        self.log.append((self.name, asyncio.get_running_loop().time()))
        self.then()


def now() -> float:
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize("seconds", [0.001, TICK, 0.01, 0.5, 1, 5, 3600, 86400 * 30])
async def test_deadline_is_never_early_and_at_most_one_tick_late(seconds: float) -> None:
    wheel, log = TimerWheel(VirtualClock()), []
    for shift in (0.0, 0.003, 0.0077):
        await asyncio.sleep(shift)
        start = now()
        wheel.add(seconds, Item(log))
        await asyncio.sleep(seconds + 2 * TICK)
        _, fired = log.pop()
        assert 0 <= fired - start - seconds <= TICK + 1e-6


async def test_deadline_of_zero_is_over_at_the_next_step() -> None:
    wheel, log = TimerWheel(VirtualClock()), []
    start = now()
    wheel.add(0, Item(log))
    assert log == []
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert log == [("item", start)]


async def test_deadline_of_zero_that_is_set_while_deadlines_expire_waits_for_the_next_step() -> None:
    wheel, log = TimerWheel(VirtualClock()), []

    def again() -> None:
        wheel.add(0, Item(log, "second"))
        asyncio.get_running_loop().call_soon(Item(log, "step").expire)

    wheel.add(0, Item(log, "first", again))
    await asyncio.sleep(1)
    assert [name for name, _ in log] == ["first", "step", "second"]


async def test_thousands_of_deadlines_come_in_order_of_time() -> None:
    wheel, log = TimerWheel(VirtualClock()), []
    draw = random.Random(7)
    delays = [draw.uniform(0, 60) for _ in range(5000)]
    start = now()
    for delay in delays:
        wheel.add(delay, Item(log, name=delay))
    await asyncio.sleep(61)
    assert sorted(name for name, _ in log) == sorted(delays)
    assert all(0 <= fired - start - name <= TICK + 1e-6 for name, fired in log)


async def test_deadlines_of_one_tick_come_in_the_order_of_arrival() -> None:
    wheel, log = TimerWheel(VirtualClock()), []
    for number in range(100):
        wheel.add(1, Item(log, name=number))
    await asyncio.sleep(2)
    assert [name for name, _ in log] == list(range(100))


async def test_deadline_taken_back_never_comes() -> None:
    wheel, log = TimerWheel(VirtualClock()), []
    item = Item(log)
    bucket = wheel.add(1, item)
    bucket.pop(item, None)
    bucket.pop(item, None)
    await asyncio.sleep(2)
    assert log == []


async def test_earlier_deadline_moves_the_timer_forward() -> None:
    wheel, log = TimerWheel(VirtualClock()), []
    wheel.add(60, Item(log, "late"))
    wheel.add(1, Item(log, "early"))
    await asyncio.sleep(2)
    assert [name for name, _ in log] == ["early"]
    await asyncio.sleep(60)
    assert [name for name, _ in log] == ["early", "late"]


async def test_timer_rests_when_nobody_waits() -> None:
    wheel, log = TimerWheel(VirtualClock()), []
    item = Item(log)
    wheel.add(1, item).pop(item)
    wheel.add(0.5, Item(log))
    await asyncio.sleep(0.6)
    assert wheel._timer is None
    assert wheel._buckets == {}
    assert wheel._ticks == []


async def test_expiring_item_may_add_and_take_back_timer_wheel() -> None:
    wheel, log = TimerWheel(VirtualClock()), []
    buckets: list[Bucket] = []
    second, third = Item(log, "second"), Item(log, "third")

    def then() -> None:
        buckets[0].pop(third)
        wheel.add(0, Item(log, "at once"))
        wheel.add(1, Item(log, "later"))

    first = Item(log, "first", then)
    buckets.append(wheel.add(1, first))
    assert wheel.add(1, second) is buckets[0]
    assert wheel.add(1, third) is buckets[0]
    await asyncio.sleep(1.5)
    # Who was due in the same tick hears of it still: taking back counts from the next tick on.
    assert [name for name, _ in log] == ["first", "second", "third", "at once"]
    await asyncio.sleep(1)
    assert log[-1][0] == "later"


async def test_failing_item_does_not_keep_the_others_waiting(caplog: pytest.LogCaptureFixture) -> None:
    wheel, log = TimerWheel(VirtualClock()), []

    def fail() -> None:
        raise ValueError("no")

    wheel.add(1, Item(log, "failing", fail))
    wheel.add(1, Item(log, "same tick"))
    wheel.add(2, Item(log, "next"))
    await asyncio.sleep(3)
    assert [name for name, _ in log] == ["failing", "same tick", "next"]
    assert caplog.records[0].getMessage().startswith("the end of the wait of <")


async def test_closed_deadlines_never_come_and_new_ones_work() -> None:
    wheel, log = TimerWheel(VirtualClock()), []
    wheel.add(1, Item(log, "before"))
    wheel.close()
    wheel.close()
    wheel.add(2, Item(log, "after"))
    await asyncio.sleep(3)
    assert [name for name, _ in log] == ["after"]


async def test_clock_that_fires_early_is_asked_again() -> None:
    class Hasty(VirtualClock):
        def call_at(self, when, callback):
            return super().call_at(when - 0.1 if when - now() > 0.2 else when, callback)

    wheel, log = TimerWheel(Hasty()), []
    start = now()
    wheel.add(1, Item(log))
    await asyncio.sleep(2)
    assert 0 <= log[0][1] - start - 1 <= TICK
