# SPDX-License-Identifier: MIT
"""Ordered sends wait for those before them."""

from __future__ import annotations

import asyncio
import gc

import pytest

import stanchion as st
from stanchion.delivery._order import _TURNS
from stanchion.errors import InvalidOptionError
from stanchion.testing import advance
from tests.delivery.servers import Address, Log, Recorder

STEADY = st.Backoff(initial=1, factor=1, jitter=0)
OPTIONS = {"ordered": True, "backoff": STEADY, "on_error": "ignore"}


class Picky(Recorder):
    """Refuses each message the first time."""

    async def handle_cast(self, message: object) -> object:
        if message not in self.log:
            self.log.append(message)
            return st.Reject("once more")
        self.log.append((message, "taken"))
        return None


async def begin(ref: st.Ref, *messages: object, **options) -> list[asyncio.Task[st.Delivery]]:
    """Begin to send, one after the other."""
    sends: list[asyncio.Task[st.Delivery]] = []
    for message in messages:
        sends.append(asyncio.create_task(st.send_supervised(ref, message, **{**OPTIONS, **options})))
        await advance(0)
    return sends


async def test_later_sends_wait_until_the_earlier_one_is_confirmed(node):
    pid = await st.start(Picky)
    await asyncio.gather(*await begin(pid, 1, 2, 3))
    assert await st.call(pid, Log()) == [1, (1, "taken"), 2, (2, "taken"), 3, (3, "taken")]


async def test_sends_that_are_not_ordered_overtake(node):
    pid = await st.start(Picky)
    await asyncio.gather(*await begin(pid, 1, 2, ordered=False))
    assert (await st.call(pid, Log()))[:2] == [1, 2]


async def test_send_after_one_that_is_given_up_goes_on(node):
    pid = await st.start(Recorder)
    first, second = await asyncio.gather(*await begin(pid, "reject", "hello", retries=2))
    assert (first.outcome, second.outcome, second.elapsed) == ("rejected", "confirmed", 2.0)


async def test_two_recipients_do_not_wait_for_each_other(node):
    slow, quick = await st.start(Recorder), await st.start(Recorder)
    (first,) = await begin(slow, ("sleep", 3))
    (second,) = await begin(quick, "hello")
    assert (await second).elapsed == 0
    assert (await first).elapsed == 3


async def test_two_senders_do_not_wait_for_each_other(node):
    pid = await st.start(Picky)
    ends: list[tuple[str, float]] = []

    async def sender(name: str) -> None:
        delivery = await st.send_supervised(pid, name, **OPTIONS)
        ends.append((name, delivery.elapsed))

    for name in "ab":
        st.spawn(sender, name)
    await advance(2)
    assert sorted(ends) == [("a", 1.0), ("b", 1.0)]


async def test_send_is_rejected_when_the_deadline_passes_before_its_turn(node):
    pid = await st.start(Recorder)
    (first,) = await begin(pid, ("sleep", 4))
    (late,) = await begin(pid, "hello", deadline=2)
    second = await late
    assert await first
    assert (second.outcome, second.reason, second.attempts, second.elapsed) == ("rejected", "timeout", 0, 2.0)
    assert second.reason_text == "timeout: the deadline passed before its turn came"
    assert await st.call(pid, Log()) == [("sleep", 4)]


async def test_wait_for_a_turn_takes_from_the_deadline(node):
    pid = await st.start(Recorder)
    await begin(pid, ("sleep", 4))
    (late,) = await begin(pid, ("sleep", 9), deadline=6, retries=0)
    second = await late
    assert second.outcome == "unknown"
    assert 6 <= second.elapsed < 6.1


async def test_cancelled_send_frees_its_place(node):
    pid = await st.start(Recorder)
    first, second, third = await begin(pid, ("sleep", 4), "never", "last")
    await advance(1)
    second.cancel()
    await advance(0)
    assert not third.done()  # the first one is still under way
    assert await first
    assert await third
    assert await st.call(pid, Log()) == [("sleep", 4), "last"]
    with pytest.raises(asyncio.CancelledError):
        await second


async def test_cancelled_send_that_has_its_turn_passes_it_on(node):
    pid = await st.start(Recorder)
    first, second = await begin(pid, ("sleep", 4), "last")
    await advance(1)
    first.cancel()
    assert await second
    with pytest.raises(asyncio.CancelledError):
        await first


class Equal(Address):
    """Is equal to another of the same process, and has no hash."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Equal) and other.pid == self.pid


async def test_ordered_send_tells_the_mistake_when_the_ref_has_no_hash(node):
    address = Equal(await st.start(Recorder))
    assert await st.send_supervised(address, "hello")
    with pytest.raises(InvalidOptionError) as caught:
        await st.send_supervised(address, "hello", ordered=True)
    assert str(caught.value) == (
        "send_supervised(ref): expected an address that can be hashed for ordered=True, so that two of the same are "
        "known to be, got Address\nFix: write __eq__ and __hash__ in Equal."
    )


async def test_ordered_send_tells_the_mistake_when_the_ref_is_none(node):
    with pytest.raises(InvalidOptionError) as caught:
        await st.send_supervised([], "hello", ordered=True)
    assert str(caught.value) == (
        "send_supervised(ref): expected a pid or a registered name, got []\n"
        "Fix: pass what start() or spawn() returned, or the name= the process was started with."
    )


async def test_nothing_is_kept_when_nobody_sends(node):
    pid = await st.start(Recorder)
    assert all(await asyncio.gather(*await begin(pid, 1, 2, 3)))
    gc.collect()
    assert [lane for lane in _TURNS if lane[0] is node] == []
