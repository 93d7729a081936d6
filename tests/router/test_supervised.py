# SPDX-License-Identifier: MIT
"""Signals that are sent supervised: each is confirmed, or is logged or a dead letter."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

import stanchion as st
from stanchion.dead_letters import DeadLetterQueue
from stanchion.errors import StoreError
from stanchion.kernel import ExitReason, Via
from stanchion.testing import advance, wait_quiet
from tests.kernel.helpers import process_of
from tests.router.support import numbers, routed, signal, started

LETTERS: Any = {"dead_letters": "memory://", "redeliver": False}
STEADY = st.Backoff(initial=1, factor=1, jitter=0)


def letters_of(router: st.SignalRouter) -> DeadLetterQueue:
    """Return the dead-letter queue of a router's node."""
    assert router._session is not None
    assert isinstance(router._session.node, st.Node)
    return router._session.node.dead_letters


async def stored(router: st.SignalRouter) -> list[tuple[str, Any]]:
    """Return the recipient and the data of each letter."""
    page = await letters_of(router).list()
    return [(letter.recipient, letter.message().data) for letter in page.entries]  # type: ignore[attr-defined]


async def test_signals_are_sent_one_after_another_and_confirmed() -> None:
    async with routed() as router:
        one = await started(router, "**", open=False, mode="supervised")
        await numbers(router, 4)
        await wait_quiet()
        assert len(process_of(one.pid).mailbox.queue) == 0
        assert router.subscriptions()[0][3:8] == ("supervised", 3, 1000, 0, 0)
        one.gate.set()
        await wait_quiet()
        assert one.heard == [0, 1, 2, 3]
        assert router.subscriptions()[0].delivered == 4


async def test_handler_knows_of_the_send() -> None:
    async with routed() as router:
        one = await started(router, "**", mode="supervised")
        await router.publish(signal(("do", st.message_info)))
        await wait_quiet()
        assert one.heard[0].attempt == 1


async def test_enqueued_is_enough_where_the_subscription_says_so() -> None:
    async with routed() as router:
        one = await started(router, "**", open=False, mode="supervised", ack="enqueued")
        await numbers(router, 3)
        await wait_quiet()
        assert router.subscriptions()[0].delivered == 3
        assert len(process_of(one.pid).mailbox.queue) == 2


async def test_signal_is_sent_again_until_it_is_confirmed() -> None:
    async with routed() as router:
        one = await started(router, "**", open=False, mode="supervised", timeout=1, retries=1, backoff=STEADY)
        await router.publish(signal(1))
        await advance(1.5)
        one.gate.set()
        await advance(5)
        assert router.subscriptions()[0].delivered == 1


async def test_signal_that_is_not_confirmed_is_logged_where_there_are_no_letters(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with routed() as router:
        one = await started(router, "**", mode="supervised", retries=0)
        with caplog.at_level(logging.WARNING, "stanchion.delivery"):
            await router.publish(signal("reject"))
            await wait_quiet()
        assert "was not confirmed" in caplog.text
        assert one.subscription.info().dropped == {"failed": 1}


async def test_signal_that_is_not_confirmed_becomes_a_dead_letter_where_there_are_some() -> None:
    async with routed(**LETTERS) as router:
        await started(router, "**", mode="supervised", retries=0, name="stock")
        await started(router, "**", mode="supervised", retries=0, on_error="ignore")
        router.subscribe("**", "stock", mode="supervised", retries=0)
        await router.publish(signal("reject"))
        await wait_quiet()
        assert [data for _, data in await stored(router)] == ["reject"]
        assert router.statistics().dropped == {"failed": 2}


async def test_subscriber_by_name_that_restarts_gets_what_it_left() -> None:
    async with routed() as router:
        heard: list[Any] = []

        class Worker(st.GenServer):
            def handle_cast(self, message: Any) -> None:
                heard.append(message.data)
                if heard == [0]:
                    raise ZeroDivisionError

        await st.start(st.Supervisor, [st.child_spec(Worker, name="worker")])
        router.subscribe("**", "worker", mode="supervised", backoff=STEADY)
        await numbers(router, 3)
        await advance(5)
        assert heard == [0, 0, 1, 2]
        assert router.subscriptions() == []
        statistics = router.statistics()
        assert (statistics.delivered, statistics.dropped) == (3, {})


async def test_subscriber_by_pid_that_exits_leaves_dead_letters() -> None:
    async with routed(**LETTERS) as router:
        one = await started(router, "**", open=False, mode="supervised")
        await numbers(router, 3)
        await wait_quiet()
        st.exit(one.pid, "kill")
        await wait_quiet()
        assert router.subscriptions() == []
        assert sorted(data for _, data in await stored(router)) == [0, 1, 2]
        assert router.statistics().dropped == {"failed": 3}


async def test_subscription_by_a_name_that_changes_hands_stays_with_its_process() -> None:
    async with routed() as router:
        one = await started(router, name="stock")
        router.subscribe("**", "stock", mode="supervised")
        st.unregister("stock")
        other = await started(router, name="stock")
        await router.publish(signal(1))
        await wait_quiet()
        assert (one.heard, other.heard) == ([1], [])


async def test_unsubscribing_drops_what_waits_and_lets_the_send_go_on() -> None:
    async with routed(**LETTERS) as router:
        one = await started(router, "**", open=False, mode="supervised")
        await numbers(router, 3)
        await wait_quiet()
        one.subscription.unsubscribe()
        one.gate.set()
        await wait_quiet()
        assert one.heard == [0]
        statistics = router.statistics()
        assert (statistics.delivered, statistics.dropped) == (1, {"unsubscribed": 2})
        assert await stored(router) == []


async def test_process_does_not_wait_for_room_that_only_it_could_make() -> None:
    async with routed() as router:

        class Self(st.GenServer):
            def init(self) -> None:
                router.subscribe("**", st.self_pid(), mode="supervised", buffer=1, overflow="block")

            async def handle_call(self, request: object, sender: st.Sender) -> object:
                found = [await router.publish(signal(number)) for number in range(4)]
                await asyncio.sleep(0)
                return [bool(publication) for publication in found]

            def handle_cast(self, message: Any) -> None:
                pass

        pid = await st.start(Self)
        assert (await st.call(pid, "publish"))[-1] is False  # type: ignore[index]


async def test_signal_whose_letter_cannot_be_stored_is_logged(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with routed(**LETTERS) as router:

        async def fail(*_: Any, **__: Any) -> str:
            raise StoreError("letters", expected="room", got="none")

        one = await started(router, "**", mode="supervised", retries=0)
        monkeypatch.setattr(letters_of(router), "add", fail)
        published = signal("reject")
        await router.publish(published)
        await wait_quiet()
        assert f"signal {published.id} for {one.subscription!r} could not be sent" in caplog.messages
        assert router.statistics().dropped == {"failed": 1}


async def test_via_address_that_fails_is_not_asked_while_its_process_lives() -> None:
    class Failing(Via):
        def __init__(self) -> None:
            self.pid: st.Pid | None = None
            self.fails = False

        def whereis(self) -> st.Pid | None:
            if self.fails:
                raise ZeroDivisionError
            return self.pid

        def register(self, pid: st.Pid) -> None: ...

        def unregister(self, pid: st.Pid) -> None: ...

    async with routed() as router:
        via = Failing()
        one = await started(router)
        via.pid = one.pid
        router.subscribe("**", via, mode="supervised")
        via.fails = True
        await router.publish(signal(1))
        await wait_quiet()
        assert one.heard == [1]


# --- the router stops ----------------------------------------------------------------------------


class Stubborn(st.GenServer):
    """Handles one signal for ever."""

    async def handle_cast(self, message: object) -> None:
        await asyncio.Event().wait()

    def terminate(self, reason: ExitReason, /) -> None: ...


async def left_behind(router: st.SignalRouter, name: str | None, **options: Any) -> list[tuple[str, Any]]:
    """Stop a router while a supervised subscriber has signals in its buffer; return the letters then."""
    pid = await st.start(Stubborn, name=name)
    router.subscribe("**", pid if name is None else name, mode="supervised", **options)
    await numbers(router, 3)
    await wait_quiet()
    assert router._session is not None
    st.exit(router._session.process.pid, "shutdown")
    await wait_quiet()
    return sorted(await stored(router), key=str)


async def test_what_a_stopping_router_has_not_sent_becomes_dead_letters() -> None:
    async with routed(**LETTERS) as router:
        letters = await left_behind(router, "stock")
        assert letters == [("stock", 0), ("stock", 1), ("stock", 2)]
        assert router.statistics().dropped == {"stopped": 3}


async def test_letters_of_a_pid_wait_for_a_person() -> None:
    async with routed(**LETTERS) as router:
        await left_behind(router, None)
        page = await letters_of(router).list()
        assert [letter.state for letter in page.entries] == ["exhausted"] * 3


async def test_what_a_stopping_router_has_not_sent_is_logged_where_that_is_asked_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with routed(**LETTERS) as router:
        assert await left_behind(router, "stock", on_error="log") == []
        assert "3 signals for" in caplog.text


async def test_letters_that_cannot_be_stored_as_the_router_stops_are_logged(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with routed(**LETTERS) as router:

        async def fail(*_: Any, **__: Any) -> str:
            raise StoreError("letters", expected="room", got="none")

        monkeypatch.setattr(letters_of(router), "add", fail)
        await left_behind(router, "stock")
        assert caplog.text.count("could not be stored as a dead letter") == 3
        assert router.statistics().dropped == {"stopped": 3}
