# SPDX-License-Identifier: MIT
"""Streams: signals to iterate over, until the reader, its process or the router ends."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

import stanchion as st
from stanchion.router import SignalStream
from stanchion.testing import wait_quiet
from tests.kernel.helpers import Hearer
from tests.router.support import numbers, routed, signal


async def read(stream: SignalStream, heard: list[Any]) -> str:
    """Read a stream to its end."""
    async for one in stream:
        heard += [one.data]
    return "ended"


async def test_stream_gives_what_is_published_from_now_on() -> None:
    async with routed() as router:
        await router.publish(signal("before"))
        async with router.stream("order.*") as stream:
            await numbers(router, 3)
            assert repr(stream) == "<stream of 'order.*', 3 signals wait>"
            assert [(await anext(stream)).data for _ in range(3)] == [0, 1, 2]
            assert stream.subscription.info().delivered == 3
        assert router.subscriptions() == []
        assert stream.missed == 0


async def test_reader_waits_for_the_next_signal() -> None:
    async with routed() as router:
        stream = router.stream("**")
        heard: list[Any] = []
        reading = asyncio.create_task(read(stream, heard))
        await wait_quiet()
        await router.publish(signal(1))
        await wait_quiet()
        assert heard == [1]
        await stream.aclose()
        assert await reading == "ended"


async def test_several_readers_share_a_stream() -> None:
    async with routed() as router:
        stream = router.stream("**")
        heard: list[Any] = []
        reading = [asyncio.create_task(read(stream, heard)) for _ in range(3)]
        await wait_quiet()
        await numbers(router, 5)
        await wait_quiet()
        assert heard == [0, 1, 2, 3, 4]
        await stream.aclose()
        assert await asyncio.gather(*reading) == ["ended"] * 3


async def test_cancelled_reader_loses_no_signal() -> None:
    async with routed() as router:
        stream = router.stream("**")
        reading = asyncio.ensure_future(anext(stream))
        await wait_quiet()
        reading.cancel()
        await router.publish(signal(1))
        assert (await anext(stream)).data == 1
        with pytest.raises(asyncio.CancelledError):
            await reading


async def test_readers_that_stopped_waiting_are_forgotten() -> None:
    async with routed() as router:
        stream = router.stream("**")
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(stream), 1.0)
        assert stream._reader._wakeups == {}


async def test_stream_that_is_full_drops_the_oldest_and_counts() -> None:
    async with routed() as router:
        stream = router.stream("**", buffer=2)
        await numbers(router, 5)
        assert stream.missed == 3
        assert [(await anext(stream)).data for _ in range(2)] == [3, 4]
        assert router.statistics().dropped == {"drop_oldest": 3}


async def test_publisher_can_wait_for_the_reader() -> None:
    async with routed() as router:
        stream = router.stream("**", buffer=1, overflow="block")
        publishing = asyncio.create_task(numbers(router, 3))
        await wait_quiet()
        assert [(await anext(stream)).data for _ in range(3)] == [0, 1, 2]
        await publishing


async def test_filter_of_a_stream_counts() -> None:
    async with routed() as router:
        stream = router.stream("**", filter=lambda signal: signal.data == 1)
        await numbers(router, 3)
        assert (await anext(stream)).data == 1


async def test_streams_are_targets_of_their_own() -> None:
    async with routed() as router:
        streams = [router.stream("**") for _ in range(2)]
        assert (await router.publish(signal())).matched == 2
        assert [(await anext(stream)).type for stream in streams] == ["order.placed"] * 2


async def test_closed_stream_drops_what_waits() -> None:
    async with routed() as router:
        stream = router.stream("**")
        await numbers(router, 2)
        await stream.aclose()
        await stream.aclose()
        assert stream.missed == 2
        assert router.statistics().dropped == {"unsubscribed": 2}
        with pytest.raises(StopAsyncIteration):
            await anext(stream)


async def test_stream_that_nobody_holds_ends() -> None:
    async with routed() as router:
        router.stream("**")
        gc.collect()
        await wait_quiet()
        assert router.subscriptions() == []


async def test_stream_that_is_dropped_when_the_loop_has_closed_does_no_harm() -> None:
    async with routed() as router:
        stream = router.stream("**")
        reader = stream._reader
        loop = asyncio.SelectorEventLoop()
        loop.close()
        object.__setattr__(reader, "_loop", loop)
        del stream
        gc.collect()


async def test_stream_ends_with_its_process() -> None:
    async with routed() as router:
        owner = Hearer(lambda: router.stream("**"))
        await wait_quiet()
        stream = owner.results[0]
        assert router.subscriptions()[0].owner is owner.pid
        heard: list[Any] = []
        reading = asyncio.create_task(read(stream, heard))
        await numbers(router, 1)
        await wait_quiet()
        st.exit(owner.pid, "shutdown")
        assert await reading == "ended"
        assert heard == [0]


async def test_stream_ends_with_the_router() -> None:
    async with routed() as router:
        stream = router.stream("**")
        heard: list[Any] = []
        reading = asyncio.create_task(read(stream, heard))
        await numbers(router, 2)
        await wait_quiet()
    assert await reading == "ended"
    assert heard == [0, 1]
