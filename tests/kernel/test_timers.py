# SPDX-License-Identifier: MIT
"""send_after, cancel_timer and read_timer."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref

import pytest

from stanchion.errors import InvalidOptionError, NodeStateError, NoNodeError, NotInProcessError
from stanchion.kernel import (
    Via,
    cancel_timer,
    exit,
    find,
    read_timer,
    receive,
    register,
    self_pid,
    send_after,
    spawn,
    wait_exit,
)
from stanchion.telemetry import DEAD_LETTER
from stanchion.testing import VirtualClock, VirtualTimeLoop
from tests.kernel.helpers import Hearer, process_of, quick_node, run_in_process, sleeper


@pytest.fixture
def loop_factory():
    return VirtualTimeLoop


def node():
    return quick_node(clock=VirtualClock())


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_message_comes_when_its_time_has_come_and_not_before() -> None:
    async with node():
        hearer = Hearer()
        send_after(hearer.pid, "tick", 2.5)
        await asyncio.sleep(2.499)
        assert hearer.heard == []
        await asyncio.sleep(0.002)
        assert hearer.heard == ["tick"]


async def test_messages_come_in_order_of_time_and_those_of_one_time_in_order_of_setting() -> None:
    async with node():
        hearer = Hearer()
        for number in range(50):
            send_after(hearer.pid, f"late {number}", 1)
        for number in range(50):
            send_after(hearer.pid, f"early {number}", 0.999)
        await asyncio.sleep(2)
        assert hearer.heard == [f"early {n}" for n in range(50)] + [f"late {n}" for n in range(50)]


async def test_timer_of_zero_comes_at_the_next_step() -> None:
    async with node():
        hearer, before = Hearer(), now()
        send_after(hearer.pid, "now", 0)
        for _ in range(5):
            await asyncio.sleep(0)
        assert hearer.heard == ["now"]
        assert now() == before


async def test_timer_of_zero_that_is_set_while_timers_go_off_waits_for_the_next_step() -> None:
    async with node() as here:
        hearer, lost = Hearer(), []

        def again(*_: object) -> None:
            lost.append("tick")
            if len(lost) < 3:
                here.timers.add(None, "nobody", "tick", 0)
                here.timers.add(None, hearer.pid, len(lost), 0)

        here.telemetry.attach(DEAD_LETTER, again)
        send_after("nobody", "tick", 1)
        await asyncio.sleep(1)
        assert (lost, hearer.heard) == (["tick"], [])
        await asyncio.sleep(0.1)
        assert (lost, hearer.heard) == (["tick"] * 3, [1, 2])


async def test_timer_of_a_process_to_itself_comes_into_its_full_mailbox_and_no_other_does() -> None:
    async def body() -> None:
        send_after(self_pid(), "own", 1)
        await sleeper()

    async with node():
        pid = spawn(body, mailbox=1)
        send_after(pid, "fits", 0.5)
        send_after(pid, "does not", 0.5)
        await asyncio.sleep(2)
        assert [message for _, message, _ in process_of(pid).mailbox.queue] == ["fits", "own"]


async def test_cancelled_timer_sends_nothing_and_tells_what_was_left() -> None:
    async with node():
        hearer = Hearer()
        timer = send_after(hearer.pid, "tick", 3)
        await asyncio.sleep(1)
        assert read_timer(timer) == 2
        assert cancel_timer(timer) == 2
        assert (cancel_timer(timer), read_timer(timer), timer.message) == (None, None, None)
        await asyncio.sleep(5)
        assert hearer.heard == []


async def test_timer_that_went_off_has_nothing_left() -> None:
    async with node():
        hearer = Hearer()
        timer = send_after(hearer.pid, "tick", 1)
        assert repr(timer) == f"<timer to {hearer.pid!r}, 1 s left>"
        await asyncio.sleep(1.5)
        assert (read_timer(timer), cancel_timer(timer)) == (None, None)
        assert repr(timer) == f"<timer to {hearer.pid!r}, done>"
        await asyncio.sleep(0.1)
        assert hearer.heard == ["tick"]


async def test_timer_ends_with_the_process_that_set_it() -> None:
    async with node() as here:
        hearer = Hearer()

        async def setter() -> None:
            send_after(hearer.pid, "from a dead man", 1)
            await sleeper()

        pid = spawn(setter)
        await asyncio.sleep(0.5)
        assert process_of(pid).owned is not None
        exit(pid, "kill")
        await asyncio.sleep(5)
        assert hearer.heard == []
        assert here.timers._heap == []


async def test_timer_that_is_over_leaves_nothing_with_its_owner() -> None:
    async with node():
        hearer = Hearer()
        owned: list[object] = []

        async def setter() -> None:
            send_after(hearer.pid, "one", 1)
            cancel_timer(send_after(hearer.pid, "two", 9))
            await asyncio.sleep(2)
            owned.append(process_of(pid).owned)

        pid = spawn(setter)
        await asyncio.sleep(3)
        assert owned == [None]
        assert hearer.heard == ["one"]


async def test_process_whose_timer_was_the_next_one_is_not_kept_alive() -> None:
    async def setter() -> None:
        send_after("clerk", "tick", 60)
        await sleeper()

    async with node():
        pid = spawn(setter)
        gone = weakref.ref(pid)
        await asyncio.sleep(1)
        exit(pid, "kill")
        await wait_exit(pid, timeout=1)
        del pid
        await asyncio.sleep(1)
        gc.collect()
        assert gone() is None


async def test_name_is_looked_up_when_the_time_has_come() -> None:
    async with node():
        send_after("clerk", "tick", 1)
        hearer = Hearer()
        register("clerk", hearer.pid)
        await asyncio.sleep(2)
        assert hearer.heard == ["tick"]


async def test_name_is_looked_up_in_the_node_of_the_timer_even_inside_another_one() -> None:
    async with node() as outer:
        hearer = Hearer()
        register("clerk", hearer.pid)
        async with quick_node("inner", clock=VirtualClock()) as inner:
            send_after("clerk", "in the inner one", 1)
            outer.timers.add(None, "clerk", "in the outer one", 1)
            lost: list[object] = []
            inner.telemetry.attach(DEAD_LETTER, lambda _event, _m, data: lost.append(data["message"]))
            await asyncio.sleep(2)
        assert hearer.heard == ["in the outer one"]
        assert lost == ["in the inner one"]


async def test_message_for_somebody_who_is_gone_is_a_dead_letter_event() -> None:
    async with node() as here:
        events: list[object] = []
        here.telemetry.attach(DEAD_LETTER, lambda _event, _m, data: events.append(data))
        pid = spawn(sleeper)
        send_after(pid, "too late", 1)
        exit(pid, "kill")
        await asyncio.sleep(2)
        assert events == [{"node": "test", "recipient": pid, "message": "too late", "reason": "noproc"}]


async def test_thousands_of_cancelled_timers_take_no_room() -> None:
    async with node() as here:
        pid = spawn(sleeper)
        kept = [send_after(pid, number, 50) for number in range(10)]
        for number in range(5_000):
            cancel_timer(send_after(pid, number, 100))
        assert len(here.timers._heap) < 200
        await asyncio.sleep(200)
        assert here.timers._heap == []
        assert [read_timer(timer) for timer in kept] == [None] * 10


async def test_via_address_that_fails_keeps_no_other_timer_waiting(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Via):
        def whereis(self):
            raise RuntimeError("directory is down")

        register = unregister = lambda self, pid: None

        def __repr__(self) -> str:
            return "<broken>"

    async with node():
        hearer = Hearer()
        send_after(Broken(), "lost", 1)
        send_after(hearer.pid, "tick", 1)
        with caplog.at_level(logging.ERROR):
            await asyncio.sleep(2)
        assert hearer.heard == ["tick"]
        assert "<timer to <broken>, done>: its message was not sent" in caplog.text
        assert "directory is down" in caplog.text


async def test_node_ends_with_its_timers() -> None:
    async with node() as here:
        timer = send_after("nobody", "tick", 60)
        assert read_timer(timer) == 60
    assert read_timer(timer) is None
    with pytest.raises(NodeStateError) as error:
        here.timers.add(None, "nobody", "tick", 1)
    assert str(error.value).startswith("send_after() on node 'test': expected a running node, got one that is stopped")


async def test_code_that_outlived_its_process_sets_no_timer() -> None:
    async with node():
        result: asyncio.Future[object] = asyncio.get_running_loop().create_future()

        async def orphan() -> None:
            await asyncio.sleep(1)
            try:
                send_after("clerk", "tick", 1)
            except NotInProcessError as error:
                result.set_result(error.operation)

        async def parent() -> None:
            parent.task = asyncio.create_task(orphan())  # type: ignore[attr-defined]

        await wait_exit(spawn(parent), timeout=1)
        assert await result == "send_after()"


@pytest.mark.parametrize(
    ("ref", "delay", "text"),
    [
        (7, 1, "send_after(ref): expected a pid or a registered name, got 7"),
        ("", 1, "send_after(ref): expected a pid or a registered name, got ''"),
        ("clerk", -1, "send_after(delay): expected seconds >= 0 as a finite number, or a timedelta, got -1"),
        ("clerk", None, "send_after(delay): expected seconds >= 0 as a finite number, or a timedelta, got None"),
    ],
)
async def test_wrong_argument_is_refused(ref: object, delay: object, text: str) -> None:
    async with node():
        with pytest.raises(InvalidOptionError) as error:
            send_after(ref, "tick", delay)
        assert str(error.value).splitlines()[0] == text


async def test_what_is_no_timer_is_refused() -> None:
    for function in (cancel_timer, read_timer):
        with pytest.raises(InvalidOptionError) as error:
            function("timer")
        assert str(error.value) == f"{function.__name__}(timer): expected an instance of TimerRef, got 'timer'"


async def test_timer_needs_a_node() -> None:
    with pytest.raises(NoNodeError):
        send_after("clerk", "tick", 1)


async def test_timer_of_another_process_can_be_cancelled() -> None:
    async with node():
        timers: list[object] = []

        async def setter() -> None:
            timers.append(send_after("nobody", "tick", 9))
            await receive(timeout=None)

        spawn(setter)
        await asyncio.sleep(1)
        assert await run_in_process(cancel_timer, timers[0]) == 8
        assert find("nobody", "x") is None
