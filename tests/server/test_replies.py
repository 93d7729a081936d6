# SPDX-License-Identifier: MIT
"""Replies that come later, from elsewhere, too late, or twice."""

from __future__ import annotations

import asyncio

import pytest

from stanchion.errors import CallExitError, CallTimeoutError, InvalidOptionError
from stanchion.kernel import Node, exit, spawn, wait_exit, whereis
from stanchion.server import NO_REPLY, GenServer, Reply, Sender, Stop, call, cast, reply, start
from stanchion.telemetry import LATE_REPLY
from tests.kernel.helpers import Events, process_of, quick_node, steps
from tests.server.servers import By, hang, returns


class Desk(GenServer):
    """Keeps its callers waiting, and answers the oldest when it is told to."""

    def init(self, senders: list[Sender]) -> None:
        self.senders = senders

    def handle_call(self, request, sender):
        self.senders.append(sender)
        return NO_REPLY

    def handle_cast(self, message):
        return reply(self.senders.pop(0), message) and None


async def test_reply_may_come_after_the_handler_returned() -> None:
    async with quick_node():
        pid = await start(Desk, [])
        waiting = asyncio.create_task(call(pid, 1))
        await steps()
        assert not waiting.done()
        cast(pid, "later")
        assert await waiting == "later"
        assert not process_of(pid).deferred


async def test_reply_may_come_before_the_handler_returns() -> None:
    async with quick_node():
        pid = await start(By)

        def early(server):
            assert reply(server.sender, "early")
            return NO_REPLY

        assert await call(pid, early) == "early"
        assert process_of(pid).deferred is None


@pytest.mark.parametrize("where", ["process", "task", "outside"])
async def test_anybody_may_reply(where: str) -> None:
    async with quick_node():
        senders: list[Sender] = []
        pid = await start(Desk, senders)
        waiting = asyncio.create_task(call(pid, 1))
        await steps()

        async def answer() -> None:
            assert reply(senders[0], where)

        if where == "process":
            spawn(answer)
        elif where == "task":
            await asyncio.create_task(answer())
        else:
            await answer()
        assert await waiting == where


async def test_replies_may_come_in_another_order() -> None:
    async with quick_node():
        senders: list[Sender] = []
        pid = await start(Desk, senders)
        waiting = [asyncio.create_task(call(pid, number)) for number in range(3)]
        await steps()
        for number in (2, 0, 1):
            assert reply(senders[number], number)
        assert await asyncio.gather(*waiting) == [0, 1, 2]


async def test_late_reply_after_a_timeout_is_dropped_counted_and_told(node: Node) -> None:
    events = Events(node, LATE_REPLY)
    senders: list[Sender] = []
    pid = await start(Desk, senders, name="desk")
    with pytest.raises(CallTimeoutError):
        await call(pid, "key", timeout=1)
    assert not senders[0].waiting
    assert repr(senders[0]) == "<sender None, dead>"
    await asyncio.sleep(2)
    assert not reply(senders[0], "late")
    (event, measured, about), *others = events.told
    assert (event, others) == (LATE_REPLY, [])
    assert measured == {"count": 1, "lateness": pytest.approx(2, abs=0.01)}
    assert about == {"node": node.name, "pid": pid, "name": "desk", "request": "key", "cause": "timeout"}
    assert node.statistics().late_replies == 1


async def test_late_reply_after_the_caller_was_cancelled_is_dropped_and_told(node: Node) -> None:
    events = Events(node, LATE_REPLY)
    senders: list[Sender] = []
    pid = await start(Desk, senders)
    waiting = asyncio.create_task(call(pid, 1))
    await asyncio.sleep(1)
    waiting.cancel()
    await asyncio.wait([waiting])
    await asyncio.sleep(2)
    assert not reply(senders[0], "late")
    ((_, measured, about),) = events.told
    assert about["cause"] == "cancelled"
    assert measured == {"count": 1, "lateness": pytest.approx(2)}


async def test_last_reply_says_since_when_its_caller_is_gone(node: Node) -> None:
    events = Events(node, LATE_REPLY)

    async def answer(_: object) -> Reply:
        await asyncio.sleep(3)
        return Reply("bye", then=Stop("normal"))

    waiting = asyncio.create_task(call(await start(By), answer))
    await asyncio.sleep(1)
    waiting.cancel()
    await asyncio.sleep(5)
    assert [measured for _, measured, _ in events.told] == [{"count": 1, "lateness": pytest.approx(2)}]


async def test_reply_in_the_step_in_which_the_caller_is_cancelled_is_not_late_by_any_time(node: Node) -> None:
    events = Events(node, LATE_REPLY)
    senders: list[Sender] = []
    pid = await start(Desk, senders)
    waiting = asyncio.create_task(call(pid, 1))
    await asyncio.sleep(1)
    waiting.cancel()
    assert not reply(senders[0], "late")
    await asyncio.wait([waiting])
    assert [measured for _, measured, _ in events.told] == [{"count": 1, "lateness": 0}]


async def test_second_reply_is_dropped_and_told() -> None:
    async with quick_node() as node:
        events = Events(node, LATE_REPLY)
        pid = await start(By)

        def twice(server):
            return [reply(server.sender, "first"), reply(server.sender, "second")]

        assert await call(pid, twice) == "first"
        assert events.all("cause") == ["replied", "replied"]
        assert [measured for _, measured, _ in events.told] == [{"count": 1}, {"count": 1}]


async def test_reply_after_a_refusal_is_dropped_and_told() -> None:
    async with quick_node() as node:
        events = Events(node, LATE_REPLY)
        senders: list[Sender] = []

        class Refuses(GenServer):
            def handle_call(self, request, sender):
                senders.append(sender)
                return super().handle_call(request, sender)

        pid = await start(Refuses)
        with pytest.raises(Exception, match="to know the request"):
            await call(pid, 1)
        assert not reply(senders[0], "late")
        assert events.all("cause") == ["replied"]


async def test_reply_after_the_servers_exit_is_dropped_and_told() -> None:
    async with quick_node() as node:
        events = Events(node, LATE_REPLY)
        senders: list[Sender] = []
        pid = await start(Desk, senders)
        waiting = asyncio.create_task(call(pid, 1))
        await steps()
        exit(pid, "kill")
        with pytest.raises(CallExitError):
            await waiting
        assert not reply(senders[0], "late")
        assert events.all("cause") == ["exited"]


async def test_handler_that_returns_too_late_is_told_of_and_goes_on() -> None:
    async with quick_node() as node:
        events = Events(node, LATE_REPLY)
        pid = await start(By)

        async def slow(_):
            await asyncio.sleep(0.03)
            return "late"

        with pytest.raises(CallTimeoutError):
            await call(pid, slow, timeout=0.01)
        assert await call(pid, returns("next")) == "next"
        assert events.all("cause") == ["timeout"]


async def test_late_reply_costs_nothing_when_nobody_listens() -> None:
    async with quick_node():
        senders: list[Sender] = []
        pid = await start(Desk, senders)
        with pytest.raises(CallTimeoutError):
            await call(pid, 1, timeout=0)
        assert not reply(senders[0], "late")


async def test_callers_whose_reply_was_put_off_hear_of_the_servers_exit_in_order() -> None:
    async with quick_node():
        pid = await start(Desk, [])
        heard: list[int] = []

        async def caller(number: int) -> None:
            with pytest.raises(CallExitError, match=r"got its exit with reason 'shutdown'$"):
                await call(pid, number, timeout=None)
            heard.append(number)

        waiting = [asyncio.create_task(caller(number)) for number in range(20)]
        await steps()
        exit(pid, "shutdown")
        await asyncio.wait(waiting)
        assert heard == list(range(20))


async def test_no_reply_to_a_caller_that_is_gone_owes_nothing() -> None:
    async with quick_node():
        pid = await start(By)

        async def slow(_):
            await asyncio.sleep(0.03)
            return NO_REPLY

        with pytest.raises(CallTimeoutError):
            await call(pid, slow, timeout=0.01)
        assert await call(pid, returns(1)) == 1
        assert process_of(pid).deferred is None


async def test_stop_may_come_with_a_reply() -> None:
    async with quick_node():
        pid = await start(By)
        assert await call(pid, returns(Reply("bye", then=Stop("shutdown")))) == "bye"
        assert not pid.alive


class Terminates(By):
    """Does in terminate what init was given."""

    def init(self, function):
        self.function = function

    async def terminate(self, reason):
        await self.function()


async def test_reply_with_a_stop_comes_when_terminate_has_run_and_the_name_is_free() -> None:
    async with quick_node():
        gate = asyncio.Event()
        pid = await start(Terminates, gate.wait, name="till")
        waiting = asyncio.create_task(call(pid, returns(Reply("bye", then=Stop()))))
        await steps()
        assert not waiting.done()
        gate.set()
        assert await waiting == "bye"
        assert whereis("till") is None


async def test_reply_with_a_stop_comes_before_anyone_hears_of_the_exit() -> None:
    async with quick_node():
        pid = await start(By)
        heard: list[object] = []
        waiting = asyncio.create_task(call(pid, returns(Reply("bye", then=Stop()))))
        waiting.add_done_callback(lambda task: heard.append(task.result()))
        ended = asyncio.create_task(wait_exit(pid, timeout=1))
        ended.add_done_callback(lambda task: heard.append(task.result()))
        await steps()
        assert heard == ["bye", "normal"]


async def test_reply_with_a_stop_comes_when_terminate_raises() -> None:
    async def fails() -> None:
        raise ValueError("x")

    async with quick_node():
        pid = await start(Terminates, fails)
        assert await call(pid, returns(Reply("bye", then=Stop()))) == "bye"


@pytest.mark.parametrize(("signal", "reason"), [("kill", "killed"), (("shutdown", 1), ("shutdown", 1))])
async def test_exit_signal_that_cuts_terminate_short_is_what_the_caller_of_a_stop_with_reply_hears(
    signal, reason
) -> None:
    async with quick_node():
        pid = await start(Terminates, hang)
        waiting = asyncio.create_task(call(pid, returns(Reply("bye", then=Stop())), timeout=None))
        await steps()
        exit(pid, signal)
        with pytest.raises(CallExitError) as caught:
            await waiting
        assert (caught.value.reason, caught.value.handled) == (reason, True)


async def test_task_cancelled_in_terminate_gives_the_caller_of_a_stop_with_reply_the_exit() -> None:
    async with quick_node():
        pid = await start(Terminates, hang)
        waiting = asyncio.create_task(call(pid, returns(Reply("bye", then=Stop())), timeout=None))
        await steps()
        process_of(pid).task.cancel()
        with pytest.raises(CallExitError, match="'killed'"):
            await waiting


async def test_reply_with_a_stop_to_a_caller_that_is_gone_is_told() -> None:
    async with quick_node() as node:
        late = Events(node, LATE_REPLY)
        gate = asyncio.Event()
        pid = await start(Terminates, gate.wait)
        with pytest.raises(CallTimeoutError):
            await call(pid, returns(Reply("bye", then=Stop())), timeout=0.01)
        gate.set()
        await wait_exit(pid, timeout=1)
        assert late.all("cause") == ["timeout"]


async def test_stop_after_a_reply_leaves_the_reply_alone() -> None:
    async with quick_node():
        pid = await start(By)

        def replies(server):
            reply(server.sender, "bye")
            return Stop()

        assert await call(pid, replies) == "bye"


async def test_waiting_callers_behind_a_stop_are_refused() -> None:
    async with quick_node():
        pid = await start(By)
        first = asyncio.create_task(call(pid, returns(Reply("bye", then=Stop("shutdown")))))
        second = asyncio.create_task(call(pid, hang, timeout=None))
        assert await first == "bye"
        with pytest.raises(CallExitError, match=r"reason 'shutdown'; the request was not handled$"):
            await second


async def test_reply_takes_senders_only() -> None:
    with pytest.raises(InvalidOptionError) as caught:
        reply("me", 1)
    assert str(caught.value) == "reply(sender): expected an instance of Sender, got 'me'"
