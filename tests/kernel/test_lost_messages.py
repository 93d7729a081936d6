# SPDX-License-Identifier: MIT
"""Messages that nobody handles are told of."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from stanchion.kernel import (
    StormGuard,
    SystemClock,
    TimerHandle,
    demonitor,
    exit,
    link,
    monitor,
    spawn,
    trap_exit,
    undeliverable,
    wait_exit,
)
from stanchion.server import cast, send, stop
from stanchion.telemetry import DEAD_LETTER, DROPPED
from tests.kernel.helpers import Events, Hearer, process_of, quick_node, run_in_process, sleeper, steps


class ClockByHand(SystemClock):
    """A clock that a test moves on."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.timers: dict[Timer, None] = {}

    def monotonic(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], object]) -> TimerHandle:
        timer = Timer(self, when, callback)
        self.timers[timer] = None
        return timer

    def advance(self, seconds: float) -> None:
        self.now += seconds
        for timer in [timer for timer in self.timers if timer.when <= self.now]:
            del self.timers[timer]
            timer.callback()


class Timer:
    def __init__(self, clock: ClockByHand, when: float, callback: Callable[[], object]) -> None:
        self.clock = clock
        self.when = when
        self.callback = callback

    def cancel(self) -> None:
        self.clock.timers.pop(self, None)


async def test_message_to_the_dead_is_a_dead_letter_event() -> None:
    async with quick_node() as node:
        events = Events(node, DEAD_LETTER, DROPPED)
        pid = spawn(sleeper)
        exit(pid, "kill")
        await wait_exit(pid, timeout=1)
        cast(pid, "late")
        cast("nobody", "lost")
        assert events.told == [
            (DEAD_LETTER, {"count": 1}, {"node": "test", "recipient": pid, "message": "late", "reason": "noproc"}),
            (DEAD_LETTER, {"count": 1}, {"node": "test", "recipient": "nobody", "message": "lost", "reason": "noproc"}),
        ]


async def test_message_to_a_full_mailbox_is_a_dropped_event() -> None:
    async with quick_node() as node:
        events = Events(node, DEAD_LETTER, DROPPED)
        pid = spawn(sleeper, mailbox=1)
        cast(pid, "fits")
        send(pid, "too much")
        assert events.told == [
            (DROPPED, {"count": 1}, {"node": "test", "recipient": pid, "message": "too much", "reason": "overflow"})
        ]


async def test_messages_left_in_a_mailbox_are_dead_letter_events() -> None:
    async with quick_node() as node:
        events = Events(node, DEAD_LETTER)
        pid = spawn(sleeper)
        cast(pid, 1)
        send(pid, 2)
        exit(pid, "shutdown")
        await wait_exit(pid, timeout=1)
        assert events.all("message") == [1, 2]
        assert events.all("reason") == ["noproc", "noproc"]


async def test_signals_left_in_a_mailbox_are_nobodys_loss(caplog: pytest.LogCaptureFixture) -> None:
    async with quick_node() as node:
        events = Events(node, DEAD_LETTER)
        other = spawn(sleeper)

        async def body() -> None:
            trap_exit()
            monitor(other)
            link(other)
            await sleeper()

        pid = spawn(body)
        await steps()
        exit(other, "shutdown")
        process_of(pid).mailbox.put_system(("stop", "normal", None))
        await steps()
        exit(pid, "kill")
        await wait_exit(pid, timeout=1)
        assert events.told == []
        assert caplog.records == []


async def test_message_to_the_dead_outside_of_every_node_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with quick_node():
        pid = spawn(sleeper)
    cast(pid, "late")
    assert [record.getMessage() for record in caplog.records] == [
        "message to <test.1> was not handled (noproc): 'late'"
    ]


async def test_log_holds_back_a_storm_and_counts_it_when_the_window_ends(caplog: pytest.LogCaptureFixture) -> None:
    clock = ClockByHand()
    async with quick_node(clock=clock) as node:
        events = Events(node, DEAD_LETTER)
        for number in range(100):
            undeliverable(node, "nobody", number, "noproc")
        assert len(events.told) == 100
        assert len(caplog.records) == 10
        assert caplog.records[0].getMessage() == "message to 'nobody' was not handled (noproc): 0"
        clock.advance(9.9)
        assert len(caplog.records) == 10
        clock.advance(0.1)
        assert len(caplog.records) == 11
        assert caplog.records[10].getMessage() == "90 more messages were not handled within 10 s"
        undeliverable(node, "nobody", "after", "noproc")
        assert caplog.records[11].getMessage() == "message to 'nobody' was not handled (noproc): 'after'"
        clock.advance(20)
    assert len(caplog.records) == 12


async def test_storm_is_counted_when_the_node_closes_before_its_window_ends(caplog: pytest.LogCaptureFixture) -> None:
    async with quick_node() as node:
        for number in range(11):
            undeliverable(node, "nobody", number, "noproc")
    assert caplog.records[-1].getMessage() == "1 more messages were not handled within 10 s"
    undeliverable(node, "nobody", "after the end", "noproc")  # sets no timer
    assert len(caplog.records) == 11


async def test_topics_do_not_hold_back_each_others_lines() -> None:
    guard, log = StormGuard(ClockByHand()), logging.getLogger("test")
    assert [guard.admit("letters", log) for _ in range(12)] == [True] * 10 + [False] * 2
    assert guard.admit("messages", log)


def test_storm_outside_of_a_loop_is_counted_with_the_next_line(caplog: pytest.LogCaptureFixture) -> None:
    class OutsideOfALoop(ClockByHand):
        def call_at(self, when: float, callback: Callable[[], object]) -> TimerHandle:
            return SystemClock().call_at(when, callback)

    clock = OutsideOfALoop()
    guard, log = StormGuard(clock), logging.getLogger("test")
    assert [guard.admit("lines came", log) for _ in range(12)] == [True] * 10 + [False] * 2
    clock.advance(10.0)
    assert guard.admit("lines came", log)
    assert [record.getMessage() for record in caplog.records] == ["2 more lines came within 10 s"]


async def test_system_messages_come_in_beyond_the_limit() -> None:
    async with quick_node():
        other = spawn(sleeper)

        async def body() -> None:
            trap_exit()
            monitor(other)
            link(other)
            await sleeper()

        pid = spawn(body, mailbox=1)
        await steps()
        cast(pid, "fits")
        cast(pid, "does not")
        exit(other, "shutdown")
        exit(pid, "normal")
        await steps()
        assert [type(message).__name__ for _, message, _ in process_of(pid).mailbox.queue] == [
            "str",
            "Exit",
            "Exit",
            "Down",
        ]


async def test_stop_comes_in_beyond_the_limit() -> None:
    async with quick_node():
        hearer = Hearer(mailbox=1)
        cast(hearer.pid, "fits")
        await stop(hearer.pid, timeout=1)
        assert hearer.heard == ["fits"]


async def test_telemetry_handler_may_touch_the_mailbox_of_the_process_that_ends() -> None:
    async with quick_node() as node:
        refs: list[object] = []

        async def body() -> None:
            refs.append(monitor("nobody"))
            cast(node_pid[0], 1)
            cast(node_pid[0], 2)

        node_pid = [spawn(body)]
        seen: list[object] = []

        def handler(event, measurements, metadata) -> None:
            seen.append(metadata["message"])
            cast(metadata["recipient"], "again") if len(seen) == 1 else None

        node.telemetry.attach(DEAD_LETTER, handler)
        await wait_exit(node_pid[0], timeout=1)
        assert seen == [1, "again", 2]
        with pytest.raises(Exception, match="expected a monitor of the running process"):
            await run_in_process(demonitor, refs[0])
