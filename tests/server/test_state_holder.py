# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stanchion.errors import BadReturnError, CallExitError, CallTimeoutError, InvalidOptionError, StartError
from stanchion.kernel import self_pid, wait_exit
from stanchion.server import NO_REPLY, StateHolder, Stop, call, cast, get_state, start
from stanchion.telemetry import MESSAGE_UNHANDLED
from tests.kernel.helpers import Events, quick_node, steps
from tests.server.servers import raises


def same(state: Any) -> Any:
    return state


async def test_holder_begins_with_what_its_function_returns() -> None:
    async with quick_node():
        pid = await start(StateHolder, dict, [("a", 1)], name="holder")
        assert await StateHolder.get("holder", same) == {"a": 1}
        assert await get_state(pid) == {"state": {"a": 1}}


async def test_functions_get_the_state_and_their_arguments_inside_the_holder() -> None:
    async with quick_node():
        pid = await start(StateHolder, lambda: 40)
        assert await StateHolder.get(pid, lambda state, more: (state + more, self_pid()), 1) == (41, pid)
        assert await StateHolder.update(pid, lambda state, more: state + more, 2) is None  # type: ignore[func-returns-value]
        assert await StateHolder.get_and_update(pid, lambda state, more: (state, state + more), 3) == 42
        StateHolder.cast(pid, lambda state, more: state + more, 4)
        assert await StateHolder.get(pid, same) == 49


async def test_functions_may_be_async() -> None:
    async def begin() -> list[int]:
        await asyncio.sleep(0)
        return [1]

    async def grown(state: list[int]) -> list[int]:
        await asyncio.sleep(0)
        return [*state, len(state) + 1]

    async def both(state: list[int]) -> tuple[int, list[int]]:
        await asyncio.sleep(0)
        return len(state), []

    async def length(state: list[int]) -> int:
        await asyncio.sleep(0)
        return len(state)

    async with quick_node():
        pid = await start(StateHolder, begin)
        await StateHolder.update(pid, grown)
        StateHolder.cast(pid, grown)
        assert await StateHolder.get(pid, same) == [1, 2, 3]
        assert await StateHolder.get_and_update(pid, both) == 3
        assert await StateHolder.get(pid, length) == 0


async def test_others_wait_while_a_function_runs() -> None:
    async def slow(state: int) -> int:
        await steps()
        return state + 1

    async with quick_node():
        pid = await start(StateHolder, int)
        await asyncio.gather(*(StateHolder.update(pid, slow) for _ in range(5)))
        assert await StateHolder.get(pid, same) == 5


@pytest.mark.parametrize("value", [Stop(), NO_REPLY])
async def test_value_that_is_a_directive_is_a_value_like_others(value: object) -> None:
    async with quick_node():
        pid = await start(StateHolder, lambda: value)
        assert await StateHolder.get(pid, same) is value


@pytest.mark.parametrize("verb", [StateHolder.get, StateHolder.update, StateHolder.get_and_update])
async def test_function_that_raises_ends_the_holder_and_its_caller_hears_of_it(verb: Any) -> None:
    async with quick_node():
        pid, error = await start(StateHolder, int), ValueError("broken")
        with pytest.raises(CallExitError) as caught:
            await verb(pid, raises(error))
        assert (caught.value.reason, caught.value.__cause__) == (error, error)
        assert not pid.alive


async def test_cast_function_that_raises_ends_the_holder() -> None:
    async with quick_node():
        pid, error = await start(StateHolder, int), ValueError("broken")
        StateHolder.cast(pid, raises(error))
        assert await wait_exit(pid, timeout=1) is error


@pytest.mark.parametrize("result", [42, None, (1,), (1, 2, 3), [1, 2]])
async def test_get_and_update_that_returns_no_pair_ends_the_holder(result: Any) -> None:
    async with quick_node():
        pid = await start(StateHolder, int)
        with pytest.raises(CallExitError) as caught:
            await StateHolder.get_and_update(pid, lambda _: result)
        assert isinstance(caught.value.reason, BadReturnError)
        assert str(caught.value.reason) == (
            "StateHolder.get_and_update(function)(): expected a pair (reply, new state) as its return value, "
            f"got {result!r}"
        )


async def test_first_function_that_raises_is_a_start_error() -> None:
    async with quick_node():
        with pytest.raises(StartError) as caught:
            await start(StateHolder, lambda: 1 / 0)
        assert isinstance(caught.value.reason, ZeroDivisionError)


async def test_get_takes_a_timeout() -> None:
    async with quick_node():
        pid = await start(StateHolder, int)
        with pytest.raises(CallTimeoutError):
            await StateHolder.get(pid, lambda _: asyncio.sleep(1), timeout=0.01)


async def test_what_is_asked_of_a_holder_has_the_limit_that_a_rule_gives_it() -> None:
    async with quick_node() as node:
        pid = await start(StateHolder, int)
        StateHolder.cast(pid, lambda _: asyncio.sleep(1))
        node.timeouts.set(0.01, operation="stanchion.get")
        node.timeouts.set(0.02, operation="stanchion.get_and_update")
        with pytest.raises(CallTimeoutError, match=r"expected a reply to stanchion\.get\(same\) within 0\.01 s"):
            await StateHolder.get(pid, same)
        with pytest.raises(CallTimeoutError, match=r"reply to stanchion\.get_and_update\(same\) within 0\.02 s"):
            await StateHolder.get_and_update(pid, same)


async def cast_function(ref: Any, function: Any) -> None:
    StateHolder.cast(ref, function)


async def init(_: Any, function: Any) -> None:
    await StateHolder().init(function)


@pytest.mark.parametrize(
    ("verb", "name"),
    [
        (StateHolder.get, "get"),
        (StateHolder.update, "update"),
        (StateHolder.get_and_update, "get_and_update"),
        (cast_function, "cast"),
        (init, "init"),
    ],
)
async def test_what_is_no_function_is_refused(verb: Any, name: str) -> None:
    async with quick_node():
        pid = await start(StateHolder, int)
        with pytest.raises(InvalidOptionError) as caught:
            await verb(pid, 3)
        assert str(caught.value) == f"StateHolder.{name}(function): expected a function, got 3"
        assert pid.alive


async def test_other_messages_have_no_clause() -> None:
    async with quick_node() as node:
        unhandled = Events(node, MESSAGE_UNHANDLED)
        pid = await start(StateHolder, int)
        cast(pid, "odd")
        with pytest.raises(Exception, match="to know the request"):
            await call(pid, "odd")
        assert unhandled.all("kind") == ["cast", "call"]
