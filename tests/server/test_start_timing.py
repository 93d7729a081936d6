# SPDX-License-Identifier: MIT
"""The end of init and the timeout of start, close to each other."""

from __future__ import annotations

import asyncio

import pytest

from stanchion.errors import StartError
from stanchion.kernel import Pid
from stanchion.server import GenServer, begin_start, call, start
from stanchion.testing import VirtualClock, VirtualTimeLoop
from tests.kernel.helpers import quick_node


@pytest.fixture
def loop_factory():
    return VirtualTimeLoop


class Slow(GenServer):
    async def init(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def handle_call(self, request, sender):
        return request


async def test_init_that_ends_with_the_time_counts() -> None:
    async with quick_node(clock=VirtualClock()):
        pid = await start(Slow, 1, timeout=1)
        assert await call(pid, "alive") == "alive"


async def test_init_that_ends_a_tick_after_the_time_is_too_late() -> None:
    async with quick_node(clock=VirtualClock()) as node:
        with pytest.raises(StartError, match="got 'timeout'"):
            await start(Slow, 1 + 2 / 128, timeout=1)
        assert node.processes == {}


@pytest.mark.parametrize("steps", range(6))
async def test_init_that_ends_in_the_very_steps_of_the_timeout_is_one_or_the_other(steps: int) -> None:
    async with quick_node(clock=VirtualClock()) as node:
        (outcome,) = await asyncio.gather(start(Steps, steps, timeout=1), return_exceptions=True)
        if isinstance(outcome, StartError):
            assert (outcome.reason, node.processes) == ("timeout", {})
        else:
            assert isinstance(outcome, Pid)
            assert await call(outcome, "alive") == "alive"


@pytest.mark.parametrize("steps", range(6))
async def test_init_that_crashes_in_the_very_steps_of_the_timeout_is_one_or_the_other(steps: int) -> None:
    async with quick_node(clock=VirtualClock()) as node:
        with pytest.raises(StartError) as caught:
            await start(Crashes, steps, timeout=1)
        assert str(caught.value.reason) in ("timeout", "late")
        assert node.processes == {}


async def test_init_that_crashes_just_before_the_starter_hears_of_the_timeout_has_crashed() -> None:
    async with quick_node(clock=VirtualClock()) as node:
        event = asyncio.Event()
        node.wheel.add(1, Sets(event))
        with pytest.raises(StartError) as caught:
            await start(CrashesAfter, event, timeout=1)
        assert str(caught.value).startswith("start of CrashesAfter <")
        assert str(caught.value).endswith(">: expected init to finish, got ValueError('late')")
        assert node.processes == {}


class Sets:
    """What sets an event when the wheel calls."""

    def __init__(self, event: asyncio.Event) -> None:
        self.event = event

    def expire(self) -> None:
        self.event.set()


class CrashesAfter(GenServer):
    async def init(self, event: asyncio.Event) -> None:
        await event.wait()
        raise ValueError("late")


class Steps(Slow):
    """Its init takes until the tick of the timeout, and then so many steps of the loop."""

    async def init(self, seconds: float) -> None:
        await asyncio.sleep(1 + 1 / 128)
        for _ in range(int(seconds)):
            await asyncio.sleep(0)


async def test_deadline_that_comes_right_after_init_is_harmless() -> None:
    async with quick_node(clock=VirtualClock()) as node:
        starting = begin_start("start()", node, None, Slow, (0,), None, None, 1)
        pid = await starting.ready()
        starting.expire()
        assert await call(pid, "alive") == "alive"


async def test_init_that_ends_right_after_the_deadline_counts_when_nobody_has_acted_on_it() -> None:
    async with quick_node(clock=VirtualClock()) as node:
        starting = begin_start("start()", node, None, Slow, (0,), None, None, 1)
        starting.expire()
        await asyncio.sleep(0.1)  # for init to end
        pid = await starting.ready()
        assert await call(pid, "alive") == "alive"


class Crashes(Steps):
    """As ``Steps``, and then it crashes."""

    async def init(self, seconds: float) -> None:
        await super().init(seconds)
        raise ValueError("late")
