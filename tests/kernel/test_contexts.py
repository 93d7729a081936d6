# SPDX-License-Identifier: MIT
"""Which node the running code belongs to."""

from __future__ import annotations

import asyncio

import pytest

from stanchion.errors import NoNodeError
from stanchion.kernel import current_node, receive, spawn, whereis
from stanchion.server import cast
from tests.kernel.helpers import Hearer, quick_node, run_in_process, sleeper, steps


async def test_code_in_the_block_belongs_to_the_node_and_code_behind_it_does_not() -> None:
    async with quick_node() as node:
        assert current_node("x") is node
    with pytest.raises(NoNodeError) as caught:
        current_node("x")
    assert str(caught.value) == (
        "x: expected a running node, got none in this context\n"
        "Fix: run it inside `async with stanchion.Node():`, or inside a process, or pass a pid."
    )


async def test_inner_node_counts_in_the_inner_block() -> None:
    async with quick_node("outer") as outer:
        async with quick_node("inner") as inner:
            assert current_node("x") is inner
        assert current_node("x") is outer


async def test_node_entered_inside_a_process_counts_in_its_block() -> None:
    async with quick_node("outer") as outer:

        async def body() -> list[str]:
            names = [current_node("x").name]
            async with quick_node("inner"):
                names.append(current_node("x").name)
                names.append(repr(spawn(sleeper)))
            return [*names, current_node("x").name]

        assert await run_in_process(body) == ["outer", "inner", "<inner.1>", "outer"]
        assert len(outer.processes) <= 1


async def test_process_belongs_to_its_node_wherever_it_was_spawned() -> None:
    async with quick_node("outer"):
        async with quick_node("inner") as inner:
            pid = spawn(sleeper)
        assert pid.node == "inner"
        assert inner.processes == {}


async def test_tasks_started_in_the_block_belong_to_the_node() -> None:
    async with quick_node() as node:

        async def task() -> object:
            return current_node("x")

        assert await asyncio.create_task(task()) is node
        assert await asyncio.gather(task(), task()) == [node, node]


async def test_tasks_started_in_a_process_belong_to_its_node() -> None:
    async with quick_node():

        async def body() -> object:
            return await asyncio.create_task(asyncio.to_thread(lambda: current_node("x").name))

        assert await run_in_process(body) == "test"


async def test_two_nodes_do_not_see_each_others_names() -> None:
    async with quick_node("a"):
        first = Hearer()
        one = spawn(sleeper, name="clerk")
        async with quick_node("b"):
            assert whereis("clerk") is None
            two = spawn(sleeper, name="clerk")
            assert whereis("clerk") is two
            cast(first.pid, "a pid reaches across")
        assert whereis("clerk") is one
        await steps()
        assert first.heard == ["a pid reaches across"]


async def test_two_nodes_run_side_by_side_in_two_tasks() -> None:
    async def one(name: str) -> list[object]:
        async with quick_node(name):
            heard: list[object] = []

            async def clerk() -> None:
                heard.append(await receive(timeout=None))

            spawn(clerk, name="clerk")
            await steps()
            cast("clerk", name)
            await steps()
            return heard

    assert await asyncio.gather(one("a"), one("b")) == [["a"], ["b"]]


async def test_node_may_be_left_by_another_task_than_entered_it() -> None:
    node = quick_node()

    async def leave() -> bool:
        await node.__aexit__(None, None, None)
        try:
            current_node("x")
        except NoNodeError:
            return True
        return False

    await node.__aenter__()
    spawn(sleeper)
    assert await asyncio.create_task(leave())
    assert repr(node) == "<Node test stopped, 0 processes>"


async def test_node_left_out_of_order_leaves_the_other_in_place() -> None:
    first, second = quick_node("a"), quick_node("b")
    await first.__aenter__()
    await second.__aenter__()
    await first.__aexit__(None, None, None)
    assert current_node("x") is second
    await second.__aexit__(None, None, None)
