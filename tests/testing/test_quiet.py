# SPDX-License-Identifier: MIT
"""Waiting until all is done, and letting time pass."""

from __future__ import annotations

import asyncio
import threading

import pytest

import stanchion as st
from stanchion.errors import InvalidOptionError
from stanchion.testing import Probe, advance, start_supervised, wait_quiet
from tests.testing.servers import Counter


async def test_quiet_is_when_every_message_has_led_to_what_it_leads_to(node):
    probe = Probe()

    async def relay(target, hops):
        message = await st.receive(timeout=None)
        for _ in range(hops):
            await asyncio.sleep(0)
        st.send(target, message)

    last = probe.pid
    for hops in (3, 1, 4):
        last = st.spawn(relay, last, hops)
    st.send(last, "hello")
    await wait_quiet()
    assert probe.messages == ["hello"]


async def test_clock_stands_while_it_gets_quiet(node):
    before = node.clock.monotonic()
    st.spawn(asyncio.sleep, 3600)
    await wait_quiet()
    assert node.clock.monotonic() == before


async def test_timer_that_is_due_now_goes_off_before_it_is_quiet(node):
    probe = Probe()
    st.send_after(probe.pid, "now", 0)
    st.send_after(probe.pid, "later", 0.5)
    await wait_quiet()
    assert probe.messages == ["now"]


async def test_job_in_the_executor_is_waited_for(node):
    gate, done = threading.Event(), []
    loop = asyncio.get_running_loop()
    loop.run_in_executor(None, gate.wait).add_done_callback(done.append)
    loop.call_soon(gate.set)
    await wait_quiet()
    assert len(done) == 1


async def test_several_may_wait_for_the_quiet(node):
    await asyncio.gather(wait_quiet(), wait_quiet())


async def test_one_that_stops_waiting_disturbs_nobody(node):
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await wait_quiet()
    await wait_quiet()


async def test_busy_process_is_named(node):
    class Busy(st.GenServer):
        def handle_cast(self, message):
            st.cast(st.self_pid(), message)

    pid = await st.start(Busy)
    st.cast(pid, "again")
    with pytest.raises(AssertionError) as caught:
        await wait_quiet(turns=1_000)
    assert str(caught.value) == (
        "wait_quiet(): expected everybody to wait, got somebody who is busy for 1,000 turns of the loop:\n"
        "  Busy <test.1>: 1 messages wait in its mailbox\n"
        "Fix: let it wait for something; or pass more turns=, if its work comes to an end."
    )


async def test_busy_process_is_told_with_what_it_has_in_hand(node):
    class Busy(st.GenServer):
        async def handle_cast(self, message):
            while True:
                await asyncio.sleep(0)

    pid = await st.start(Busy)
    st.cast(pid, "spin")
    with pytest.raises(AssertionError, match=r"Busy <test.1>: 0 messages wait in its mailbox, in hand is 'spin'"):
        await wait_quiet(turns=100)


async def test_turns_must_be_one_at_least(node):
    with pytest.raises(InvalidOptionError) as caught:
        await wait_quiet(turns=0)
    assert str(caught.value) == "wait_quiet(turns): expected a whole number >= 1, got 0"


async def test_busy_task_is_said_to_be_no_process(node):
    async def spin():
        while True:
            await asyncio.sleep(0)

    task = asyncio.create_task(spin())
    with pytest.raises(AssertionError, match="1,000 turns of the loop; it is no process of the node"):
        await wait_quiet(turns=1_000)
    task.cancel()


async def test_advance_does_what_is_due_on_the_way_in_its_order(node):
    counter = await start_supervised(Counter)
    for seconds in (30, 10, 20, 40.5):
        st.send_after(counter, seconds, seconds)
    before = node.clock.monotonic()
    await advance(40)
    assert await st.call(counter, "order") == [10, 20, 30]
    assert node.clock.monotonic() == before + 40


async def test_advance_does_what_follows_at_its_end(node):
    probe = Probe()

    async def late():
        await asyncio.sleep(5)
        for _ in range(3):
            await asyncio.sleep(0)
        st.send(probe.pid, "done")

    st.spawn(late)
    await advance(5)
    assert probe.messages == ["done"]


async def test_advance_takes_no_negative_duration(node):
    with pytest.raises(InvalidOptionError) as caught:
        await advance(-1)
    assert str(caught.value) == "advance(duration): expected seconds >= 0 as a finite number, or a timedelta, got -1"


@pytest.mark.parametrize("function", [wait_quiet, lambda: advance(1)])
async def test_real_time_is_refused(function):
    with pytest.raises(InvalidOptionError, match="expected to run on a VirtualTimeLoop, got <") as caught:
        await function()
    assert caught.value.fix == "let the test take the fixture `node`, or run it by run_isolated()."
