# SPDX-License-Identifier: MIT
"""Waits whose time is up while somebody sits at a breakpoint."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

import pytest

import stanchion as st
from stanchion.errors import CallTimeoutError
from stanchion.kernel import SystemClock, TimerHandle, TimerWheel
from stanchion.testing import VirtualClock, VirtualTimeLoop
from stanchion.timeouts import TimeoutPolicy
from tests.kernel.helpers import quick_node


class ManualClock(SystemClock):
    """The machine's clock, for those who ask; moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0
        self.calls: dict[object, tuple[float, Callable[[], object]]] = {}

    def monotonic(self) -> float:  # type: ignore[override]
        return self.now

    def call_at(self, when: float, callback: Callable[[], object]) -> TimerHandle:
        key = object()
        self.calls[key] = (when, callback)
        clock = self

        class Handle:
            def cancel(self) -> None:
                clock.calls.pop(key, None)

        return Handle()

    def pass_by(self, seconds: float) -> None:
        end = self.now + seconds
        while due := sorted((when, id(key), key) for key, (when, _) in self.calls.items() if when <= end):
            self.now = max(self.now, due[0][0])
            self.calls.pop(due[0][2])[1]()
        self.now = end


class Wait:
    def __init__(self, ended: list[str], name: str) -> None:
        self.ended = ended
        self.name = name

    def expire(self) -> None:
        self.ended.append(self.name)


class Idle(Wait):
    is_limit = False


@pytest.fixture
def debugger(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Return what attaches a debugger, or detaches it."""

    def attach(attached: bool) -> None:
        monkeypatch.setattr("stanchion.kernel._timer_wheel.debugger_attached", lambda: attached)

    attach(False)
    return attach


def wheel_of(**options: float) -> tuple[TimerWheel, ManualClock, list[str]]:
    clock = ManualClock()
    return TimerWheel(clock, TimeoutPolicy(**options)), clock, []


def test_wait_ends_in_time_when_no_debugger_is_attached(debugger) -> None:
    wheel, clock, ended = wheel_of()
    wheel.add(1, Wait(ended, "a"))
    clock.pass_by(1.1)
    assert ended == ["a"]
    assert clock.calls == {}


def test_wait_goes_on_while_a_debugger_is_attached_and_ends_soon_after(debugger, caplog) -> None:
    wheel, clock, ended = wheel_of()
    debugger(True)
    wheel.add(1, Wait(ended, "a"))
    wheel.add(2, Wait(ended, "b"))
    clock.pass_by(600)
    assert ended == []
    debugger(False)
    clock.pass_by(5)
    assert ended == ["a", "b"]
    assert clock.calls == {}
    assert [record.getMessage() for record in caplog.records] == [
        "a debugger is attached: waits whose time is up go on for up to 3600 s"
    ]


def test_wait_for_no_time_at_all_ends_at_once_while_a_debugger_is_attached(debugger) -> None:
    wheel, clock, ended = wheel_of()
    debugger(True)
    wheel.add(0, Wait(ended, "poll"))
    clock.pass_by(0)
    assert ended == ["poll"]
    assert clock.calls == {}


def test_wait_ends_when_it_was_put_off_long_enough(debugger) -> None:
    wheel, clock, ended = wheel_of(debugger=60)
    debugger(True)
    wheel.add(1, Wait(ended, "a"))
    clock.pass_by(31)
    wheel.add(1, Wait(ended, "b"))
    clock.pass_by(36)
    assert ended == ["a"]
    clock.pass_by(30)
    assert ended == ["a", "b"]


def test_breakpoint_after_a_breakpoint_puts_off_anew(debugger) -> None:
    wheel, clock, ended = wheel_of()
    wheel.was_held = True  # as the watchdog says of pdb, which is gone when the loop goes on
    wheel.look_later()
    wheel.add(8, Wait(ended, "a"))
    clock.now += 60.0  # the next one, before that look
    clock.pass_by(4)
    assert ended == []
    clock.pass_by(2)
    assert (ended, wheel.was_held, clock.calls) == (["a"], False, {})


def test_wait_that_was_put_off_can_be_taken_back(debugger) -> None:
    wheel, clock, ended = wheel_of()
    debugger(True)
    first, second = Wait(ended, "a"), Wait(ended, "b")
    bucket = wheel.add(1, first)
    assert wheel.add(1, second) is bucket
    clock.pass_by(60)
    bucket.pop(first)
    debugger(False)
    clock.pass_by(5)
    assert ended == ["b"]
    assert wheel.add(1, first) is not bucket


def test_nobody_looks_any_more_when_all_were_taken_back(debugger) -> None:
    wheel, clock, ended = wheel_of()
    debugger(True)
    wait = Wait(ended, "a")
    bucket = wheel.add(1, wait)
    clock.pass_by(2)
    bucket.pop(wait)
    clock.pass_by(5)
    assert clock.calls == {}


def test_wait_that_is_no_limit_ends_in_time(debugger) -> None:
    wheel, clock, ended = wheel_of()
    debugger(True)
    wheel.add(1, Idle(ended, "idle"))
    clock.pass_by(2)
    assert (ended, clock.calls) == (["idle"], {})
    wheel.add(1, Wait(ended, "limit"))
    wheel.add(1, Idle(ended, "again"))
    clock.pass_by(2)
    assert ended == ["idle", "again"]


def test_zero_puts_off_nothing(debugger) -> None:
    wheel, clock, ended = wheel_of(debugger=0)
    debugger(True)
    wheel.add(1, Wait(ended, "a"))
    clock.pass_by(2)
    assert ended == ["a"]


def test_closed_wheel_forgets_what_was_put_off(debugger) -> None:
    wheel, clock, ended = wheel_of()
    debugger(True)
    wheel.add(1, Wait(ended, "a"))
    clock.pass_by(2)
    wheel.close()
    debugger(False)
    clock.pass_by(60)
    assert (ended, clock.calls) == ([], {})


def test_wait_goes_on_for_a_while_after_a_breakpoint_whose_debugger_is_gone(debugger) -> None:
    wheel, clock, ended = wheel_of()
    wheel.add(1, Wait(ended, "a"))
    wheel.was_held = True
    wheel.look_later()
    clock.pass_by(4)
    assert ended == []
    wheel.add(3, Wait(ended, "b"))
    clock.pass_by(2)
    assert ended == ["a"]
    clock.pass_by(2)
    assert ended == ["a", "b"]


async def test_deadline_is_put_off_as_the_waits_are(debugger) -> None:
    clock = ManualClock()
    handled: list[object] = []

    class Notes(st.GenServer):
        def handle_cast(self, message):
            handled.append(message)

    async with quick_node(clock=clock) as node:
        server = await st.start(Notes)
        async with st.deadline(2) as scope:
            st.cast(server, "at a breakpoint")
            clock.now += 60
            assert scope.remaining() == 0
            debugger(True)
            assert scope.remaining() == 2 + 3600 - 60
            await asyncio.sleep(0)
            assert handled == ["at a breakpoint"]
            st.cast(server, "later")
            debugger(False)
            await asyncio.sleep(0)
        assert (handled, node.statistics().expired) == (["at a breakpoint"], 1)


@pytest.mark.allow_blocking("the handler stands at a breakpoint")
async def test_call_outlives_a_breakpoint_that_outlasts_its_limit(caplog) -> None:
    def stand() -> None:
        began = time.monotonic()
        while time.monotonic() - began < 0.1 or not node.wheel.was_held:
            time.sleep(0.001)
            assert time.monotonic() - began < 10

    names: dict[str, Any] = {"__name__": "pdb", "stand": stand}
    exec("def prompt(): stand()", names)

    class Stepped(st.GenServer):
        async def handle_call(self, request, sender):
            names["prompt"]()
            await asyncio.sleep(0)
            return "done"

    async with st.Node(timeouts=0.05, block_threshold=0.02) as node:
        server = await st.start(Stepped, timeout=1)
        with caplog.at_level(logging.WARNING):
            assert await st.call(server, "step") == "done"
        await st.stop(server, timeout=1)
    assert [record.getMessage() for record in caplog.records if "blocks" in record.getMessage()] == []


class Silent(st.GenServer):
    def handle_call(self, request, sender):
        return st.NO_REPLY


@pytest.fixture
def loop_factory(request) -> Callable[[], asyncio.AbstractEventLoop]:
    return VirtualTimeLoop if "virtual" in request.node.name else asyncio.SelectorEventLoop


async def test_virtual_time_is_not_stretched(debugger) -> None:
    debugger(True)
    async with st.Node(clock=VirtualClock(), block_threshold=None):
        server = await st.start(Silent)
        began = asyncio.get_running_loop().time()
        with pytest.raises(CallTimeoutError):
            await st.call(server, "x", timeout=10)
        assert asyncio.get_running_loop().time() - began < 10.1


async def test_idle_timeout_and_restart_delay_come_in_time_under_a_debugger(debugger) -> None:
    debugger(True)
    told: list[object] = []

    class Idle(st.GenServer):
        async def init(self) -> st.Timeout:
            return st.Timeout(0.01)

        async def handle_info(self, message: object) -> None:
            told.append(message)
            raise ValueError("crash")

    async with st.Node(block_threshold=None):
        delay = st.Backoff(initial=0.01)
        spec = st.child_spec(Idle, restart="transient", backoff=delay)
        supervisor = await st.start(st.Supervisor, [spec], "one_for_one", 1)
        await st.wait_exit(supervisor, timeout=None)
    assert told == [st.TIMEOUT] * 2
