# SPDX-License-Identifier: MIT
"""The end of the router: nothing is lost in silence, and nothing is left running."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import stanchion as st
from stanchion.errors import RouterClosedError
from stanchion.kernel import ExitReason
from stanchion.router import SignalRouter
from stanchion.telemetry import SIGNAL_DROPPED
from stanchion.testing import wait_quiet
from tests.kernel.helpers import Events
from tests.router.support import numbers, routed, signal, started


async def test_full_buffers_are_counted_and_logged_when_the_node_ends(caplog: pytest.LogCaptureFixture) -> None:
    async def held(signal: st.Signal) -> None:
        await asyncio.Event().wait()

    async with routed() as router:
        events = Events(router._session.node, SIGNAL_DROPPED)  # type: ignore[union-attr]
        subscription = router.subscribe("**", held)
        stream = router.stream("**")
        await started(router, "**", open=False)
        await numbers(router, 3)
        await wait_quiet()
    statistics = router.statistics()
    assert (statistics.routed, statistics.delivered) == (9, 0)
    assert statistics.dropped == {"exited": 3, "stopped": 6}
    assert len(events.told) == 9
    assert f"2 signals for {subscription!r} were dropped: stopped" in caplog.messages
    assert f"3 signals for {stream.subscription!r} were dropped: stopped" in caplog.messages
    assert repr(router) == "<SignalRouter of node test closed, 0 subscriptions>"
    with pytest.raises(RouterClosedError):
        router.publish_nowait(signal())


async def test_processes_can_publish_while_they_stop() -> None:
    async with routed() as router:
        heard: list[Any] = []
        router.subscribe("**", lambda signal: heard.append(signal.data))

        class Last(st.GenServer):
            def init(self) -> None:
                st.trap_exit()

            async def terminate(self, reason: ExitReason, /) -> None:
                await router.publish(signal("bye"))
                await asyncio.sleep(0)

        await st.start(Last)
        await wait_quiet()
    assert heard == ["bye"]


async def test_publisher_that_waits_is_told_when_the_router_stops() -> None:
    async with routed() as router:
        stream = router.stream("**", buffer=1, overflow="block")
        await numbers(router, 1)
        publishing = asyncio.create_task(router.publish(signal(1), timeout=None))
        await wait_quiet()
    assert [reason for _, reason in (await publishing).dropped] == ["stopped"]
    assert stream.missed == 1


@pytest.mark.parametrize("shutdown_timeout", [0, 30.0])
async def test_node_ends_before_the_router_took_its_first_step(shutdown_timeout: float) -> None:
    router = SignalRouter()
    heard: list[Any] = []
    async with routed(router, shutdown_timeout=shutdown_timeout):
        router.subscribe("**", heard.append)
        router.publish_nowait(signal())
    statistics = router.statistics()
    assert statistics.delivered + sum(statistics.dropped.values()) == 1
    assert statistics.subscriptions == 0


async def test_signals_in_the_mailbox_are_taken_back_when_the_router_stops_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with routed() as router:
        one = await started(router, "**", open=False)
        await numbers(router, 1)
        await wait_quiet()
        other = await started(router, "**")
        router.publish_nowait(signal("taken back"))
        assert router._session is not None
        router._session.release()
        assert len(router._session.live) == 0
        one.gate.set()
        await wait_quiet()
        assert (one.heard, other.heard) == ([0], [])
        assert router.statistics().dropped == {"stopped": 2}


async def test_plain_function_that_has_not_been_called_yet_is_not() -> None:
    async with routed() as router:
        heard: list[Any] = []
        router.subscribe("**", heard.append)
        router.publish_nowait(signal())
        assert router._session is not None
        router._session.release()
        await wait_quiet()
        assert heard == []


async def test_killed_router_closes() -> None:
    async with routed() as router:
        one = await started(router, "**")
        assert router._session is not None
        st.exit(router._session.process.pid, "kill")
        await wait_quiet()
        with pytest.raises(RouterClosedError):
            await router.publish(signal())
        assert one.pid.alive
