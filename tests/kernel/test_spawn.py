# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
import copy
import functools

import pytest

from stanchion.errors import InvalidOptionError, NameTakenError, NodeStateError, NoNodeError, NotInProcessError
from stanchion.kernel import receive, spawn, spawn_link, wait_exit, whereis
from stanchion.server import cast
from tests.kernel.helpers import process_of, quick_node, sleeper, steps


async def test_spawned_process_is_alive_and_takes_messages_before_its_first_step() -> None:
    async with quick_node():
        heard: list[object] = []

        async def body() -> None:
            heard.append(await receive(timeout=None))

        pid = spawn(body, name="clerk")
        assert pid.alive
        assert whereis("clerk") is pid
        cast("clerk", "early")
        await wait_exit(pid, timeout=1)
        assert heard == ["early"]


async def test_spawn_passes_the_arguments_on() -> None:
    async with quick_node():
        got: list[tuple[object, ...]] = []

        async def body(*args: object) -> None:
            got.append(args)

        await wait_exit(spawn(body, 1, "two"), timeout=1)
        assert got == [(1, "two")]


async def test_pids_are_numbered_and_show_their_node_and_name() -> None:
    async with quick_node("shop"):
        pids = [spawn(sleeper), spawn(sleeper, name="clerk")]
        assert [repr(pid) for pid in pids] == ["<shop.1>", "<shop.2 clerk>"]
        assert [repr(process_of(pid)) for pid in pids] == ["sleeper <shop.1>", "sleeper <shop.2 clerk>"]


async def test_spawn_refuses_a_taken_name_and_leaves_nothing_behind() -> None:
    async with quick_node() as node:
        spawn(sleeper, name="clerk")
        with pytest.raises(NameTakenError) as caught:
            spawn(sleeper, name="clerk")
        assert str(caught.value) == (
            "name 'clerk': expected a free name, got one held by <test.1 clerk>\n"
            "Fix: choose another name, or stop the process that holds it first."
        )
        assert len(node.processes) == 1


async def test_spawn_refuses_a_coroutine_object() -> None:
    async with quick_node():
        coroutine = sleeper()
        with pytest.raises(InvalidOptionError) as caught:
            spawn(coroutine)
        coroutine.close()
        assert str(caught.value) == (
            f"spawn(function): expected a coroutine function, got {coroutine!r}\n"
            "Fix: pass the function itself, and its arguments after it."
        )


async def test_spawn_link_names_itself_in_its_errors() -> None:
    async with quick_node():
        with pytest.raises(NotInProcessError, match=r"^spawn_link\(\): "):
            spawn_link(sleeper)


async def test_spawn_refuses_what_cannot_be_called() -> None:
    async with quick_node():
        with pytest.raises(InvalidOptionError) as caught:
            spawn(42)
        assert str(caught.value) == "spawn(function): expected a coroutine function, got 42"


@pytest.mark.parametrize("limit", [0, -1, 1.5, True, "1"])
async def test_spawn_refuses_a_wrong_mailbox_limit(limit) -> None:
    async with quick_node():
        with pytest.raises(InvalidOptionError) as caught:
            spawn(sleeper, mailbox=limit)
        assert (
            str(caught.value) == f"spawn(mailbox): expected a whole number >= 1, a MailboxPolicy or None, got {limit!r}"
        )


@pytest.mark.parametrize("name", ["", 7, b"clerk"])
async def test_spawn_refuses_what_is_no_name(name) -> None:
    async with quick_node() as node:
        with pytest.raises(InvalidOptionError) as caught:
            spawn(sleeper, name=name)
        assert str(caught.value) == (
            f"start of sleeper: name: expected a name (a string that is not empty), got {name!r}"
        )
        assert node.processes == {}


async def test_plain_function_ends_the_process_with_what_is_wrong() -> None:
    async with quick_node():

        def plain() -> int:
            return 42

        reason = await wait_exit(spawn(plain), timeout=1)
        assert str(reason) == (
            "plain(): expected a coroutine as its return value, got 42\nFix: write `async def plain(...)`."
        )


async def test_spawn_takes_anything_that_returns_an_awaitable() -> None:
    async with quick_node():
        got: list[int] = []

        async def body(number: int) -> None:
            got.append(number)

        class Callable:
            async def __call__(self) -> None:
                got.append(2)

        for function in (functools.partial(body, 1), Callable(), lambda: body(3)):
            await wait_exit(spawn(function), timeout=1)
        assert got == [1, 2, 3]


async def test_process_is_labelled_without_the_functions_around_it() -> None:
    async with quick_node():

        async def inner() -> None:
            await sleeper()

        labels = [process_of(spawn(function)).label for function in (inner, functools.partial(inner))]
        assert labels == ["inner", "partial"]
        await steps()


async def test_copy_of_a_pid_is_the_pid() -> None:
    async with quick_node():
        pid = spawn(sleeper)
        assert copy.copy(pid) is pid
        assert copy.deepcopy({"to": [pid]})["to"][0] is pid


async def test_process_takes_its_first_step_later_also_where_tasks_are_eager() -> None:
    async with quick_node() as node:
        log: list[str] = []

        def eager(loop, coroutine, **options):
            log.append("made by the factory")
            return asyncio.Task(coroutine, loop=loop, **options)

        async def body() -> None:
            log.append("ran")

        node.loop.set_task_factory(eager)
        pid = spawn(body)
        assert log == []
        node.loop.set_task_factory(None)
        await wait_exit(pid, timeout=1)
        assert log == ["ran"]


async def test_spawn_needs_a_node() -> None:
    with pytest.raises(NoNodeError) as caught:
        spawn(sleeper)
    assert str(caught.value) == (
        "spawn(): expected a running node, got none in this context\n"
        "Fix: run it inside `async with stanchion.Node():`, or inside a process, or pass a pid."
    )


async def test_spawn_is_refused_while_the_node_stops() -> None:
    errors: list[str] = []

    async def body() -> None:
        try:
            await sleeper()
        finally:
            try:
                spawn(sleeper)
            except NodeStateError as error:
                errors.append(str(error))

    async with quick_node(shutdown_timeout=1):
        spawn(body)
        await steps()
    assert errors == [
        (
            "start of sleeper on node 'test': expected a running node, got one that is stopping\n"
            "Fix: make a new Node for each `async with`, and start processes inside the block."
        )
    ]
