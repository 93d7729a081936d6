# SPDX-License-Identifier: MIT
"""abcast and multi_call: one message to many servers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stanchion.errors import (
    CallExitError,
    CallOverflowError,
    CallSelfError,
    CallTimeoutError,
    InvalidOptionError,
    NoNodeError,
    UnhandledRequestError,
)
from stanchion.kernel import Node, exit, self_pid, spawn
from stanchion.server import (
    NO_REPLY,
    UNHANDLED,
    MultiCallResult,
    abcast,
    call,
    cast,
    multi_call,
    reply,
    start,
)
from stanchion.telemetry import DEAD_LETTER, LATE_REPLY
from stanchion.testing import VirtualClock, VirtualTimeLoop
from tests.kernel.helpers import Events, process_of, quick_node, sleeper, steps
from tests.server.servers import By, Counter, hang, raises, returns


@pytest.fixture
def loop_factory():
    return VirtualTimeLoop


def deadlines_left(node: Node) -> bool:
    return any(node.wheel._buckets.values())


async def test_abcast_reaches_each_server_as_often_as_it_is_named() -> None:
    async with quick_node() as node:
        letters = Events(node, DEAD_LETTER)
        one, two = await start(Counter), await start(Counter, name="two")
        abcast([one, "two", "nobody", "two"], 5)
        assert [await call(one, "count"), await call(two, "count")] == [5, 10]
        assert letters.all("recipient") == ["nobody"]


async def test_abcast_takes_any_iterable_and_none_at_all() -> None:
    async with quick_node():
        one = await start(Counter)
        abcast((pid for pid in [one]), 1)
        abcast([], 1)
        assert await call(one, "count") == 1


async def test_multi_call_returns_each_reply_with_its_ref_in_order() -> None:
    async with quick_node() as node:
        one, two = await start(Counter, 1), await start(Counter, 2, name="two")
        assert await multi_call([two, one, "two"], "count") == MultiCallResult(
            replies=((two, 2), (one, 1), ("two", 2)), failures=()
        )
        assert not deadlines_left(node)


async def test_multi_call_of_nobody_is_empty() -> None:
    assert await multi_call([], "count") == ((), ())


async def test_server_that_is_named_twice_is_called_twice() -> None:
    async with quick_node():
        pid = await start(By)
        result = await multi_call([pid, pid], lambda server: server.state.append(1) or len(server.state))
        assert result.replies == ((pid, 1), (pid, 2))


async def test_multi_call_tells_each_failure_as_call_would() -> None:
    async with quick_node(clock=VirtualClock()):
        error = ValueError("broken")
        well, crashes, knows_not, hangs = [await start(By, name=name) for name in ("a", "b", "c", "d")]
        gone = spawn(sleeper)
        exit(gone, "kill")
        full = await start(By, mailbox=1)
        cast(full, hang)
        await steps()
        cast(full, 2)
        answers = {well: returns("well"), crashes: raises(error), knows_not: returns(UNHANDLED), hangs: hang}

        def request(server: Any) -> Any:
            return answers[self_pid()](server)

        result = await multi_call([well, crashes, "nobody", knows_not, gone, full, hangs], request, timeout=2)
        assert result.replies == ((well, "well"),)
        assert [(ref, type(failure)) for ref, failure in result.failures] == [
            (crashes, CallExitError),
            ("nobody", CallExitError),
            (knows_not, UnhandledRequestError),
            (gone, CallExitError),
            (full, CallOverflowError),
            (hangs, CallTimeoutError),
        ]
        failures = dict(result.failures)
        assert failures[crashes].__cause__ is error
        assert str(failures[hangs]).startswith("call to <test.4 d>: expected a reply to <function ")
        assert "within 2 s, got none" in str(failures[hangs])


async def test_calling_process_among_the_refs_is_a_failure_and_the_others_are_called() -> None:
    async with quick_node():
        pid, other = await start(By), await start(Counter, 3)

        async def ask(_: Any) -> Any:
            return await multi_call([pid, other], "count")

        result = await call(pid, ask)
        assert isinstance(result, MultiCallResult)
        assert result.replies == ((other, 3),)
        ((ref, failure),) = result.failures
        assert ref is pid
        assert str(failure).startswith(
            "call to <test.1>: expected another process, got the calling process itself with 'count'"
        )
        assert isinstance(failure, CallSelfError)


async def test_one_deadline_holds_for_all() -> None:
    async with quick_node(clock=VirtualClock(), timeouts=3) as node:
        pids = [await start(By) for _ in range(3)]
        began = node.clock.monotonic()
        result = await multi_call(pids, hang)
        assert [type(failure) for _, failure in result.failures] == [CallTimeoutError] * 3
        assert 3 <= node.clock.monotonic() - began < 3.1
        assert not deadlines_left(node)


async def test_multi_call_without_a_limit_sets_no_deadline() -> None:
    async with quick_node(clock=VirtualClock()) as node:
        pid = await start(By)
        waiting = asyncio.create_task(multi_call([pid], lambda _: asyncio.sleep(1000, "done"), timeout=None))
        await steps()
        assert not deadlines_left(node)
        assert (await waiting).replies == ((pid, "done"),)


async def test_late_reply_of_a_multi_call_is_dropped_and_told() -> None:
    async with quick_node(clock=VirtualClock()) as node:
        late = Events(node, LATE_REPLY)
        quick, slow = await start(Counter), await start(By)
        result = await multi_call([quick, slow], lambda _: asyncio.sleep(10, "late"), timeout=1)
        assert len(result.failures) == 1
        await asyncio.sleep(20)
        assert late.all("cause") == ["timeout"]


async def test_put_off_reply_is_owed_no_more_after_the_timeout() -> None:
    async with quick_node(clock=VirtualClock()):
        pid = await start(By)
        await multi_call([pid], returns(NO_REPLY), timeout=1)
        assert not process_of(pid).deferred


async def test_cancelled_multi_call_leaves_nothing_behind() -> None:
    async with quick_node(clock=VirtualClock()) as node:
        late = Events(node, LATE_REPLY)
        pids = [await start(By) for _ in range(3)]
        senders: list[Any] = []

        def put_off(server: Any) -> Any:
            senders.append(server.sender)
            return NO_REPLY

        waiting = asyncio.create_task(multi_call(pids, put_off))
        await steps()
        assert reply(senders[1], "in time")
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not deadlines_left(node)
        assert not any(process_of(pid).deferred for pid in pids)
        assert [reply(sender, "late") for sender in senders] == [False, False, False]
        assert late.all("cause") == ["cancelled", "replied", "cancelled"]


async def test_node_that_stops_takes_nobody_elses_deadline_with_it() -> None:
    async with quick_node("two", clock=VirtualClock()):
        two = await start(By)
        async with quick_node("one", clock=VirtualClock()):
            one = await start(By)
            waiting = asyncio.create_task(multi_call([one, two], hang, timeout=10))
            await steps()
        assert [type(failure) for _, failure in (await waiting).failures] == [CallExitError, CallTimeoutError]


async def test_multi_call_works_across_nodes() -> None:
    async with quick_node("one"):
        one = await start(Counter, 1)
        async with quick_node("two"):
            two = await start(Counter, 2)
            assert (await multi_call([one, two], "count")).replies == ((one, 1), (two, 2))


@pytest.mark.parametrize("timeout", [-1, "1"])
async def test_multi_call_refuses_a_wrong_timeout_and_sends_nothing(timeout: Any) -> None:
    async with quick_node():
        pid = await start(Counter)
        text = f"multi_call(timeout): expected seconds >= 0 as a finite number, or a timedelta, got {timeout!r}"
        for refs in ([pid], []):
            with pytest.raises(InvalidOptionError) as caught:
                await multi_call(refs, "count", timeout=timeout)
            assert str(caught.value).startswith(text)
        assert not process_of(pid).mailbox.queue


async def test_longest_and_no_timeouts_are_taken_where_nobody_is_there() -> None:
    async with quick_node():
        assert len((await multi_call(["nobody"], 1, timeout=None)).failures) == 1
        assert len((await multi_call(["nobody"], 1, timeout=1)).failures) == 1


async def multi(refs: Any, message: object) -> None:
    await multi_call(refs, message)


async def ab(refs: Any, message: object) -> None:
    abcast(refs, message)


@pytest.mark.parametrize(("function", "name", "one"), [(multi, "multi_call", "call"), (ab, "abcast", "cast")])
async def test_wrong_refs_are_refused_and_nothing_is_sent(function: Any, name: str, one: str) -> None:
    async with quick_node():
        pid = await start(Counter, name="counter")
        with pytest.raises(InvalidOptionError) as caught:
            await function("counter", 1)
        assert str(caught.value) == (
            f"{name}(refs): expected an iterable of pids and names, got 'counter'\n"
            f"Fix: put the ref into a list, or use {one}()."
        )
        with pytest.raises(InvalidOptionError) as caught:
            await function(3, 1)
        assert str(caught.value) == f"{name}(refs): expected an iterable of pids and names, got 3"
        with pytest.raises(InvalidOptionError, match=rf"^{name}\(refs\): expected a pid.*, got 3"):
            await function([pid, 3], 1)
        assert not process_of(pid).mailbox.queue


@pytest.mark.parametrize("function", [multi, ab])
async def test_names_need_a_node(function: Any) -> None:
    with pytest.raises(NoNodeError):
        await function(["counter"], 1)
