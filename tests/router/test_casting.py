# SPDX-License-Identifier: MIT
"""Signals that are cast: one at a time in the mailbox, in order, none lost in silence."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

import stanchion as st
from stanchion.kernel import current_process, receive
from stanchion.server import resume, suspend
from stanchion.state_machine import POSTPONE, CastEvent, KeepState, NextState
from stanchion.telemetry import SIGNAL_DELIVERED, SIGNAL_DROPPED
from stanchion.testing import advance, wait_quiet
from tests.kernel.helpers import Events, process_of
from tests.router.support import numbers, routed, signal, started


async def test_process_gets_what_matches_in_order() -> None:
    async with routed() as router:
        one = await started(router, "order.*")
        await numbers(router, 5)
        await router.publish(signal("other", "invoice.paid"))
        await wait_quiet()
        assert one.heard == [0, 1, 2, 3, 4]


async def test_one_signal_at_a_time_is_in_the_mailbox() -> None:
    async with routed() as router:
        one = await started(router, "**", open=False)
        await numbers(router, 5)
        await wait_quiet()
        assert len(process_of(one.pid).mailbox.queue) == 0  # the first is in hand
        assert router.subscriptions()[0].buffered == 4
        one.gate.set()
        await wait_quiet()
        assert one.heard == [0, 1, 2, 3, 4]
        assert router.subscriptions()[0].delivered == 5


async def test_slow_process_answers_calls_before_its_signals() -> None:
    async with routed() as router:
        one = await started(router, "**", open=False)
        await numbers(router, 100)
        call = asyncio.create_task(st.call(one.pid, "count"))
        await asyncio.sleep(0)
        one.gate.set()
        assert await call == 1


async def test_slow_process_delays_nobody() -> None:
    async with routed() as router:
        await started(router, "**", open=False)
        quick = await started(router, "**")
        await numbers(router, 10)
        await wait_quiet()
        assert quick.heard == list(range(10))


async def test_process_with_several_subscriptions_gets_a_signal_once_by_the_first() -> None:
    async with routed() as router:
        one = await started(router, "order.*", "**", "order.placed")
        await router.publish(signal(1))
        await router.publish(signal(2, "order"))
        await wait_quiet()
        assert one.heard == [1, 2]
        assert [info.delivered for info in router.subscriptions()] == [1, 1, 0]


async def test_signals_keep_their_order_whichever_subscription_they_come_by() -> None:
    async with routed() as router:
        one = await started(router, "a", "b", open=False)
        for number, type in enumerate("aabab"):
            await router.publish(signal(number, type))
        one.gate.set()
        await wait_quiet()
        assert one.heard == [0, 1, 2, 3, 4]


async def test_plain_process_receives_signals() -> None:
    async with routed() as router:
        heard: list[Any] = []

        async def body() -> None:
            router.subscribe("**", current_process("").pid)
            while True:
                message = await receive(timeout=None)
                assert isinstance(message, st.Signal)
                heard.append(message.data)

        st.spawn(body)
        await wait_quiet()
        await numbers(router, 3)
        await wait_quiet()
        assert heard == [0, 1, 2]
        assert router.subscriptions()[0].delivered == 3


async def test_last_signal_of_a_plain_process_that_returns_is_handled_and_what_is_left_is_dropped() -> None:
    async with routed() as router:

        async def body() -> None:
            router.subscribe("**", current_process("").pid)
            await receive(timeout=None)

        st.spawn(body)
        await wait_quiet()
        await numbers(router, 3)
        await wait_quiet()
        assert router.subscriptions() == []
        statistics = router.statistics()
        assert (statistics.delivered, statistics.dropped) == (1, {"exited": 2})


async def test_what_a_process_leaves_behind_is_counted_told_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with routed() as router:
        one = await started(router, "**", open=False)
        events = Events(router._session.node, SIGNAL_DROPPED)  # type: ignore[union-attr]
        await router.publish(signal("crash"))
        await numbers(router, 2)
        one.gate.set()
        await st.wait_exit(one.pid, timeout=1)
        assert events.all("reason") == ["exited"] * 3
        assert router.statistics().dropped == {"exited": 3}
        assert f"2 signals for {one.subscription!r} were dropped: exited" in caplog.messages


async def test_subscription_is_gone_before_anybody_hears_of_the_exit() -> None:
    async with routed() as router:
        one = await started(router, "**")
        left: list[int] = []
        st.exit(one.pid, "shutdown")
        await st.wait_exit(one.pid, timeout=1)
        left.append(len(router.subscriptions()))
        assert left == [0]
        assert (await router.publish(signal())).matched == 0


async def test_process_that_is_about_to_exit_takes_no_more() -> None:
    async with routed() as router:
        one = await started(router, "**", open=False)
        await numbers(router, 2)
        process_of(one.pid).mailbox.closed = True
        publication = await router.publish(signal())
        assert [reason for _, reason in publication.dropped] == ["exited"]
        assert not publication
        one.gate.set()
        await wait_quiet()
        assert one.heard == [0]


@pytest.mark.parametrize("data", ["reject", "unknown"])
async def test_refused_signal_is_dropped_and_the_next_one_comes(data: str) -> None:
    async with routed() as router:
        one = await started(router, "**")
        await router.publish(signal(data))
        await router.publish(signal(2))
        await wait_quiet()
        assert one.heard == [2]
        assert router.statistics().dropped == {"refused": 1}


async def test_suspended_process_gets_its_signals_when_it_resumes() -> None:
    async with routed() as router:
        one = await started(router, "**")
        await suspend(one.pid)
        await numbers(router, 3)
        await wait_quiet()
        assert one.heard == []
        await resume(one.pid)
        await wait_quiet()
        assert one.heard == [0, 1, 2]


class Door(st.StateMachine):
    """Puts off what it hears until it hears "open"."""

    def init(self, router: st.SignalRouter, heard: list[Any]) -> NextState:
        self.heard = heard
        self.subscription = router.subscribe("**", st.self_pid())
        return NextState("closed")

    def closed(self, event: object) -> object:
        match event:
            case CastEvent(st.Signal("door.open")):
                return NextState("opened")
            case CastEvent(st.Signal("door.forget")):
                self.subscription.unsubscribe()
                return NextState("opened")
            case _:
                return KeepState(POSTPONE)

    def opened(self, event: object) -> None:
        match event:
            case CastEvent(st.Signal(_, data)):
                self.heard.append(data)
            case _:
                pass


async def test_signal_that_is_postponed_does_not_hold_up_the_one_it_waits_for() -> None:
    async with routed() as router:
        heard: list[Any] = []
        await st.start(Door, router, heard)
        await numbers(router, 3)
        await wait_quiet()
        assert heard == []
        assert router.subscriptions()[0].delivered == 0
        await router.publish(signal(None, "door.open"))
        await wait_quiet()
        assert heard == [0, 1, 2]
        assert router.subscriptions()[0].delivered == 4


async def test_postponed_signals_are_dropped_with_their_subscription() -> None:
    async with routed() as router:
        heard: list[Any] = []
        await st.start(Door, router, heard)
        await numbers(router, 3)
        await router.publish(signal(None, "door.forget"))
        await wait_quiet()
        assert heard == []
        statistics = router.statistics()
        assert (statistics.delivered, statistics.dropped) == (1, {"unsubscribed": 3})


async def test_postponed_signals_are_dropped_when_the_machine_exits() -> None:
    async with routed() as router:
        pid = await st.start(Door, router, [])
        await numbers(router, 3)
        await wait_quiet()
        await st.stop(pid)
        assert router.statistics().dropped == {"exited": 3}


async def test_handler_may_publish_subscribe_and_unsubscribe() -> None:
    async with routed() as router:
        one = await started(router, "order.*")

        def act() -> str:
            router.publish_nowait(signal("inner"))
            router.subscribe("invoice.*", one.pid)
            assert one.subscription.unsubscribe()
            return "acted"

        await router.publish(signal(("do", act)))
        await router.publish(signal("after"))
        await wait_quiet()
        await router.publish(signal("invoice", "invoice.paid"))
        await wait_quiet()
        assert one.heard == ["acted", "invoice"]
        statistics = router.statistics()
        assert (statistics.delivered, statistics.dropped) == (2, {"unsubscribed": 2})


async def test_signal_that_waits_in_the_mailbox_is_taken_back_by_unsubscribing() -> None:
    async with routed() as router:
        one = await started(router, "**")
        router.publish_nowait(signal(1))
        assert one.subscription.unsubscribe()
        assert not one.subscription.unsubscribe()
        await wait_quiet()
        assert one.heard == []
        assert router.statistics().dropped == {"unsubscribed": 1}


async def test_process_has_one_lane_for_all_its_subscriptions() -> None:
    async with routed() as router:
        one = await started(router, "a", "b", open=False)
        await router.publish(signal(1, "a"))
        await router.publish(signal(2, "b"))
        await router.publish(signal(3, "b"))
        assert router.unsubscribe(one.subscriptions[0])
        one.gate.set()
        await wait_quiet()
        assert one.heard == [2, 3]
        assert [info.pattern for info in router.subscriptions()] == ["b"]


async def test_delivery_is_told_with_the_time_in_the_buffer() -> None:
    async with routed() as router:
        one = await started(router, "**", open=False)
        events = Events(router._session.node, SIGNAL_DELIVERED)  # type: ignore[union-attr]
        await numbers(router, 2)
        await advance(2)
        one.gate.set()
        await wait_quiet()
        measured = [(measurements["buffered"], measurements["seconds"]) for _, measurements, _ in events.told]
        assert measured == [(0.0, 2.0), (2.0, 2.0)]
        assert events.all("subscriber") == [one.pid] * 2
        assert router.statistics().patterns["**"].longest_buffered == 2.0


async def test_deadline_of_the_publisher_does_not_come_with_a_signal() -> None:
    async with routed() as router:
        one = await started(router, "**")
        async with st.deadline(10):
            await router.publish(signal(("do", st.remaining)))
        await wait_quiet()
        assert one.heard == [None]


async def test_runaway_that_ends_late_settles_nothing_twice() -> None:
    async with routed(exit_grace=1) as router:
        one = await started(router, "**", open=False)
        await router.publish(signal(1))
        await wait_quiet()
        entry = process_of(one.pid).handling[2]  # type: ignore[index]
        assert entry is not None
        st.exit(one.pid, "kill")
        await st.wait_exit(one.pid, timeout=10)
        entry.processed()
        entry.displaced()
        entry.overdue()
        statistics = router.statistics()
        assert (statistics.delivered, statistics.dropped) == (0, {"exited": 1})


async def test_server_that_stops_by_a_signal_has_handled_it() -> None:
    async with routed() as router:
        await started(router, "**")
        await router.publish(signal("stop"))
        await wait_quiet()
        statistics = router.statistics()
        assert (statistics.delivered, statistics.dropped) == (1, {})


async def test_runaway_whose_handler_returns_late_was_not_in_time() -> None:
    async with routed(exit_grace=1) as router:
        release = asyncio.Event()

        class Runaway(st.GenServer):
            def init(self) -> None:
                router.subscribe("**", st.self_pid())

            async def handle_cast(self, message: object) -> None:
                while not release.is_set():
                    with suppress(asyncio.CancelledError):
                        await release.wait()

        pid = await st.start(Runaway)
        await router.publish(signal(1))
        await wait_quiet()
        st.exit(pid, "kill")
        await st.wait_exit(pid, timeout=10)
        release.set()
        await wait_quiet()
        statistics = router.statistics()
        assert (statistics.delivered, statistics.dropped) == (0, {"exited": 1})


async def test_signal_in_hand_of_another_subscription_is_left_alone() -> None:
    async with routed() as router:
        one = await started(router, "a", "b", open=False)
        await router.publish(signal(1, "a"))
        await wait_quiet()
        await router.publish(signal(2, "a"))
        await router.publish(signal(3, "b"))
        assert router.unsubscribe(one.subscriptions[1])
        one.gate.set()
        await wait_quiet()
        assert one.heard == [1, 2]


async def test_call_that_is_owed_does_not_disturb_unsubscribing() -> None:
    async with routed() as router:

        class Owing(st.GenServer):
            def init(self) -> None:
                self.subscription = router.subscribe("**", st.self_pid())

            def handle_call(self, request: object, sender: st.Sender) -> object:
                if request == "end":
                    return self.subscription.unsubscribe()
                return st.NO_REPLY

        pid = await st.start(Owing)
        owed = asyncio.create_task(st.call(pid, "owed", timeout=1))
        await wait_quiet()
        assert await st.call(pid, "end") is True
        with pytest.raises(TimeoutError):
            await owed


async def test_log_does_not_repeat_the_same_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    async with routed() as router:
        await started(router, "**", open=False, buffer=1)
        await numbers(router, 100)
        assert sum("was dropped (reject)" in message for message in caplog.messages) == 10


async def test_subscribers_that_are_slow_do_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async with routed() as router:
        for _ in range(20):
            await started(router, "**", open=False, buffer=1)
        await numbers(router, 2)
        assert sum("is slow" in message for message in caplog.messages) == 10


async def test_lane_that_was_used_since_it_waited_for_its_mailbox_does_nothing() -> None:
    async with routed() as router:
        one = await started(router, "**", open=False)
        assert router._session is not None
        (lane,) = router._session.lanes.values()
        lane.expire()
        await numbers(router, 3)
        lane.expire()
        assert router.subscriptions()[0].buffered == 2
        one.gate.set()
        await wait_quiet()
        assert one.heard == [0, 1, 2]
