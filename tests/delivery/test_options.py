# SPDX-License-Identifier: MIT
"""What the options of a send take, and the text for what they do not."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

import stanchion as st
from stanchion.errors import InvalidOptionError, NoNodeError
from tests.delivery.servers import Log, Recorder

WRONG = [
    (
        {"ack": "procesed"},
        "send_supervised(ack): expected one of 'enqueued', 'processed', got 'procesed'\nFix: write 'processed'.",
    ),
    (
        {"timeout": -1},
        "send_supervised(timeout): expected seconds >= 0 as a finite number, or a timedelta, got -1",
    ),
    (
        {"timeout": float("nan")},
        "send_supervised(timeout): expected seconds >= 0 as a finite number, or a timedelta, got nan",
    ),
    ({"retries": -1}, "send_supervised(retries): expected a whole number >= 0, got -1"),
    ({"retries": True}, "send_supervised(retries): expected a whole number >= 0, got True"),
    ({"backoff": 2}, "send_supervised(backoff): expected an instance of Backoff, got 2"),
    (
        {"deadline": "soon"},
        "send_supervised(deadline): expected seconds >= 0 as a finite number, or a timedelta, got 'soon'",
    ),
    (
        {"on_error": "deadletter"},
        (
            "send_supervised(on_error): expected one of 'log', 'dead_letter', 'raise', 'ignore', got 'deadletter'\n"
            "Fix: write 'dead_letter'."
        ),
    ),
    ({"metadata": {1: "a"}}, "send_supervised(metadata): expected a mapping with string keys, got {1: 'a'}"),
    (
        {"idempotency_key": 17},
        (
            "send_supervised(idempotency_key): expected text of 1 to 200 characters, or None, got 17\n"
            "Fix: make it of what the message is about, f'order-{order.id}' say."
        ),
    ),
    (
        {"idempotency_key": ""},
        "send_supervised(idempotency_key): expected text of 1 to 200 characters, or None, got ''",
    ),
    ({"ordered": "yes"}, "send_supervised(ordered): expected an instance of bool, got 'yes'"),
    ({"poison_after": 0}, "send_supervised(poison_after): expected a whole number >= 1, got 0"),
    (
        {"breaker": ""},
        "send_supervised(breaker): expected a CircuitBreaker, the name of one of the node's, or None, got ''",
    ),
]


@pytest.mark.parametrize(("options", "text"), WRONG, ids=[f"{options}" for options, _ in WRONG])
async def test_send_tells_the_mistake_and_sends_nothing_when_an_option_is_wrong(node, options, text):
    pid = await st.start(Recorder)
    with pytest.raises(InvalidOptionError) as caught:
        await st.send_supervised(pid, "hello", **options)
    assert str(caught.value) == text
    assert await st.call(pid, Log()) == []


async def test_send_takes_timedeltas_and_no_limits(node):
    pid = await st.start(Recorder)
    assert await st.send_supervised(pid, 1, timeout=timedelta(seconds=1), deadline=timedelta(minutes=1))
    assert await st.send_supervised(pid, 2, timeout=None, deadline=None)
    assert await st.send_supervised(pid, 3, timeout=1, deadline=2)


async def test_send_tells_the_mistake_when_the_ref_is_none(node):
    with pytest.raises(InvalidOptionError) as caught:
        await st.send_supervised(42, "hello")
    assert str(caught.value) == (
        "send_supervised(ref): expected a pid or a registered name, got 42\n"
        "Fix: pass what start() or spawn() returned, or the name= the process was started with."
    )


async def test_send_needs_a_node_when_the_recipient_is_a_name():
    with pytest.raises(NoNodeError) as caught:
        await st.send_supervised("inventory", "hello")
    assert str(caught.value) == (
        "send_supervised(): expected a running node, got none in this context\n"
        "Fix: run it inside `async with stanchion.Node():`, or inside a process, or pass a pid."
    )


async def test_process_cannot_wait_for_itself(new_node):
    class Selfish(st.GenServer):
        async def handle_call(self, request: object, sender: st.Sender) -> object:
            try:
                await st.send_supervised(st.self_pid(), "hello")
            except InvalidOptionError as error:
                return str(error)
            return None

    async with new_node():
        pid = await st.start(Selfish, name="me")
        assert await st.call(pid, "go") == (
            "send_supervised(ref): expected another process, since a process cannot handle a message while it waits "
            "for that, got the sending process itself, Selfish <node.1 me>\n"
            "Fix: pass ack='enqueued', or cast to yourself."
        )


async def test_process_may_enqueue_to_itself(new_node):
    class Echo(Recorder):
        async def handle_call(self, request: object, sender: st.Sender) -> object:
            if request == "go":
                return (await st.send_supervised(st.self_pid(), "hello", ack=st.Ack.ENQUEUED)).outcome
            return list(self.log)

    async with new_node():
        pid = await st.start(Echo)
        assert await st.call(pid, "go") == "confirmed"
        assert await st.call(pid, Log()) == ["hello"]


async def test_task_of_a_process_may_wait_for_that_process(new_node):
    class Parent(Recorder):
        async def handle_call(self, request: object, sender: st.Sender) -> object:
            if request == "go":
                self.task = asyncio.create_task(st.send_supervised(st.self_pid(), "hello"))
            else:
                return (await self.task).outcome
            return None

    async with new_node():
        pid = await st.start(Parent)
        await st.call(pid, "go")
        assert await st.call(pid, "outcome") == "confirmed"
