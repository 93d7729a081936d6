# SPDX-License-Identifier: MIT
"""Signals for functions: called outside of the publisher's step, each call by itself."""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any, cast

import pytest

import stanchion as st
from stanchion.kernel import PROCESS, ProcessExit, remaining
from stanchion.router import SignalRouter
from stanchion.testing import advance, wait_quiet
from tests.kernel.helpers import Hearer, steps
from tests.router.support import numbers, routed, signal


class Callback:
    """An async function that can be held up, and behaves as its signals say."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, signal: st.Signal) -> None:
        await self.gate.wait()
        match signal.data:
            case BaseException() as error:
                raise error
            case "cancelled":
                future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                future.cancel()
                await future
            case "cancelled later":
                future = asyncio.get_running_loop().create_future()
                asyncio.get_running_loop().call_soon(future.cancel)
                await future
            case ("do", function):
                self.heard.append(function())
            case data:
                self.heard.append(data)


async def test_async_function_gets_signals_one_after_another() -> None:
    async with routed() as router:
        callback = Callback()
        callback.gate.clear()
        subscription = router.subscribe("**", callback)
        await numbers(router, 3)
        await wait_quiet()
        assert subscription.info()[:9] == ("**", "Callback", None, "callback", 2, 1000, 0, 0, {})
        callback.gate.set()
        await wait_quiet()
        assert callback.heard == [0, 1, 2]
        assert router._session is not None
        assert router._session.pumps == {}


async def test_plain_function_is_called_after_publish_has_returned() -> None:
    async with routed() as router:
        heard: list[Any] = []
        router.subscribe("**", lambda signal: heard.append(signal.data))
        router.publish_nowait(signal(1))
        assert heard == []
        await wait_quiet()
        assert heard == [1]


@pytest.mark.parametrize("plain", [True, False])
async def test_functions_share_the_loop_with_others(plain: bool) -> None:
    async with routed() as router:
        heard: list[Any] = []

        async def hear(signal: st.Signal) -> None:
            heard.append(signal.data)

        router.subscribe("**", (lambda signal: heard.append(signal.data)) if plain else hear)
        for number in range(600):
            router.publish_nowait(signal(number))
        await steps(2)
        assert 0 < len(heard) < 600
        await wait_quiet()
        assert heard == list(range(600))


async def test_function_that_raises_is_logged_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    async with routed() as router:
        callback = Callback()
        subscription = router.subscribe("**", callback)
        failing = [ValueError("no"), ProcessExit("normal"), BaseExceptionGroup("several", [ValueError()]), "cancelled"]
        failing.append("cancelled later")
        published = [signal(data) for data in failing]
        await router.publish_many([*published, signal(1)])
        await wait_quiet()
        assert callback.heard == [1]
        assert subscription.info().dropped == {"failed": 5}
        assert caplog.messages == [f"{subscription!r} failed on signal {one.id}" for one in published]


async def test_plain_function_that_raises_is_logged_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    async with routed() as router:
        heard: list[Any] = []

        def hear(signal: st.Signal) -> None:
            match signal.data:
                case 0:
                    raise ValueError("no")
                case data:
                    heard.append(data)

        subscription = router.subscribe("**", hear)
        published = signal(0)
        await router.publish_many([published, signal(1)])
        await wait_quiet()
        assert heard == [1]
        assert subscription.info().dropped == {"failed": 1}
        assert caplog.messages == [f"{subscription!r} failed on signal {published.id}"]


async def test_plain_function_that_raises_a_cancellation_has_failed() -> None:
    async with routed() as router:
        heard: list[Any] = []

        def hear(one: st.Signal) -> None:
            if one.data == 1:
                raise asyncio.CancelledError
            heard.append(one.data)

        subscription = router.subscribe("**", hear)
        await numbers(router, 4)
        await wait_quiet()
        assert heard == [0, 2, 3]
        assert subscription.info().dropped == {"failed": 1}


async def test_function_that_cancels_its_task_gets_what_waits_behind() -> None:
    async with routed() as router:
        heard: list[Any] = []

        async def hear(one: st.Signal) -> None:
            if one.data == 1:
                cast("asyncio.Task[None]", asyncio.current_task()).cancel()
                await asyncio.sleep(0)
            heard.append(one.data)

        subscription = router.subscribe("**", hear)
        await numbers(router, 4)
        await wait_quiet()
        assert heard == [0, 2, 3]
        assert subscription.info().dropped == {"failed": 1}


async def test_plain_function_may_return_what_is_awaited() -> None:
    async with routed() as router:
        callback = Callback()
        router.subscribe("**", lambda signal: None if signal.data == 3 else callback(signal))
        await numbers(router, 3)
        await wait_quiet()
        await numbers(router, 5)
        await wait_quiet()
        assert callback.heard == [0, 1, 2, 0, 1, 2, 4]
        assert router.statistics().delivered == 8


async def test_call_that_takes_too_long_is_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    async with routed() as router:
        callback = Callback()
        callback.gate.clear()
        subscription = router.subscribe("**", callback, timeout=2)
        by_policy = router.subscribe("**", lambda signal: asyncio.sleep(100))
        without = router.subscribe("**", lambda signal: asyncio.sleep(1000), timeout=None)
        await router.publish(signal())
        await advance(2.1)
        assert subscription.info().dropped == {"failed": 1}
        assert "it did not return within 2 s" in caplog.text
        await advance(30)
        assert by_policy.info().dropped == {"failed": 1}
        assert "it did not return within 30 s" in caplog.text
        await advance(1000)
        assert without.info().delivered == 1


async def test_function_gets_a_signal_once_whatever_its_subscriptions() -> None:
    async with routed() as router:

        class Listener:
            def __init__(self) -> None:
                self.heard: list[Any] = []

            def hear(self, signal: st.Signal) -> None:
                self.heard.append(signal.data)

        one, other = Listener(), Listener()
        for pattern in ("**", "order.*"):
            router.subscribe(pattern, one.hear)
            router.subscribe(pattern, other.hear)
        assert (await router.publish(signal(1))).matched == 2
        await wait_quiet()
        assert (one.heard, other.heard) == ([1], [1])


async def test_function_without_a_hash_is_one_target_too() -> None:
    class Unhashable:
        __hash__ = None  # type: ignore[assignment]

        def __init__(self) -> None:
            self.heard: list[Any] = []

        def __call__(self, signal: st.Signal) -> None:
            self.heard.append(signal.data)

    async with routed() as router:
        one = Unhashable()
        router.subscribe("**", one)
        router.subscribe("order.*", one)
        await router.publish(signal(1))
        await wait_quiet()
        assert one.heard == [1]


async def test_function_may_end_its_own_subscription_and_publish() -> None:
    async with routed() as router:
        callback = Callback()
        subscription = router.subscribe("**", callback)

        def act() -> bool:
            router.publish_nowait(signal("inner"))
            return subscription.unsubscribe()

        await router.publish_many([signal(("do", act)), signal("after")])
        await wait_quiet()
        assert callback.heard == [True]
        statistics = router.statistics()
        assert (statistics.delivered, statistics.dropped) == (1, {"unsubscribed": 2})


async def test_call_that_has_begun_goes_on_when_the_subscription_ends() -> None:
    async with routed() as router:
        callback = Callback()
        callback.gate.clear()
        subscription = router.subscribe("**", callback)
        await numbers(router, 2)
        await wait_quiet()
        subscription.unsubscribe()
        callback.gate.set()
        await wait_quiet()
        assert callback.heard == [0]
        assert router.statistics().delivered == 1


async def test_function_publishes_into_its_own_full_buffer_without_waiting_for_itself() -> None:
    async with routed() as router:
        reasons: list[str] = []

        async def again(one: st.Signal) -> None:
            if one.data == 0:
                for number in range(1, 4):
                    reasons.extend(reason for _, reason in (await router.publish(signal(number))).dropped)

        router.subscribe("**", again, buffer=2, overflow="block")
        await router.publish(signal(0))
        await wait_quiet()
        assert reasons == ["reject"]


async def test_function_ends_with_the_process_that_subscribed_it() -> None:
    async with routed() as router:
        callbacks = [Callback(), Callback()]
        for callback in callbacks:
            callback.gate.clear()
        owner = Hearer(
            lambda: router.subscribe("**", callbacks[0]),
            lambda: router.subscribe("**", lambda signal: callbacks[1](signal)),
        )
        await wait_quiet()
        await numbers(router, 2)
        await wait_quiet()
        st.exit(owner.pid, "shutdown")
        await wait_quiet()
        assert [callback.heard for callback in callbacks] == [[], []]
        assert router.statistics().dropped == {"exited": 4}
        assert router._session is not None
        assert router._session.pumps == {}
        assert isinstance(router._session.node, st.Node)
        assert router._session.node.audit().leaks == ()


async def test_function_runs_in_the_context_of_who_subscribed_it_under_no_deadline() -> None:
    word: contextvars.ContextVar[str] = contextvars.ContextVar("word", default="")
    async with routed() as router:
        seen: list[Any] = []

        def see(signal: st.Signal) -> None:
            process = PROCESS.get()
            seen.append((word.get(), None if process is None else process.pid, remaining()))

        async def see_later(signal: st.Signal) -> None:
            see(signal)

        word.set("here")
        async with st.deadline(5):
            router.subscribe("**", see)
            router.subscribe("**", see_later)
        word.set("there")
        owner = Hearer(lambda: router.subscribe("**", lambda signal: see(signal)))
        await wait_quiet()
        async with st.deadline(5):
            await router.publish(signal())
        await wait_quiet()
        assert seen == [("here", None, None), ("here", None, None), ("there", owner.pid, None)]


async def test_signals_of_one_publisher_come_in_order_to_a_router_of_many_functions() -> None:
    async with routed(SignalRouter()) as router:
        heard: list[list[Any]] = [[] for _ in range(20)]
        for one in heard:
            router.subscribe("**", lambda signal, one=one: one.append(signal.data))
        await numbers(router, 50)
        await wait_quiet()
        assert heard == [list(range(50))] * 20
