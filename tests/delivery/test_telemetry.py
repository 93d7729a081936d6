# SPDX-License-Identifier: MIT
"""What a supervised send tells of itself."""

from __future__ import annotations

import stanchion as st
from stanchion.telemetry import DEAD_LETTER, DELIVERY_RETRY, DELIVERY_STOP, MESSAGE_UNHANDLED
from stanchion.testing import advance
from tests.delivery.servers import Log, Recorder

STEADY = st.Backoff(initial=1, factor=2, jitter=0)


def listen(node: st.Node, event) -> list[tuple[dict[str, float], dict[str, object]]]:
    heard: list[tuple[dict[str, float], dict[str, object]]] = []
    node.telemetry.attach(event, lambda _event, numbers, details: heard.append((dict(numbers), dict(details))))
    return heard


async def test_each_retry_and_the_end_are_told(node):
    retries, ends = listen(node, DELIVERY_RETRY), listen(node, DELIVERY_STOP)
    delivery = await st.send_supervised("nobody", "hello", retries=2, backoff=STEADY, on_error="ignore")
    told = {"node": "test", "recipient": "nobody", "message_id": delivery.message_id, "reason": "noproc"}
    assert retries == [({"attempt": 1, "delay": 1.0}, told), ({"attempt": 2, "delay": 2.0}, told)]
    assert ends == [
        ({"elapsed": 3.0, "attempts": 3}, {**told, "outcome": "rejected", "duplicate": False, "dead_letter_id": None}),
    ]


async def test_confirmed_send_is_told_too(node):
    ends = listen(node, DELIVERY_STOP)
    pid = await st.start(Recorder)
    await st.send_supervised(pid, "hello")
    ((numbers, details),) = ends
    assert numbers == {"elapsed": 0.0, "attempts": 1}
    assert (details["outcome"], details["reason"]) == ("confirmed", None)


async def test_enqueued_message_that_is_rejected_is_a_dead_letter_event(node):
    lost = listen(node, DEAD_LETTER)
    pid = await st.start(Recorder)
    assert await st.send_supervised(pid, "reject", ack="enqueued")
    await st.call(pid, Log())
    assert [details["reason"] for _, details in lost] == ["rejected: not now"]
    assert lost[0][1]["message"] == "reject"


async def test_enqueued_message_without_a_clause_is_told_once(node):
    lost, unhandled = listen(node, DEAD_LETTER), listen(node, MESSAGE_UNHANDLED)
    pid = await st.start(Recorder)
    assert await st.send_supervised(pid, "unknown", ack="enqueued")
    await st.call(pid, Log())
    assert lost == []
    assert [details["message"] for _, details in unhandled] == ["unknown"]


async def test_enqueued_message_whose_receiver_exits_first_is_a_dead_letter_event(node):
    lost = listen(node, DEAD_LETTER)
    pid = await st.start(Recorder)
    assert await st.send_supervised(pid, ("sleep", 10), ack="enqueued")
    await advance(1)
    assert await st.send_supervised(pid, "hello", ack="enqueued")
    st.exit(pid, "kill")
    await st.wait_exit(pid, timeout=1)
    # the first one's handler had begun
    assert [details["message"] for _, details in lost] == ["hello"]
