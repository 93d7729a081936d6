# SPDX-License-Identifier: MIT
"""A send that timed out says which limit it was, what is known of the message, and what its recipient was doing."""

from __future__ import annotations

import asyncio

import stanchion as st
from stanchion.kernel import DEADLINE, Deadline, rule_text
from stanchion.kernel._site import caller
from stanchion.testing import VirtualClock, advance
from stanchion.timeouts import POLICY, SEND
from tests.delivery.servers import Recorder

QUIET = {"on_error": "ignore", "retries": 0}


async def busy(**options: object) -> st.Pid:
    pid = await st.start(Recorder, **options)
    st.cast(pid, ("sleep", 100))
    await advance(1)
    return pid


async def test_text_says_that_the_message_is_in_hand(node):
    pid = await st.start(Recorder)
    delivery = await st.send_supervised(pid, ("sleep", 60), timeout=2, **QUIET)
    assert delivery.reason_text == (
        "timeout: no ack within 2 s (timeout=2); it is being handled, and may be processed yet; "
        "Recorder <test.1> has had ('sleep', 60) in hand for 2.01 s; no message waits in its mailbox"
    )
    assert delivery.failure is not None
    assert (delivery.failure.handled, delivery.failure.retry) == (True, True)


async def test_text_says_that_the_message_was_taken_back_and_who_had_the_recipient(node):
    pid = await busy()
    st.cast(pid, "waits")
    delivery = await st.send_supervised(pid, "hello", timeout=2, **QUIET)
    assert delivery.reason_text == (
        "timeout: no ack within 2 s (timeout=2); it was taken back, and not processed; "
        "Recorder <test.1> has had ('sleep', 100) in hand for 3.01 s; 1 message waits in its mailbox"
    )


async def test_text_says_that_there_was_no_place_in_the_mailbox(node):
    pid = await busy(mailbox=st.MailboxPolicy(1, "block"))
    st.cast(pid, "waits")
    delivery = await st.send_supervised(pid, "hello", timeout=2, **QUIET)
    assert delivery.reason_text == (
        "overflow: no place in its mailbox within 2 s (timeout=2); it was taken back, and not processed; "
        "Recorder <test.1> has had ('sleep', 100) in hand for 3.01 s; 1 message waits in its mailbox"
    )


async def test_text_says_that_the_handler_put_the_outcome_off(node):
    class Postponing(st.GenServer):
        def handle_cast(self, message: object) -> object:
            from stanchion.server._directives import HELD
            from stanchion.server._held import hold

            hold(st.self_pid()._process)
            return HELD

    pid = await st.start(Postponing)
    delivery = await st.send_supervised(pid, "hello", timeout=2, **QUIET)
    assert delivery.reason_text == (
        "timeout: no ack within 2 s (timeout=2); its handler has put the outcome off; "
        "Postponing <test.1> has no message in hand; no message waits in its mailbox"
    )


async def test_text_says_no_more_than_is_known(node):
    pid = await busy()
    sending = asyncio.create_task(st.send_supervised(pid, "hello", timeout=2, **QUIET))
    await advance(0)
    # As if it had been handled in the very step in which the time was up.
    pid._mailbox.queue.popleft()
    assert "; it may have been processed; " in (await sending).reason_text


async def test_text_names_the_rule_of_the_policy(new_node):
    async with new_node(timeouts=st.TimeoutPolicy(operations={"sleep": 3})) as node:
        pid = await st.start(Recorder)
        delivery = await st.send_supervised(pid, ("sleep", 60), **QUIET)
        rule = rule_text(node, Recorder, None, ("sleep", 60), POLICY)
        assert delivery.reason_text.startswith(f"timeout: no ack within 3 s ({rule}); it is being handled")


async def test_text_names_the_deadline_of_the_send(new_node):
    async with new_node(timeouts=st.TimeoutPolicy(operations={"stanchion.send": 4})) as node:
        pid = await st.start(Recorder)
        delivery = await st.send_supervised(pid, ("sleep", 60), timeout=None, deadline=3, **QUIET)
        assert delivery.reason_text.startswith("timeout: no ack within 3 s (what was left of deadline=3); ")
        pid = await st.start(Recorder)
        delivery = await st.send_supervised(pid, ("sleep", 60), timeout=None, **QUIET)
        rule = rule_text(node, Recorder, None, SEND, POLICY)
        assert delivery.reason_text.startswith(f"timeout: no ack within 4 s (what was left of {rule}); ")


async def test_text_names_the_scope(node):
    pid = await st.start(Recorder)
    async with st.deadline(2):
        await asyncio.sleep(0.5)
        delivery = await st.send_supervised(pid, ("sleep", 60), **QUIET)
    assert delivery.reason_text.startswith("timeout: no ack within 1.5 s (what was left of the deadline of 2 s set at ")


async def test_text_names_the_scope_of_another_node_that_has_not_passed_on_the_clock_of_that(node):
    class Standing(VirtualClock):
        def monotonic(self) -> float:
            return 0.0

    pid = await st.start(Recorder)
    DEADLINE.set(Deadline(2.0, st.Node(clock=Standing()), 2.0, caller()))
    delivery = await st.send_supervised(pid, ("sleep", 60), timeout=None, deadline=None, **QUIET)
    assert delivery.reason_text.startswith("timeout: no ack within 2 s (what was left of the deadline of 2 s set at ")


async def test_dead_letter_keeps_the_text_of_each_attempt(new_node):
    async with new_node(dead_letters="memory:") as node:
        await st.start(Recorder, name="server")
        delivery = await st.send_supervised(
            "server",
            ("sleep", 60),
            timeout=2,
            retries=1,
            backoff=st.Backoff(initial=1, jitter=0),
            on_error="dead_letter",
        )
        letter = await node.dead_letters.get(delivery.dead_letter_id)
        first, second = letter.attempts
        assert first.error == (
            "timeout: no ack within 2 s (timeout=2); it is being handled, and may be processed yet; "
            "Recorder <node.2 server> has had ('sleep', 60) in hand for 2.01 s; no message waits in its mailbox"
        )
        assert second.error.startswith("timeout: no ack within 2 s (timeout=2); it was taken back, and not processed; ")
        assert letter.error == delivery.reason_text
