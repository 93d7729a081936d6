# SPDX-License-Identifier: MIT
"""Whose turn it is: order within a recipient, fairness between them, and what does not fit into memory."""

from __future__ import annotations

import asyncio

import pytest

import stanchion as st
from stanchion.delivery import OutboxDelivery
from stanchion.outbox import Outbox, _lanes, _session
from stanchion.outbox._lanes import Lanes
from tests.delivery.servers import Flaky, Log, Recorder, Seen
from tests.outbox.support import leave_behind, stored


def begun(lanes: Lanes) -> list[str]:
    """Begin with all that can begin, and return the ends of their ids."""
    found = []
    while (held := lanes.begin()) is not None:
        found.append(held.message.id[-1])
    return found


def caught_up(concurrency: int = 100, per_recipient: int = 100) -> Lanes:
    lanes = Lanes(concurrency, per_recipient)
    lanes.looked({}, frozenset())
    return lanes


# --- lanes ---------------------------------------------------------------------------------------


def test_recipients_take_turns():
    lanes = caught_up()
    lanes.add([stored(1, recipient="a"), stored(2, recipient="a"), stored(3, recipient="a"), stored(4, recipient="b")])
    assert begun(lanes) == ["1", "4", "2", "3"]


def test_no_more_are_under_way_than_may_be():
    lanes = caught_up(concurrency=3, per_recipient=2)
    messages = [stored(1), stored(2), stored(3), stored(4, recipient="b"), stored(5, recipient="c")]
    lanes.add(messages)
    assert begun(lanes) == ["1", "4", "5"]
    lanes.end(messages[3])
    assert begun(lanes) == ["2"]
    lanes.end(messages[4])
    assert (begun(lanes), lanes.under_way, lanes.held) == ([], 2, 3)
    lanes.end(messages[0])
    assert begun(lanes) == ["3"]


def test_ordered_messages_go_one_after_another_and_hold_up_no_others():
    lanes = caught_up()
    ordered = [stored(number, ordered=True) for number in (1, 2)]
    lanes.add([*ordered, stored(3), stored(4)])
    assert begun(lanes) == ["1", "3", "4"]
    lanes.end(ordered[0])
    assert begun(lanes) == ["2"]


def test_what_a_lane_cannot_hold_is_not_taken_and_neither_is_what_comes_after_it(monkeypatch):
    monkeypatch.setattr(_lanes, "LANE_LIMIT", 2)
    lanes = caught_up()
    messages = [stored(number) for number in range(1, 6)]
    assert [lanes.takes(messages[0], more) for more in (0, 1, 2)] == [True, True, False]
    lanes.add(messages[:2])
    assert not lanes.takes(messages[2])
    lanes.fall_behind(messages[2])
    assert begun(lanes) == ["1", "2"]
    assert lanes.end(messages[0])  # there is room to claim
    assert not lanes.takes(messages[3])
    assert lanes.takes(stored(9, recipient="other"))
    lanes.looked({}, frozenset({"server"}))
    assert not lanes.takes(messages[3])
    lanes.looked({}, frozenset())
    assert lanes.takes(messages[3])


def test_all_lanes_together_have_a_limit(monkeypatch):
    monkeypatch.setattr(_lanes, "LIMIT", 2)
    lanes = caught_up()
    lanes.add([stored(1, recipient="a"), stored(2, recipient="b"), stored(3, recipient="c")])
    assert not lanes.takes(stored(4, recipient="d"))
    assert lanes.room == 0


def test_recipients_with_full_lanes_are_told(monkeypatch):
    monkeypatch.setattr(_lanes, "LANE_LIMIT", 1)
    lanes = caught_up()
    lanes.add([stored(1, recipient="a"), stored(2, recipient="a")])
    assert lanes.full == {"a"}


def test_ordered_message_waits_for_older_ones_that_are_not_claimed_yet():
    lanes = Lanes(10, 10)
    assert not lanes.takes(stored(5, ordered=True))
    assert lanes.takes(stored(6))
    waited_for = stored(5, ordered=True)
    lanes.add([waited_for])
    assert begun(lanes) == []
    lanes.add([stored(1, ordered=True)], claimed=True)
    lanes.looked({"server": stored(3).id}, None)
    assert begun(lanes) == ["1"]
    lanes.end(stored(1, ordered=True))
    assert begun(lanes) == []
    lanes.looked({}, frozenset())
    assert begun(lanes) == ["5"]


def test_ordered_message_overtakes_none_that_another_node_has():
    lanes = caught_up()
    lanes.add([stored(1, ordered=True), stored(5, ordered=True)])
    lanes.looked({"server": stored(3).id}, frozenset())
    assert not lanes.takes(stored(6, ordered=True))
    assert lanes.takes(stored(7))
    assert begun(lanes) == ["1"]
    lanes.end(stored(1, ordered=True))
    assert begun(lanes) == []
    assert not lanes.takes(stored(8, recipient="server", ordered=True))
    lanes.looked({}, frozenset())
    assert begun(lanes) == ["5"]


def test_ordered_message_waits_for_one_that_stays_in_the_database():
    lanes = caught_up()
    lanes.add([stored(1, ordered=True)])
    lanes.fall_behind(stored(2, ordered=True))
    lanes.fall_behind(stored(3, ordered=True))
    lanes.add([stored(4, ordered=True)])  # somebody waits for its end
    assert begun(lanes) == ["1"]
    lanes.end(stored(1, ordered=True))
    assert begun(lanes) == []


def test_lane_that_is_made_later_waits_for_what_others_have():
    lanes = Lanes(10, 10)
    lanes.looked({"server": stored(3).id}, frozenset())
    lanes.add([stored(2, ordered=True), stored(4, ordered=True)])
    assert begun(lanes) == ["2"]
    lanes.end(stored(2, ordered=True))
    assert begun(lanes) == []


def test_full_lane_claims_what_it_waits_for(monkeypatch):
    monkeypatch.setattr(_lanes, "LANE_LIMIT", 1)
    monkeypatch.setattr(_lanes, "LIMIT", 2)
    lanes = Lanes(10, 10)
    lanes.add([stored(5, ordered=True), stored(6, ordered=True)])
    assert (lanes.full, lanes.room) == (frozenset(), 1)
    lanes.add([stored(1, ordered=True)], claimed=True)
    lanes.looked({"server": stored(3).id}, None)
    assert (lanes.full, lanes.room) == ({"server"}, 0)


def test_ordered_messages_wait_for_one_that_was_put_back():
    lanes = caught_up()
    lanes.add([stored(1, ordered=True), stored(2, ordered=True)])
    assert begun(lanes) == ["1"]
    assert begun(lanes) == []
    lanes.put_back(stored(1, ordered=True))
    assert lanes.begin() == (stored(1, ordered=True), True)
    assert (begun(lanes), lanes.under_way, lanes.held) == ([], 1, 2)


def test_what_is_not_ours_any_more_is_forgotten_but_for_what_is_under_way():
    lanes = caught_up(per_recipient=1)
    lanes.add([stored(1), stored(2)])
    assert begun(lanes) == ["1"]
    lanes.clear()
    assert (lanes.held, lanes.under_way) == (1, 1)
    lanes.end(stored(1))
    lanes.looked({}, frozenset())
    assert (begun(lanes), lanes.held) == ([], 0)


# --- in a node -----------------------------------------------------------------------------------


async def test_ordered_durable_sends_keep_their_order_under_retries(new_node):
    async with new_node() as node:
        pid = await st.start(Flaky, 3, name="server")
        sent = [await st.send_supervised("server", number, durable=True, ordered=True) for number in range(4)]
        await node.outbox.wait_empty()
        seen = [info.message_id for info in await st.call(pid, Seen())]
        assert seen == [sent[0].message_id] * 3 + [one.message_id for one in sent]


async def test_ordered_sends_come_after_what_the_last_node_left(new_node, url):
    await leave_behind(url, [stored(number, ordered=True) for number in range(3)], process=None)
    async with new_node() as node:
        pid = await st.start(Recorder, name="server")
        await st.send_supervised("server", "new", durable=True, ordered=True)
        await st.send_supervised("server", "unordered", durable=True)
        waited_for = await st.send_supervised("server", "last", durable=True, ordered=True, ack="processed")
        assert waited_for
        await node.outbox.wait_empty()
        assert await st.call(pid, Log()) == ["unordered", 0, 1, 2, "new", "last"]


async def test_more_messages_than_fit_into_memory_are_delivered_in_their_order(new_node, monkeypatch):
    monkeypatch.setattr(_lanes, "LANE_LIMIT", 5)
    monkeypatch.setattr(_lanes, "LIMIT", 12)
    async with new_node() as node:
        pids = [await st.start(Recorder, name=name) for name in "abc"]
        sends = [
            st.send_supervised(name, number, durable=True, ordered=name == "a")
            for number in range(30)
            for name in "abc"
        ]
        await asyncio.gather(*sends)
        assert node.outbox.statistics().held <= 12
        await node.outbox.wait_empty()
        first, *others = [await st.call(pid, Log()) for pid in pids]
        assert first == list(range(30))
        assert [sorted(log) for log in others] == [list(range(30))] * 2


async def test_more_than_one_look_takes_is_claimed_by_the_next(new_node, url, monkeypatch):
    monkeypatch.setattr(_session, "_CLAIM_LIMIT", 10)
    await leave_behind(url, [stored(number) for number in range(25)], process=None)
    outbox = Outbox(url, per_recipient=1)
    async with new_node(database=None, dead_letters="memory:", services=[outbox, OutboxDelivery(outbox)]):
        pid = await st.start(Recorder, name="server")
        await outbox.wait_empty()
        assert await st.call(pid, Log()) == list(range(25))


async def test_nothing_is_claimed_while_there_is_no_room(new_node, monkeypatch):
    monkeypatch.setattr(_lanes, "LIMIT", 0)
    async with new_node() as node:
        pid = await st.start(Recorder, name="server")
        await st.send_supervised("server", "hello", durable=True)
        await asyncio.sleep(5)
        assert await node.outbox.count() == {"server": 1}
        monkeypatch.setattr(_lanes, "LIMIT", 10)
        await node.outbox.wait_empty()
        assert await st.call(pid, Log()) == ["hello"]


async def test_slow_recipient_holds_up_no_other(new_node):
    async with new_node() as node:
        await st.start(Recorder, name="slow")
        pid = await st.start(Recorder, name="quick")
        for _ in range(300):
            await st.send_supervised(
                "slow", ("sleep", 60), durable=True, timeout=None, deadline=None, on_error="ignore"
            )
        await st.send_supervised("quick", "hello", durable=True)
        await asyncio.sleep(1)
        assert await st.call(pid, Log()) == ["hello"]
        assert await node.outbox.count() == {"slow": 300}


@pytest.mark.parametrize("ordered", [False, True])
async def test_all_waiting_callers_are_answered_however_much_is_held(new_node, monkeypatch, ordered):
    monkeypatch.setattr(_lanes, "LANE_LIMIT", 2)
    async with new_node() as node:
        await st.start(Recorder, name="server")
        sends = [
            st.send_supervised("server", number, durable=True, ordered=ordered, ack="processed") for number in range(20)
        ]
        assert all(await asyncio.gather(*sends))
        await node.outbox.wait_empty()
