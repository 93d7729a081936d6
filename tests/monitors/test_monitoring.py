# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator

import pytest

import stanchion as st
from stanchion.errors import InvalidOptionError, NotInProcessError
from tests.monitors.helpers import Idle, Owner, call, killed, line_of, process_of, virtual_node


async def test_monitoring_gives_the_monitor_and_ends_it_with_the_block() -> None:
    async with virtual_node():
        owner, target = await st.start(Owner), await st.start(Idle)

        async def block(_: Owner) -> tuple[st.Pid | None, str | None, int, object]:
            async with st.monitoring(target, tag="it") as ref:
                return ref.target, ref.tag, len(process_of(target).watchers or ()), ref.until

        found = await call(owner, block)
        assert found[:3] == (target, "it", 1)
        assert repr(found[3]) == "a block"
        assert process_of(target).watchers is None


async def test_monitoring_delivers_the_down_inside_of_the_block() -> None:
    async with virtual_node():
        target = await st.start(Idle)
        heard: list[object] = []

        async def block() -> None:
            async with st.monitoring(target) as ref:
                st.exit(target, "kill")
                heard.append((await st.receive(timeout=1)) == st.Down(ref, target, "killed", None))

        await st.wait_exit(st.spawn(block), timeout=1)
        assert heard == [True]


async def test_monitoring_takes_an_unread_down_back_when_the_block_ends() -> None:
    async with virtual_node():
        owner, target = await st.start(Owner), await st.start(Idle)

        async def block(_: Owner) -> None:
            async with st.monitoring(target):
                await killed(target)

        await call(owner, block)
        assert await call(owner, lambda self: self.heard) == []


async def test_monitoring_ends_the_monitor_when_the_block_raises() -> None:
    async with virtual_node():
        owner, target = await st.start(Owner), await st.start(Idle)

        async def block(_: Owner) -> str:
            try:
                async with st.monitoring(target):
                    raise ValueError("no")
            except ValueError as error:
                return str(error)

        assert await call(owner, block) == "no"
        assert process_of(target).watchers is None


async def test_monitoring_ends_the_monitor_when_the_block_is_cancelled() -> None:
    async with virtual_node():
        owner, target = await st.start(Owner), await st.start(Idle)

        async def waits() -> None:
            async with st.monitoring(target):
                await asyncio.Event().wait()

        async def cancels(_: Owner) -> bool:
            task = asyncio.create_task(waits())
            await asyncio.sleep(0)
            before = process_of(target).watchers is not None
            task.cancel()
            await asyncio.wait([task])
            return before

        assert await call(owner, cancels)
        assert process_of(target).watchers is None


async def test_monitoring_leaves_nothing_when_its_owner_was_declared_dead_in_the_block() -> None:
    async with virtual_node(exit_grace=0.1):
        target = await st.start(Idle)
        ended: list[str] = []

        async def stubborn() -> None:
            async with st.monitoring(target):
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    try:
                        await asyncio.sleep(10)
                    except asyncio.CancelledError:
                        ended.append("block")

        pid = st.spawn(stubborn)
        await asyncio.sleep(0)
        await killed(pid)
        await asyncio.sleep(1)
        assert ended == ["block"]
        assert process_of(target).watchers is None


async def test_monitoring_shows_the_line_of_the_block() -> None:
    async with virtual_node() as node:
        owner, target = await st.start(Owner), await st.start(Idle)

        async def block(_: Owner) -> str:
            async with st.monitoring(target):
                return node.monitors.list()[0].site

        assert await call(owner, block) == line_of(block, 1)


async def test_monitoring_belongs_to_processes() -> None:
    async with virtual_node():
        with pytest.raises(NotInProcessError) as caught:
            await st.monitoring("clerk").__aenter__()
        assert str(caught.value).startswith("monitor(): expected to run inside a process, got code outside")


async def test_monitoring_refuses_what_is_no_ref_on_entering() -> None:
    async with virtual_node():
        owner = await st.start(Owner)

        async def block(_: Owner) -> str:
            try:
                async with st.monitoring(42):
                    return "entered"
            except InvalidOptionError as error:
                return str(error)

        assert (await call(owner, block)).startswith("monitor(target): expected a pid or a registered name, got 42")


async def test_block_in_an_async_generator_ends_the_monitor_when_another_process_collects_it() -> None:
    async with virtual_node():
        owner, other, target = await st.start(Owner), await st.start(Owner), await st.start(Idle)
        kept: list[object] = []

        async def watched() -> AsyncIterator[None]:
            async with st.monitoring(target), st.monitor_group([target]):
                yield

        async def begins(_: Owner) -> int:
            async for _item in (watching := watched()):
                kept.append(watching)
                break
            return len(process_of(target).watchers or ())

        async def collects(_: Owner) -> None:
            kept.clear()
            gc.collect()
            await asyncio.sleep(1)

        assert await call(owner, begins) == 2
        await call(other, collects)
        assert process_of(target).watchers is None
