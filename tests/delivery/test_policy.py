# SPDX-License-Identifier: MIT
"""How long sends wait is what the node's policy says of the recipient and the message, where the code says nothing."""

from __future__ import annotations

import asyncio

import pytest

import stanchion as st
from stanchion.dead_letters import DeadLetterQueue, MemoryStore
from stanchion.errors import InvalidOptionError
from stanchion.testing import advance, perform
from stanchion.timeouts import POLICY
from tests.delivery.servers import Address, Log, Recorder

QUIET = {"on_error": "ignore", "retries": 0}
ONCE_A_SECOND = st.Backoff(initial=1, factor=1, jitter=0)
TICK = 1 / 128


class Slow(st.GenServer):
    """Takes a minute for whatever it gets, and keeps what it knows of the time that is left."""

    def init(self) -> None:
        self.left: list[float | None] = []

    def handle_call(self, request: object, sender: st.Sender) -> object:
        return self.left

    async def handle_cast(self, message: object) -> None:
        info = st.message_info()
        self.left.append(None if info is None else info.remaining())
        await asyncio.sleep(60)


def ends(seconds: float, delivery: st.Delivery) -> bool:
    return delivery.reason == "timeout" and seconds <= delivery.elapsed <= seconds + TICK


async def test_attempt_waits_as_long_as_the_rule_of_the_operation_says(new_node):
    async with new_node(timeouts=st.TimeoutPolicy(9, operations={"pay": 2})):
        pid = await st.start(Slow)
        assert ends(2, await st.send_supervised(pid, ("pay", 17), **QUIET))
        assert ends(9, await st.send_supervised(await st.start(Slow), ("ship", 17), **QUIET))


async def test_attempt_waits_as_long_as_the_rule_of_the_service_says(new_node):
    async with new_node(timeouts=st.TimeoutPolicy(9, services={"slow": 3, Slow: 4})):
        await st.start(Slow, name="slow")
        assert ends(3, await st.send_supervised("slow", "hello", **QUIET))
        assert ends(4, await st.send_supervised(await st.start(Slow), "hello", **QUIET))


async def test_attempts_of_a_broadcast_wait_as_long_as_each_recipients_rule_says(new_node):
    async with new_node(timeouts=st.TimeoutPolicy(9, services={"slow": 3})):
        pids = [await st.start(Slow), await st.start(Slow, name="slow")]
        report = await st.broadcast_supervised(pids, "hello", **QUIET)
        assert [ends(seconds, one) for seconds, one in zip((9, 3), report.deliveries, strict=True)] == [True, True]


async def test_perform_waits_as_long_as_the_rule_says(new_node):
    async with new_node(timeouts=st.TimeoutPolicy(9, operations={"pay": 2})):
        pid = await st.start(Slow)
        with pytest.raises(AssertionError, match="no ack within 2 s"):
            await perform(pid, ("pay", 17))


async def test_send_is_given_up_after_half_a_minute_when_no_rule_speaks_of_it(node):
    pid = await st.start(Recorder)
    assert ends(30, await st.send_supervised(pid, ("sleep", 60), timeout=None, on_error="ignore"))


async def test_send_is_given_up_when_the_rule_says(new_node):
    async with new_node(timeouts=st.TimeoutPolicy(operations={"stanchion.send": 7})):
        pid = await st.start(Slow)
        assert ends(7, await st.send_supervised(pid, "hello", timeout=None, on_error="ignore"))
        delivery = await st.send_supervised(
            "nobody", "hello", backoff=ONCE_A_SECOND, retries=99, timeout=None, on_error="ignore"
        )
        assert (delivery.reason, delivery.attempts, delivery.elapsed) == ("noproc", 7, 6.0)
        report = await st.broadcast_supervised([await st.start(Slow)], "hello", timeout=None, on_error="ignore")
        assert ends(7, report.deliveries[0])


async def test_receiver_sees_the_deadline_that_the_rule_gives(new_node):
    async with new_node(timeouts=st.TimeoutPolicy(operations={"stanchion.send": 7})):
        pid = await st.start(Slow)
        await st.send_supervised(pid, "hello", **QUIET)
        await st.send_supervised(pid, "hello", deadline=None, **QUIET)
        await advance(120)
        assert await st.call(pid, "left") == [7.0]
        await st.send_supervised(pid, "hello", deadline=None, timeout=0.5, **QUIET)
        await advance(120)
        assert await st.call(pid, "left") == [7.0, None]


async def test_rule_of_the_recipient_says_nothing_of_a_whole_send(new_node):
    async with new_node(timeouts=st.TimeoutPolicy(services={"slow": 3})):
        await st.start(Slow, name="slow")
        for ordered in (False, True):
            assert ends(30, await st.send_supervised("slow", "hello", timeout=None, ordered=ordered, on_error="ignore"))


async def test_changed_rule_counts_from_the_next_send_on(new_node):
    async with new_node(timeouts=st.TimeoutPolicy(5)) as node:
        pid = await st.start(Recorder)
        assert ends(5, await st.send_supervised(pid, ("sleep", 10), **QUIET))
        await advance(10)
        node.timeouts.set(2, service=Recorder)
        assert ends(2, await st.send_supervised(pid, ("sleep", 10), **QUIET))
        await advance(10)
        node.timeouts.set(1, operation="stanchion.send")
        assert ends(1, await st.send_supervised(pid, ("sleep", 10), **QUIET))
        await advance(10)


async def test_deadline_that_is_no_limit_is_written_out(node):
    pid = await st.start(Recorder)
    assert (await st.send_supervised(pid, ("sleep", 600), timeout=None, deadline=None)).elapsed == 600


async def test_cast_waits_for_a_credit_as_long_as_the_rule_of_the_message_says(new_node):
    async with new_node(timeouts=st.TimeoutPolicy(9, operations={"pay": 2, "stanchion.drain": 4})) as node:
        pid = await st.start(Recorder)
        for ref in (pid, Address(pid)):
            sender = st.credits(ref, window=1)
            await sender.cast(("sleep", 60))
            before = node.clock.monotonic()
            assert not await sender.cast(("pay", 17))
            assert 2 <= node.clock.monotonic() - before <= 2 + TICK
            with pytest.raises(TimeoutError, match="within 4 s"):
                await sender.drain()
            assert 6 <= node.clock.monotonic() - before <= 6 + 2 * TICK
            await sender.drain(timeout=None)


async def test_cast_waits_for_a_credit_of_somebody_who_is_away_as_long_as_the_default_says(new_node):
    async with new_node(timeouts=st.TimeoutPolicy(3)) as node:
        address = Address(await st.start(Recorder))
        sender = st.credits(address, window=1)
        await sender.cast(("sleep", 60))
        address.pid = None
        before = node.clock.monotonic()
        assert not await sender.cast("hello")
        assert 3 <= node.clock.monotonic() - before <= 3 + TICK
        await sender.drain(timeout=None)


async def test_redelivery_waits_as_long_as_the_rule_of_recipient_and_message_says(new_node):
    letters = DeadLetterQueue(MemoryStore(), backoff=st.Backoff(initial=30, factor=1, maximum=30, jitter=0))
    timeouts = st.TimeoutPolicy(9, operations={"pay": 2, "ship": 400})
    async with new_node(dead_letters=letters, timeouts=timeouts) as node:
        sent = [
            await st.send_supervised("slow", (word, 17), retries=0, on_error="dead_letter") for word in ("pay", "ship")
        ]
        await st.start(Slow, name="slow")
        await asyncio.sleep(40)
        letter = await node.dead_letters.get(sent[0].dead_letter_id)
        assert "no ack within 2 s" in letter.error
        await asyncio.sleep(120)
        assert (await node.dead_letters.get(sent[1].dead_letter_id)).state == "delivered"


async def test_claim_of_a_letter_outlasts_the_longest_limit_that_the_policy_gives(new_node, monkeypatch):
    letters = DeadLetterQueue(MemoryStore())
    leases: list[object] = []
    claim_due = letters.claim_due

    async def claiming(*args: object, lease_seconds: float, **options: object) -> object:
        leases.append(lease_seconds)
        return await claim_due(*args, lease_seconds=lease_seconds, **options)

    monkeypatch.setattr(letters, "claim_due", claiming)
    async with new_node(dead_letters=letters, timeouts=st.TimeoutPolicy(9, operations={"ship": 400}, factor=2)):
        await asyncio.sleep(2)
    assert set(leases) == {830.0}


async def test_deadline_is_checked(node):
    pid = await st.start(Recorder)
    with pytest.raises(InvalidOptionError) as raised:
        await st.send_supervised(pid, "hello", deadline=-1)
    assert str(raised.value) == (
        "send_supervised(deadline): expected seconds >= 0 as a finite number, or a timedelta, got -1"
    )
    assert await st.send_supervised(pid, "hello", deadline=POLICY)
    assert await st.call(pid, Log()) == ["hello"]
