# SPDX-License-Identifier: MIT
"""Faults on a message's way."""

from __future__ import annotations

import asyncio

import pytest

import stanchion as st
from stanchion.errors import CallExitError, CallOverflowError, CallTimeoutError, InvalidOptionError
from stanchion.kernel import Mailbox
from stanchion.server import resume, suspend
from stanchion.telemetry import DEAD_LETTER, LATE_REPLY
from stanchion.testing import (
    InjectedCrash,
    Probe,
    advance,
    assert_down,
    crash_on,
    delay,
    drop,
    duplicate,
    run_isolated,
    start_supervised,
    wait_quiet,
)
from tests.kernel.helpers import process_of
from tests.testing.servers import Counter


async def order_of(ref) -> object:
    return await st.call(ref, "order")


# --- which messages ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("selection", "left"),
    [
        ({}, []),
        ({"nth": 2}, [1, "a", "b"]),
        ({"nth": range(2, 4)}, [1, "b"]),
        ({"nth": [1, 4]}, [2, "a"]),
        ({"what": int}, ["a", "b"]),
        ({"what": int, "nth": 2}, [1, "a", "b"]),
        ({"what": "a"}, [1, 2, "b"]),
        ({"what": lambda message: message in (1, "b")}, [2, "a"]),
        ({"chance": 0.0}, [1, 2, "a", "b"]),
        ({"chance": 1.0}, []),
    ],
)
async def test_fault_hits_the_messages_that_it_is_told_to(node, selection, left):
    probe = Probe()
    fault = drop(probe.pid, **selection)
    for message in (1, 2, "a", "b"):
        st.send(probe.pid, message)
    await wait_quiet()
    assert probe.messages == left
    assert fault.hits == [message for message in (1, 2, "a", "b") if message not in left]


def test_chance_is_drawn_from_the_seed():
    async def main():
        probe = Probe()
        fault = drop(probe.pid, chance=0.3)
        for number in range(100):
            st.cast(probe.pid, number)
        return fault.hits

    hits = [run_isolated(main, seed=seed) for seed in (1, 2, 1)]
    assert hits[0] == hits[2] != hits[1]
    assert 15 < len(hits[0]) < 45


async def test_chance_without_a_seeded_loop_is_always_the_same():
    async with st.Node(block_threshold=None):
        hits = []
        for _ in range(2):
            probe = Probe()
            fault = drop(probe.pid, chance=0.5)
            for number in range(20):
                st.cast(probe.pid, number)
            hits.append(fault.hits)
    assert hits[0] == hits[1]


async def test_fault_does_not_hit_the_runtimes_own_messages(node):
    probe, counter = Probe(), await start_supervised(Counter, restart="temporary")
    probe.run(st.monitor, counter)
    probe.run(st.link, counter)
    drop(probe.pid)
    drop(counter)
    await st.stop(counter)
    assert await probe.expect(st.Down)
    assert await probe.expect(st.Exit)


async def test_first_fault_that_hits_is_the_one_at_work(node):
    counter = await start_supervised(Counter)
    first, second = drop(counter, int, nth=1), duplicate(counter, int)
    st.cast(counter, 1)
    st.cast(counter, 2)
    assert await order_of(counter) == [2, 2]
    assert (first.hits, second.hits) == ([1], [2])


# --- how long ------------------------------------------------------------------------------------


async def test_fault_ends_with_its_block_and_leaves_the_mailbox_as_it_was(node):
    counter = await start_supervised(Counter)
    mailbox = process_of(counter).mailbox
    with drop(counter) as outer, drop(counter, int):
        st.cast(counter, 1)
    st.cast(counter, 2)
    assert await order_of(counter) == [2]
    assert type(mailbox) is Mailbox
    outer.stop()


async def test_fault_of_a_name_goes_on_after_a_restart(node):
    await start_supervised(Counter, name="counter")
    fault = crash_on("counter", int, nth=[1, 3])
    for number in (1, 2, 3):
        st.cast("counter", number)
        await wait_quiet()
    assert fault.hits == [1, 3]
    fault.stop()
    st.cast("counter", 4)
    assert await order_of("counter") == [4]


async def test_fault_of_a_name_waits_for_who_takes_it(node):
    with drop("mailer", int), drop("another"):
        probe = Probe("mailer")
        st.cast("mailer", 1)
        st.cast("mailer", "a")
        await wait_quiet()
    assert probe.messages == ["a"]
    Probe("another")


async def test_fault_of_a_pid_ends_with_its_process(node):
    await start_supervised(Counter, name="counter")
    fault = crash_on(st.whereis("counter"))
    st.cast("counter", 1)
    await wait_quiet()
    st.cast("counter", 2)
    assert await order_of("counter") == [2]
    assert fault.hits == [1]


async def test_fault_says_what_it_is(node):
    probe = Probe("mailer")
    fault = drop("mailer", int)
    st.cast(probe.pid, 1)
    assert repr(fault) == "<drop a int to 'mailer': 1 hits>"


# --- drop ----------------------------------------------------------------------------------------


async def test_caller_whose_call_is_lost_times_out(node):
    counter = await start_supervised(Counter)
    drop(counter)
    with pytest.raises(CallTimeoutError):
        await st.call(counter, "sum", timeout=60)
    assert not process_of(counter).deferred


async def test_caller_whose_call_is_lost_hears_of_the_exit(node):
    counter = await start_supervised(Counter)
    drop(counter)
    call = asyncio.create_task(st.call(counter, "sum", timeout=None))
    await wait_quiet()
    st.exit(counter, "kill")
    with pytest.raises(CallExitError):
        await call


async def test_supervised_send_that_is_lost_is_sent_again(node):
    counter = await start_supervised(Counter)
    drop(counter, int, nth=1)
    delivery = await st.send_supervised(counter, 5)
    assert (delivery.outcome, delivery.attempts) == ("confirmed", 2)
    assert await st.call(counter, "sum") == 5


# --- delay ---------------------------------------------------------------------------------------


async def test_delayed_message_comes_at_its_time(node):
    probe = Probe()
    delay(probe.pid, 10)
    st.cast(probe.pid, "hello")
    await probe.refuse(within=9.99)
    assert await probe.expect(timeout=0.02) == "hello"


async def test_senders_later_messages_wait_behind_a_delayed_one(node):
    probe = Probe()
    delay(probe.pid, 10, nth=1)
    for number in range(5):
        st.cast(probe.pid, number)
    await wait_quiet()
    assert probe.messages == []
    await advance(10)
    assert probe.messages == [0, 1, 2, 3, 4]
    st.cast(probe.pid, 5)
    assert await probe.expect(5, timeout=0.001)


async def test_messages_of_other_senders_overtake_a_delayed_one(node):
    probe = Probe()
    delay(probe.pid, 10, "slow")
    st.cast(probe.pid, "slow")

    async def other():
        st.cast(probe.pid, "quick")

    st.spawn(other)
    await wait_quiet()
    assert probe.messages == ["quick"]


async def test_delayed_call_is_answered(node):
    counter = await start_supervised(Counter, 3)
    delay(counter, 2)
    assert await st.call(counter, "sum") == 3
    assert not process_of(counter).deferred


async def test_delayed_call_whose_caller_gave_up_is_handled_all_the_same(node):
    probe = Probe()
    delay(probe.pid, 2)
    with pytest.raises(CallTimeoutError):
        await st.call(probe.pid, "anybody?", timeout=1)
    assert await probe.expect("anybody?")


async def test_delayed_call_ends_with_the_receiver(node):
    counter = await start_supervised(Counter)
    delay(counter, 10)
    call = asyncio.create_task(st.call(counter, "sum", timeout=None))
    await wait_quiet()
    st.exit(counter, "kill")
    with pytest.raises(CallExitError):
        await call
    await advance(10)


async def test_delayed_cast_that_comes_too_late_is_a_dead_letter(node):
    letters = []
    node.telemetry.attach(DEAD_LETTER, lambda _event, _numbers, details: letters.append(details["message"]))
    counter = await start_supervised(Counter, restart="temporary")
    delay(counter, 10)
    st.cast(counter, "late")
    st.exit(counter, "kill")
    await advance(10)
    assert letters == ["late"]


async def test_delayed_message_that_is_taken_back_does_not_come(node):
    probe = Probe()
    delay(probe.pid, 10, "hello")
    delivery = await st.send_supervised(probe.pid, "hello", timeout=1, retries=0, on_error="ignore")
    assert delivery.outcome == "rejected"
    await probe.refuse(within=60)


async def test_what_was_delayed_comes_after_the_fault_has_ended(node):
    probe = Probe()
    with delay(probe.pid, 10):
        st.cast(probe.pid, 1)
    st.cast(probe.pid, 2)
    await wait_quiet()
    assert probe.messages == []
    await advance(10)
    assert probe.messages == [1, 2]
    assert type(probe._process.mailbox) is Mailbox


async def test_delayed_message_stays_when_another_is_taken_back(node):
    probe = Probe()
    delay(probe.pid, 10)
    st.cast(probe.pid, "stays")
    sends = [
        asyncio.create_task(st.send_supervised(probe.pid, word, timeout=timeout, retries=0, on_error="ignore"))
        for word, timeout in (("goes", 1), ("goes too", 2), ("stays, too", 20))
    ]
    outcomes = [(await send).outcome for send in sends]
    assert outcomes == ["rejected", "rejected", "confirmed"]
    assert probe.messages == ["stays", "stays, too"]


async def test_second_lost_message_is_owed_beside_the_first(node):
    counter = await start_supervised(Counter)
    drop(counter)
    calls = [asyncio.create_task(st.call(counter, "sum", timeout=None)) for _ in range(2)]
    await wait_quiet()
    assert len(process_of(counter).deferred or ()) == 2
    st.exit(counter, "kill")
    assert [type(error) for error in await asyncio.gather(*calls, return_exceptions=True)] == [CallExitError] * 2


# --- duplicate -----------------------------------------------------------------------------------


async def test_doubled_cast_is_handled_twice(node):
    counter = await start_supervised(Counter)
    duplicate(counter, int)
    st.cast(counter, 4)
    assert await st.call(counter, "sum") == 8


async def test_second_reply_to_a_doubled_call_is_a_late_one(node):
    late = []
    node.telemetry.attach(LATE_REPLY, lambda _event, _numbers, details: late.append(details["cause"]))
    counter = await start_supervised(Counter, 3)
    duplicate(counter)
    assert await st.call(counter, "sum") == 3
    await wait_quiet()
    assert late == ["replied"]


async def test_doubled_message_that_is_taken_back_comes_not_once(node):
    class Slow(st.GenServer):
        def init(self, log):
            self.log = log

        async def handle_cast(self, message):
            self.log.append(message)
            await asyncio.sleep(5)

    log = []
    slow = await start_supervised(Slow, log)
    st.cast(slow, "work")
    duplicate(slow)
    delivery = await st.send_supervised(slow, "hello", timeout=1, retries=0, on_error="ignore")
    assert delivery.outcome == "rejected"
    await advance(60)
    assert log == ["work"]


async def test_monitor_is_taken_back_out_of_a_faulty_mailbox(node):
    probe, counter = Probe(), st.spawn(asyncio.sleep, 5)
    drop(probe.pid, "never")
    ref = probe.run(st.monitor, counter)
    st.exit(counter, "kill")
    probe.run(st.demonitor, ref)
    await probe.refuse(within=10)


# --- crash_on ------------------------------------------------------------------------------------


async def test_process_crashes_on_its_nth_message(node):
    counter = await start_supervised(Counter, restart="temporary")
    crash_on(counter, nth=3)
    for number in range(5):
        st.cast(counter, number)
    assert isinstance(await assert_down(counter), InjectedCrash)


async def test_caller_on_whose_call_it_crashes_hears_that_it_may_have_been_handled(node):
    await start_supervised(Counter, 2, name="counter")
    error = KeyError("injected")
    crash_on("counter", "sum", nth=1, error=error)
    with pytest.raises(CallExitError) as caught:
        await st.call("counter", "sum")
    assert (caught.value.reason, caught.value.handled) == (error, True)
    await wait_quiet()
    assert await st.call("counter", "sum") == 2


async def test_supervised_send_on_which_it_crashes_is_sent_again(node):
    await start_supervised(Counter, name="counter")
    crash_on("counter", int, nth=1)
    delivery = await st.send_supervised("counter", 5)
    assert (delivery.outcome, delivery.attempts) == ("confirmed", 2)
    assert await st.call("counter", "sum") == 5


# --- limits --------------------------------------------------------------------------------------


async def test_full_mailbox_refuses_as_ever_and_counts_no_hit(node):
    counter = await st.start(Counter, mailbox=1)
    fault = drop(counter, "sum")
    st.cast(counter, 1)
    with pytest.raises(CallOverflowError):
        await st.call(counter, "sum")
    assert fault.hits == []


async def test_mailbox_with_a_policy_keeps_it_under_a_fault_and_after(node):
    counter = await st.start(Counter, mailbox=st.MailboxPolicy(2, "drop_oldest"))
    with duplicate(counter, "no such message"):
        for number in (1, 10, 100):
            st.cast(counter, number)
    st.cast(counter, 1000)
    await wait_quiet()
    assert await st.call(counter, "sum") == 1100


async def test_sender_in_line_for_a_mailbox_with_a_fault_is_taken_back(node):
    counter = await st.start(Counter, mailbox=st.MailboxPolicy(1, "block"))
    drop(counter, "no such message")
    await suspend(counter)
    st.cast(counter, 1)
    cancelled, waiting = (asyncio.create_task(st.send_supervised(counter, number)) for number in (10, 100))
    await wait_quiet()
    cancelled.cancel()
    await wait_quiet()
    await resume(counter)
    assert await waiting
    assert await st.call(counter, "sum") == 101


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda ref: drop(ref, nth=0), "drop(nth): expected a whole number >= 1, got 0"),
        (lambda ref: drop(ref, nth=[1, -2]), "drop(nth): expected a whole number >= 1, got -2"),
        (lambda ref: duplicate(ref, nth="2"), "duplicate(nth): expected a whole number >= 1, got '2'"),
        (lambda ref: drop(ref, chance=1.5), "drop(chance): expected a number from 0 to 1, or None, got 1.5"),
        (lambda ref: drop(ref, chance=True), "drop(chance): expected a number from 0 to 1, or None, got True"),
        (lambda ref: crash_on(ref, error="x"), "crash_on(error): expected an instance of BaseException, got 'x'"),
        (
            lambda ref: delay(ref, -1),
            "delay(duration): expected seconds >= 0 as a finite number, or a timedelta, got -1",
        ),
        (lambda ref: drop(7), "drop(ref): expected a pid"),
    ],
)
async def test_wrong_arguments_are_refused(node, make, text):
    with pytest.raises(InvalidOptionError) as caught:
        make(Probe().pid)
    assert str(caught.value).startswith(text)


async def test_fault_for_one_that_has_ended_is_refused(node):
    counter = await st.start(Counter)
    await st.stop(counter)
    with pytest.raises(InvalidOptionError) as caught:
        drop(counter)
    assert str(caught.value) == "drop(ref): expected a process that lives, got <test.1>, which has ended"


async def test_fault_needs_a_node():
    with pytest.raises(st.StanchionError, match=r"drop\(ref\): expected a running node"):
        drop("mailer")
