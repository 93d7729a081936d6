# SPDX-License-Identifier: MIT
"""Publishing: what becomes of a signal, with and without subscribers, filters and hooks."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import stanchion as st
from stanchion.errors import InvalidOptionError, MiddlewareError, RouterClosedError, SignalSizeError
from stanchion.router import Publication, SignalRouter
from stanchion.telemetry import SIGNAL_DROPPED, SIGNAL_ROUTED
from stanchion.testing import wait_quiet
from tests.kernel.helpers import Events
from tests.router.support import numbers, routed, signal, started


class Placed(st.Message, type="order.placed_in_test"):
    """A typed message."""

    sku: str


async def test_signal_without_a_subscriber_is_told() -> None:
    async with routed() as router:
        events = Events(router._session.node, SIGNAL_DROPPED, SIGNAL_ROUTED)  # type: ignore[union-attr]
        published = signal()
        publication = await router.publish(published)
        assert publication == Publication(published, 0, 0)
        assert publication
        about = {"node": "test", "type": "order.placed", "signal_id": published.id}
        nobody = {"pattern": None, "subscriber": None, "reason": "no_subscriber"}
        assert [metadata for _, _, metadata in events.told] == [about, {**about, **nobody}]
        statistics = router.statistics()
        assert (statistics.published, statistics.unrouted, statistics.dropped) == (1, 1, {"no_subscriber": 1})


async def test_message_of_a_registered_class_is_published_as_a_signal() -> None:
    async with routed() as router:
        one = await started(router, "order.placed_in_test")
        assert (await router.publish(Placed("A-1"))).signal.type == "order.placed_in_test"
        await wait_quiet()
        assert one.heard == [Placed("A-1")]


async def test_many_signals_are_published_in_order() -> None:
    async with routed() as router:
        one = await started(router, "**", open=False, buffer=1, overflow="block")
        publishing = asyncio.create_task(router.publish_many([signal(number) for number in range(5)], timeout=None))
        await wait_quiet()
        one.gate.set()
        publications = await publishing
        assert [publication.signal.data for publication in publications] == [0, 1, 2, 3, 4]
        await wait_quiet()
        assert one.heard == [0, 1, 2, 3, 4]


async def test_many_signals_wait_for_room_within_one_limit() -> None:
    async with routed() as router:
        await started(router, "**", open=False, buffer=1, overflow="block")
        before = asyncio.get_running_loop().time()
        publications = await router.publish_many([signal(number) for number in range(5)], timeout=2)
        assert asyncio.get_running_loop().time() - before == pytest.approx(2, abs=0.05)
        assert [bool(publication) for publication in publications] == [True, True, False, False, False]


@pytest.mark.parametrize("given", ["order.placed", 1, object()])
async def test_what_is_no_signal_is_refused(given: object) -> None:
    async with routed() as router:
        for publish in (router.publish(given), router.publish_many([given])):
            with pytest.raises(InvalidOptionError) as caught:
                await publish
        with pytest.raises(InvalidOptionError):
            router.publish_nowait(given)
        first = str(caught.value).splitlines()[0]
        assert first.startswith(
            "SignalRouter.publish_many(signal): expected a Signal, or an instance of a message class"
        )


@pytest.mark.parametrize("given", ["order.placed", st.Signal("a"), 1])
async def test_what_is_no_list_of_signals_is_refused(given: Any) -> None:
    async with routed() as router:
        with pytest.raises(InvalidOptionError, match=r"SignalRouter.publish_many\(signals\): expected signals, got"):
            await router.publish_many(given)


@pytest.mark.parametrize(("data", "size"), [(b"x" * 9, 9), ("ä" * 5, 10), (bytearray(9), 9), (memoryview(b"x" * 9), 9)])
async def test_signal_with_too_much_data_goes_to_nobody(data: Any, size: int) -> None:
    async with routed(SignalRouter(max_size=8)) as router:
        one = await started(router, "**")
        published = signal(data)
        with pytest.raises(SignalSizeError) as caught:
            await router.publish(published)
        assert str(caught.value) == (
            f"signal {published.id} of type 'order.placed': expected at most 8 bytes of data, got {size}\n"
            "Fix: keep the data elsewhere and send where it is, or make the router with a larger max_size=."
        )
        with pytest.raises(SignalSizeError):
            router.publish_nowait(published)
        with pytest.raises(SignalSizeError):
            await router.publish_many([signal(), published])
        await wait_quiet()
        assert one.heard == []


async def test_signal_with_just_so_much_data_is_published() -> None:
    async with routed(SignalRouter(max_size=8)) as router:
        one = await started(router, "**")
        for data in (b"x" * 8, "ä" * 4, "x" * 8, [b"x" * 9]):
            assert await router.publish(signal(data))
        await wait_quiet()
        assert len(one.heard) == 4


async def test_signals_can_be_published_outside_of_the_node() -> None:
    async with routed() as router:
        one = await started(router, "**")
        done = asyncio.get_running_loop().create_future()

        async def outside() -> None:
            done.set_result(await router.publish(st.Signal("order.placed", "outside", source="/elsewhere")))

        import contextvars

        task = asyncio.get_running_loop().create_task(outside(), context=contextvars.Context())
        assert await done
        await task
        await wait_quiet()
        assert one.heard == ["outside"]


# --- filters -------------------------------------------------------------------------------------


async def test_filter_lets_only_what_it_wants_pass() -> None:
    async with routed() as router:
        one = await started(router, "**", filter=lambda signal: signal.data % 2)
        publications = await numbers(router, 4)
        await wait_quiet()
        assert one.heard == [1, 3]
        assert [publication.matched for publication in publications] == [0, 1, 0, 1]
        assert router.statistics().unrouted == 2


async def test_target_gets_a_signal_by_the_first_subscription_whose_filter_lets_it_pass() -> None:
    async with routed() as router:
        one = await started(router)
        first = router.subscribe("**", one.pid, filter=lambda signal: signal.data in (2, 3))
        second = router.subscribe("order.*", one.pid)
        await numbers(router, 4)
        await wait_quiet()
        assert one.heard == [0, 1, 2, 3]
        assert (first.info().delivered, second.info().delivered) == (2, 2)


async def test_signal_on_which_a_filter_raises_is_dropped_for_that_subscription_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with routed() as router:
        failing = await started(router, "**", filter=lambda signal: signal.data["missing"])
        other = await started(router, "**")
        published = signal(1)
        publication = await router.publish(published)
        assert [tuple(refusal) for refusal in publication.dropped] == [(failing.subscription, "filter_failed")]
        assert (publication.matched, publication.accepted) == (2, 1)
        await wait_quiet()
        assert (failing.heard, other.heard) == ([], [1])
        assert router.statistics().dropped == {"filter_failed": 1}
        text = f"the filter of {failing.subscription!r} failed for signal {published.id}, which is dropped"
        assert text in caplog.messages


async def test_filter_that_returns_what_must_be_awaited_has_failed() -> None:
    async with routed() as router:

        async def wanted(signal: st.Signal) -> bool:
            raise AssertionError

        await started(router, "**", filter=lambda signal: wanted(signal))
        assert [reason for _, reason in (await router.publish(signal())).dropped] == ["filter_failed"]


async def test_filter_may_end_subscriptions() -> None:
    async with routed() as router:
        subscriptions: list[Any] = []

        def end_all(_: st.Signal) -> bool:
            for subscription in subscriptions:
                subscription.unsubscribe()
            return True

        first = await started(router, "**", filter=end_all)
        second = await started(router, "**")
        subscriptions += [first.subscription, second.subscription]
        assert (await router.publish(signal(1))).matched == 0
        await wait_quiet()
        assert (first.heard, second.heard) == ([], [])


# --- hooks ---------------------------------------------------------------------------------------


async def test_hooks_before_change_signals_in_order() -> None:
    hooks = [lambda s: s.replace(data=s.data + 1), lambda s: s.replace(data=s.data * 10)]
    async with routed(SignalRouter(before_publish=hooks)) as router:
        one = await started(router, "**")
        assert (await router.publish(signal(1))).signal.data == 20
        router.publish_nowait(signal(2))
        await router.publish_many([signal(3)])
        await wait_quiet()
        assert one.heard == [20, 30, 40]


async def test_signal_that_a_hook_drops_goes_to_nobody() -> None:
    after: list[Any] = []
    router = SignalRouter(
        before_publish=[lambda s: None if s.data == 1 else s, lambda s: s],
        after_publish=[lambda signal, publication: after.append((signal.data, publication.filtered))],
    )
    async with routed(router):
        one = await started(router, "**")
        publications = [await router.publish(signal(1)), router.publish_nowait(signal(1))]
        publications += await router.publish_many([signal(1), signal(2)])
        assert [(publication.filtered, bool(publication)) for publication in publications] == [
            (True, False), (True, False), (True, False), (False, True),
        ]  # fmt: skip
        await wait_quiet()
        assert one.heard == [2]
        assert after == [(1, True), (1, True), (1, True), (2, False)]
        assert router.statistics().dropped == {"filtered": 3}


async def test_hook_before_that_raises_keeps_the_signal_from_all() -> None:
    def check(signal: st.Signal) -> st.Signal:
        raise ValueError("no")

    async with routed(SignalRouter(before_publish=[check])) as router:
        one = await started(router, "**")
        published = signal()
        with pytest.raises(MiddlewareError) as caught:
            await router.publish(published)
        hook = "test_hook_before_that_raises_keeps_the_signal_from_all.<locals>.check".rpartition("<locals>.")[2]
        assert str(caught.value) == (
            f"signal {published.id} of type 'order.placed': expected {hook}() to return a signal or None, "
            "got ValueError: no; it went to nobody"
        )
        assert isinstance(caught.value.__cause__, ValueError)
        await wait_quiet()
        assert one.heard == []


async def test_hook_before_that_returns_no_signal_is_an_error() -> None:
    async def later(signal: st.Signal) -> st.Signal:
        raise AssertionError

    hooks: list[Any] = [lambda signal: 1, lambda signal: later(signal)]
    for hook in hooks:
        async with routed(SignalRouter(before_publish=[hook])) as router:
            with pytest.raises(MiddlewareError, match="expected a signal or None as its return value"):
                await router.publish(signal())


async def test_hook_after_that_raises_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[Any] = []

    def fails(signal: st.Signal, publication: Publication) -> None:
        raise ValueError("no")

    after = [fails, lambda signal, publication: heard.append(publication)]
    async with routed(SignalRouter(after_publish=after)) as router:
        published = signal()
        assert heard == [await router.publish(published)]
        assert f"fails() raised after signal {published.id} was published" in caplog.messages
        assert router.publish_nowait(signal()) == heard[1]


# --- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"before_publish": "x"}, "SignalRouter(before_publish): expected a list of plain functions, got 'x'"),
        ({"after_publish": 1}, "SignalRouter(after_publish): expected a list of plain functions, got 1"),
        ({"after_publish": [1]}, "SignalRouter(after_publish): expected a plain function, got 1"),
        ({"max_size": 0}, "SignalRouter(max_size): expected a whole number >= 1, got 0"),
        ({"journal": 1}, "SignalRouter(journal): expected a list of patterns, got 1"),
        (
            {"journal": "a.b"},
            "SignalRouter(journal): expected a list of patterns, got 'a.b'\nFix: write it in a list.",
        ),
        (
            {"keep": -1},
            "SignalRouter(keep): expected seconds >= 0 as a finite number, or a timedelta, got -1",
        ),
    ],
)
def test_router_refuses_wrong_options(options: Any, text: str) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        SignalRouter(**options)
    assert str(caught.value) == text


async def test_router_that_is_not_open_refuses_everything() -> None:
    router = SignalRouter()
    assert repr(router) == "<SignalRouter new>"
    for use in (
        lambda: router.subscribe("a", print),
        lambda: router.stream("a"),
        lambda: router.publish_nowait(signal()),
        router.subscriptions,
        router.statistics,
    ):
        with pytest.raises(RouterClosedError):
            use()
    with pytest.raises(RouterClosedError) as caught:
        await router.publish(signal())
    assert str(caught.value) == (
        "SignalRouter.publish(): expected an open router, got a closed one\n"
        "Fix: make the node with Node(services=[router]), and use it while that runs."
    )
    with pytest.raises(RouterClosedError):
        await router.publish_many([])
