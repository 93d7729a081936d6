# SPDX-License-Identifier: MIT
"""Sends through a circuit breaker: rejected at once while it is open, and heard by it otherwise."""

from __future__ import annotations

import asyncio

import pytest

import stanchion as st
from stanchion.breakers import BreakerPolicy, CircuitBreaker
from stanchion.dead_letters import DeadLetterQueue, MemoryStore
from stanchion.testing import advance
from tests.delivery.servers import Flaky, Log, Recorder

STEADY = st.Backoff(initial=1, factor=1, jitter=0)
REFUSED = "refused: not now"
QUIET = {"on_error": "ignore", "backoff": STEADY}
POLICY = BreakerPolicy(failure_threshold=2, reset_timeout=st.Backoff(initial=60, factor=1, maximum=60, jitter=0))


def breaker(node: st.Node, **options) -> CircuitBreaker:
    return CircuitBreaker("gate", POLICY, clock=node.clock, **options)


async def test_send_is_rejected_at_once_when_the_circuit_is_open(node):
    pid = await st.start(Recorder)
    gate = breaker(node)
    gate.trip("maintenance")
    delivery = await st.send_supervised(pid, "hello", breaker=gate, **QUIET)
    assert (delivery.outcome, delivery.reason, delivery.attempts, delivery.elapsed) == (
        "rejected", "circuit_open", 0, 0.0,
    )  # fmt: skip
    assert await st.call(pid, Log()) == []


async def test_text_says_which_breaker_and_why_and_for_how_long(node):
    gate = breaker(node)
    for _ in range(2):
        await st.send_supervised("nobody", "hello", breaker=gate, retries=0, **QUIET)
    delivery = await st.send_supervised("nobody", "hello", breaker=gate, **QUIET)
    assert (
        delivery.reason_text
        == "circuit_open: breaker 'gate' is open (2 failures in a row, the last: noproc), for 60 s more"
    )


async def test_text_gives_no_time_when_a_person_opened_the_circuit(node):
    gate = breaker(node)
    gate.trip("maintenance")
    delivery = await st.send_supervised("nobody", "hello", breaker=gate, **QUIET)
    assert delivery.reason_text == "circuit_open: breaker 'gate' is open (tripped: maintenance)"


async def test_each_attempt_is_told_and_the_one_after_the_last_straw_is_not_made(node):
    delivery = await st.send_supervised("nobody", "hello", breaker=breaker(node), **QUIET)
    assert (delivery.reason, delivery.attempts, delivery.elapsed) == ("circuit_open", 2, 2.0)


async def test_outcome_stays_unknown_when_the_circuit_opens_after_an_attempt_that_may_have_been_handled(node):
    pid = await st.start(Recorder)
    delivery = await st.send_supervised(pid, ("sleep", 50), timeout=1, breaker=breaker(node), **QUIET)
    assert (delivery.outcome, delivery.reason, delivery.attempts) == ("unknown", "circuit_open", 2)


async def test_confirmed_sends_keep_the_circuit_closed(node):
    pid = await st.start(Recorder)
    gate = breaker(node)
    for message in ("reject", "hello") * 3:
        await st.send_supervised(pid, message, breaker=gate, retries=0, **QUIET)
    assert gate.state == "closed"


@pytest.mark.parametrize("message", ["reject", "reject for good", "unknown"])
async def test_receiver_that_says_no_is_there_and_answers(node, message):
    pid = await st.start(Recorder)
    gate = breaker(node)
    for _ in range(3):
        await st.send_supervised(pid, message, breaker=gate, retries=0, **QUIET)
    assert gate.state == "closed"


async def test_policy_may_see_it_otherwise(node):
    pid = await st.start(Recorder)
    gate = CircuitBreaker("gate", BreakerPolicy(failure_threshold=1, is_failure=lambda error: str(error) == REFUSED))
    await st.send_supervised("nobody", "hello", breaker=gate, retries=0, **QUIET)
    assert gate.state == "closed"
    await st.send_supervised(pid, "reject", breaker=gate, retries=0, **QUIET)
    assert gate.state == "open"


async def test_probe_closes_the_circuit_when_it_is_confirmed(node):
    pid = await st.start(Recorder)
    gate = breaker(node)
    for _ in range(2):
        await st.send_supervised("nobody", "hello", breaker=gate, retries=0, **QUIET)
    await advance(61)
    assert await st.send_supervised(pid, "probe", breaker=gate)
    assert gate.state == "closed"


async def test_cancelled_probe_lets_another_one_through(node):
    pid = await st.start(Recorder)
    gate = breaker(node)
    for _ in range(2):
        await st.send_supervised("nobody", "hello", breaker=gate, retries=0, **QUIET)
    await advance(61)
    probe = asyncio.create_task(st.send_supervised(pid, ("sleep", 3), breaker=gate))
    await advance(1)
    delivery = await st.send_supervised(pid, "second", breaker=gate, **QUIET)
    assert delivery.reason == "circuit_open"
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe
    assert await st.send_supervised(pid, "third", breaker=gate)


async def test_breaker_is_one_of_the_nodes_when_it_is_given_by_name(node):
    for _ in range(5):
        await st.send_supervised("nobody", "hello", breaker="gate", retries=0, **QUIET)
    assert node.breakers.get("gate").state == "open"
    assert (await st.send_supervised("somebody", "hello", breaker="gate", **QUIET)).reason == "circuit_open"
    assert (await st.send_supervised("somebody", "hello", retries=0, **QUIET)).reason == "noproc"


async def test_each_recipient_has_its_own_when_the_node_says_so(new_node):
    async with new_node(breaker=POLICY):
        pid = await st.start(Recorder, name="server")
        await st.send_supervised("nobody", "hello", **QUIET)
        assert (await st.send_supervised("nobody", "hello", **QUIET)).reason == "circuit_open"
        assert await st.send_supervised("server", "hello")
        assert await st.call(pid, Log()) == ["hello"]


async def test_broadcast_is_rejected_by_those_whose_circuit_is_open(new_node):
    async with new_node(breaker=POLICY):
        await st.start(Recorder, name="server")
        await st.send_supervised("nobody", "hello", **QUIET)
        report = await st.broadcast_supervised(["server", "nobody"], "hello", **QUIET)
        assert [delivery.reason for delivery in report.deliveries] == [None, "circuit_open"]


async def test_all_or_nothing_gives_it_to_nobody_when_one_circuit_is_open(new_node):
    async with new_node(breaker=POLICY) as node:
        pid = await st.start(Recorder, name="server")
        await st.send_supervised("nobody", "hello", **QUIET)
        report = await st.broadcast_supervised(
            ["server", "nobody"], "hello", strategy="all_or_nothing", retries=5, **QUIET
        )
        assert [delivery.reason for delivery in report.deliveries] == ["aborted", "circuit_open"]
        assert report.elapsed == 0
        assert await st.call(pid, Log()) == []
        server = node.breakers.get("server").statistics()
        assert (server.successes, server.failures) == (0, 0)


async def test_all_or_nothing_tells_the_breaker_of_the_one_that_could_not_take_it(new_node):
    async with new_node(breaker=POLICY) as node:
        await st.start(Recorder, name="server")
        report = await st.broadcast_supervised(
            ["server", "nobody"], "hello", strategy="all_or_nothing", retries=5, **QUIET
        )
        assert [delivery.reason for delivery in report.deliveries] == ["aborted", "circuit_open"]
        assert report.elapsed == 2.0
        assert (node.breakers.get("server").state, node.breakers.get("nobody").state) == ("closed", "open")


async def test_all_or_nothing_tells_the_breakers_of_those_who_took_it(new_node):
    async with new_node(breaker=POLICY) as node:
        await st.start(Flaky, 1, name="flaky")
        assert await st.broadcast_supervised(["flaky"], "hello", strategy="all_or_nothing", **QUIET)
        assert node.breakers.get("flaky").statistics().successes == 2  # one that was refused, and one that was taken


async def test_all_or_nothing_gives_it_to_nobody_when_a_listener_takes_the_last_place(new_node):
    async with new_node(breaker=POLICY) as node:
        await st.send_supervised("narrow", "hello", **QUIET)
        await advance(61)
        narrow, other = await st.start(Recorder, name="narrow", mailbox=1), await st.start(Recorder)
        node.breakers.get("narrow").add_listener(lambda change: st.cast(narrow, str(change.after)))
        report = await st.broadcast_supervised(
            ["narrow", other], "hello", strategy="all_or_nothing", retries=0, **QUIET
        )
        assert [delivery.reason for delivery in report.deliveries] == ["overflow", "aborted"]
        assert (await st.call(narrow, Log()), await st.call(other, Log())) == (["half_open"], [])


async def test_letter_is_not_charged_while_the_circuit_of_its_recipient_is_open(new_node):
    letters = DeadLetterQueue(MemoryStore(), backoff=st.Backoff(initial=30, factor=1, maximum=30, jitter=0))
    async with new_node(dead_letters=letters, breaker=POLICY) as node:
        sent = await st.send_supervised("server", "hello", retries=0, on_error="dead_letter")
        pid = await st.start(Recorder, name="server")
        node.breakers.get("server").trip("maintenance")
        await asyncio.sleep(100)
        letter = await node.dead_letters.get(sent.dead_letter_id)
        assert (letter.state, letter.redeliveries) == ("waiting", 0)
        node.breakers.get("server").reset()
        await asyncio.sleep(10)
        assert await st.call(pid, Log()) == ["hello"]


async def test_letter_that_comes_second_to_a_probe_waits_for_it_and_is_not_charged(new_node):
    letters = DeadLetterQueue(MemoryStore(), backoff=st.Backoff(initial=30, factor=1, maximum=30, jitter=0))
    async with new_node(dead_letters=letters, breaker=POLICY) as node:
        sent = [
            await st.send_supervised("server", ("sleep", seconds), retries=0, on_error="dead_letter")
            for seconds in (3, 4)
        ]
        assert node.breakers.get("server").state == "open"
        pid = await st.start(Recorder, name="server")
        await asyncio.sleep(80)
        stored = [await node.dead_letters.get(delivery.dead_letter_id) for delivery in sent]
        assert [(letter.state, letter.redeliveries) for letter in stored] == [("delivered", 1), ("delivered", 1)]
        assert sorted(await st.call(pid, Log())) == [("sleep", 3), ("sleep", 4)]


async def test_send_whose_deadline_has_passed_is_no_probe(node):
    pid = await st.start(Recorder)
    gate = breaker(node)
    for _ in range(2):
        await st.send_supervised("nobody", "hello", breaker=gate, retries=0, **QUIET)
    await advance(60)
    async with st.deadline(0):
        await st.send_supervised(pid, "late", breaker=gate, **QUIET)
    assert gate.state == "open"
    assert await st.send_supervised(pid, "probe", breaker=gate, **QUIET)
    assert gate.state == "closed"


async def test_attempt_that_a_deadline_cut_is_a_failure(node):
    pid = await st.start(Recorder)
    gate = breaker(node)
    async with st.deadline(1):
        await st.send_supervised(pid, ("sleep", 5), breaker=gate, **QUIET)
    assert gate.statistics().failures == 1
