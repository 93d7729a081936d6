# SPDX-License-Identifier: MIT
"""Dead letters that are sent again by themselves."""

from __future__ import annotations

import asyncio
import logging
from itertools import pairwise

import pytest

import stanchion as st
from stanchion.dead_letters import DeadLetterQueue, EncodedMessage, MemoryStore
from stanchion.delivery import Redelivery
from stanchion.errors import InvalidOptionError, StoreError
from stanchion.testing import VirtualClock
from tests.delivery.servers import Flaky, Log, Recorder, Seen

SLOW = st.Backoff(initial=30, factor=1, maximum=30, jitter=0)


def queue(store=None, **options) -> DeadLetterQueue:
    return DeadLetterQueue(MemoryStore() if store is None else store, backoff=SLOW, **options)


async def lost(recipient: str, message: object = "hello") -> str:
    """Send to nobody, and return the id of the letter."""
    delivery = await st.send_supervised(recipient, message, retries=0, on_error="dead_letter")
    assert delivery.dead_letter_id is not None
    return delivery.dead_letter_id


async def test_letter_is_delivered_when_it_is_due_and_its_recipient_is_there(new_node):
    async with new_node(dead_letters=queue()) as node:
        id = await lost("server")
        pid = await st.start(Recorder, name="server")
        await asyncio.sleep(25)
        assert (await node.dead_letters.get(id)).state == "waiting"
        await asyncio.sleep(10)
        assert (await node.dead_letters.get(id)).state == "delivered"
        assert await st.call(pid, Log()) == ["hello"]


async def test_letter_is_redelivered_under_the_id_that_it_always_had(new_node):
    async with new_node(dead_letters=queue()):
        first = await st.start(Recorder, name="server")
        sent = await st.send_supervised("server", "crash", retries=0, on_error="dead_letter", metadata={"tenant": "a"})
        await st.wait_exit(first, timeout=1)
        second = await st.start(Flaky, 0, name="server")
        await asyncio.sleep(40)
        (info,) = await st.call(second, Seen())
        assert (info.message_id, info.attempt, info.metadata) == (sent.message_id, 1, {"tenant": "a"})


async def test_letter_waits_longer_each_time_and_is_exhausted_at_last(new_node):
    exhausted: list[str] = []
    letters = DeadLetterQueue(
        MemoryStore(),
        backoff=st.Backoff(initial=60, factor=2, maximum=1000, jitter=0),
        max_attempts=3,
        on_exhausted=lambda letter: exhausted.append(letter.id),
    )
    async with new_node(dead_letters=letters) as node:
        id = await lost("nobody")
        await asyncio.sleep(500)
        letter = await node.dead_letters.get(id)
        assert (letter.state, letter.redeliveries) == ("exhausted", 3)
        waits = [later.at - earlier.at for earlier, later in pairwise(letter.attempts)]
        for wait, delay in zip(waits, (60, 120, 240), strict=True):
            assert delay <= wait <= delay * 9 / 8  # due times are rounded up
        assert exhausted == [id]


async def test_letter_that_a_person_retries_is_sent_at_once(new_node):
    async with new_node(dead_letters=queue()) as node:
        id = await lost("server")
        pid = await st.start(Recorder, name="server")
        await node.dead_letters.retry(id)
        await asyncio.sleep(0.2)
        assert (await node.dead_letters.get(id)).state == "delivered"
        assert await st.call(pid, Log()) == ["hello"]


async def test_letter_is_replayed_to_somebody_else(new_node):
    async with new_node(dead_letters=queue()) as node:
        id = await lost("server")
        pid = await st.start(Recorder, name="other")
        new_id = await node.dead_letters.replay(id, recipient="other")
        await asyncio.sleep(0.2)
        new = await node.dead_letters.get(new_id)
        assert (new.state, new.replay_of) == ("delivered", id)
        assert await st.call(pid, Log()) == ["hello"]


async def test_letter_that_its_recipient_refuses_for_good_is_exhausted_at_once(new_node):
    async with new_node(dead_letters=queue()) as node:
        id = await lost("server", "reject for good")
        await st.start(Recorder, name="server")
        await asyncio.sleep(40)
        letter = await node.dead_letters.get(id)
        assert (letter.state, letter.reason, letter.error) == ("exhausted", "refused", "refused: never")


async def test_letter_whose_class_is_gone_is_exhausted_and_stops_no_other(new_node):
    async with new_node(dead_letters=queue()) as node:
        gone = EncodedMessage("gone.Class", 1, b"\x80", "Class()")
        bad = await node.dead_letters.add(recipient="server", message=gone, reason="noproc")
        good = await lost("server")
        await st.start(Recorder, name="server")
        await asyncio.sleep(40)
        letter = await node.dead_letters.get(bad)
        assert (letter.state, letter.reason) == ("exhausted", "invalid")
        assert "stored message of type gone.Class version 1: expected" in letter.error
        assert (await node.dead_letters.get(good)).state == "delivered"


async def test_slow_recipient_holds_up_no_other(new_node):
    async with new_node(dead_letters=queue(), redeliver=False) as node:
        await Redelivery(node.dead_letters, concurrency=2).open(node)
        await st.start(Recorder, name="slow")
        pid = await st.start(Recorder, name="quick")
        await lost("gone")
        slow = await lost("nobody", ("sleep", 4))
        await node.dead_letters.replay(slow, recipient="slow")
        quick = await lost("nobody", "hello")
        await node.dead_letters.replay(quick, recipient="quick")
        await asyncio.sleep(1)
        assert await st.call(pid, Log()) == ["hello"]


async def test_recipient_with_many_letters_leaves_places_to_others(new_node):
    async with new_node(dead_letters=queue(), redeliver=False) as node:
        await Redelivery(node.dead_letters, concurrency=4, per_recipient=2).open(node)
        await st.start(Recorder, name="slow")
        pid = await st.start(Recorder, name="quick")
        slow = await lost("nobody", ("sleep", 4))
        for _ in range(6):
            await node.dead_letters.replay(slow, recipient="slow")
        await node.dead_letters.replay(await lost("nobody", "hello"), recipient="quick")
        await asyncio.sleep(1)
        assert await st.call(pid, Log()) == ["hello"]
        waiting = (await node.dead_letters.list({"recipient": "slow", "state": "waiting"})).entries
        assert [letter.revision for letter in waiting] == [0] * 4
        await asyncio.sleep(100)
        assert (await node.dead_letters.stats()).waiting == 0


async def test_letters_to_a_recipient_whose_circuit_is_open_stay_where_they_are(new_node):
    async with new_node(dead_letters=queue(), breaker=st.BreakerPolicy()) as node:
        breaker = node.breakers.get("server")
        breaker.trip("closed for today")
        pid = await st.start(Recorder, name="server")
        id = await node.dead_letters.replay(await lost("nobody"), recipient="server")
        await asyncio.sleep(3)
        letter = await node.dead_letters.get(id)
        assert (letter.state, letter.redeliveries, letter.revision) == ("waiting", 0, 0)
        breaker.reset()
        await asyncio.sleep(2)
        assert await st.call(pid, Log()) == ["hello"]


async def test_letter_that_a_circuit_rejects_while_it_probes_goes_back_without_an_attempt(new_node):
    policy = st.BreakerPolicy(failure_threshold=1, reset_timeout=st.Backoff(initial=3, jitter=0))
    async with new_node(dead_letters=queue(), breaker=policy) as node:
        pid = await st.start(Recorder, name="server")
        first = await lost("nobody", ("sleep", 2))
        await st.send_supervised("server", ("sleep", 0.5), timeout=0.1, retries=0, on_error="ignore")
        for message in (first, await lost("nobody")):
            await node.dead_letters.replay(message, recipient="server")
        await asyncio.sleep(4.5)
        (letter,) = (await node.dead_letters.list({"recipient": "server", "state": "waiting"})).entries
        assert (letter.redeliveries, letter.revision) == (0, 2)  # claimed and released
        await asyncio.sleep(5)
        assert await st.call(pid, Log()) == [("sleep", 0.5), ("sleep", 2), "hello"]


async def test_claims_wait_when_as_many_as_allowed_are_under_way(new_node):
    async with new_node(dead_letters=queue(), redeliver=False) as node:
        await Redelivery(node.dead_letters, concurrency=1).open(node)
        await st.start(Recorder, name="slow")
        pid = await st.start(Recorder, name="quick")
        for recipient, message in (("slow", ("sleep", 4)), ("quick", "hello")):
            await node.dead_letters.replay(await lost("nobody", message), recipient=recipient)
        await asyncio.sleep(3)
        assert await st.call(pid, Log()) == []
        await asyncio.sleep(3)
        assert await st.call(pid, Log()) == ["hello"]


async def test_claim_is_released_when_redelivery_is_ended_in_the_middle(new_node):
    async with new_node(dead_letters=queue()) as node:
        redelivery = next(iter(node.processes.values())).pid
        await st.start(Recorder, name="server")
        id = await node.dead_letters.replay(await lost("nobody", ("sleep", 4)), recipient="server")
        await asyncio.sleep(0.2)
        assert (await node.dead_letters.get(id)).state == "retrying"
        st.exit(redelivery)
        await st.wait_exit(redelivery, timeout=1)
        letter = await node.dead_letters.get(id)
        assert (letter.state, letter.redeliveries) == ("waiting", 0)


async def test_delivered_letter_is_noted_as_such_when_redelivery_is_ended_meanwhile(new_node):
    store = SlowStore()
    async with new_node(dead_letters=queue(store)) as node:
        redelivery = next(iter(node.processes.values())).pid
        pid = await st.start(Recorder, name="server")
        id = await node.dead_letters.replay(await lost("nobody"), recipient="server")
        await asyncio.sleep(0.1)
        store.seconds = 2
        await asyncio.sleep(1)
        assert await st.call(pid, Log()) == ["hello"]
        st.exit(redelivery)
        await st.wait_exit(redelivery, timeout=4)
        assert (await node.dead_letters.get(id)).state == "delivered"


class SlowStore(MemoryStore):
    """Takes its time to write."""

    seconds = 0.0

    async def write(self, writes):
        await asyncio.sleep(self.seconds)
        return await super().write(writes)


async def test_claim_that_cannot_be_released_ends_by_itself(new_node):
    store = KeptStore()
    async with new_node(dead_letters=queue(store)) as node:
        redelivery = next(iter(node.processes.values())).pid
        await st.start(Recorder, name="server")
        id = await node.dead_letters.replay(await lost("nobody", ("sleep", 4)), recipient="server")
        await asyncio.sleep(0.2)
        store.failing = True
        st.exit(redelivery)
        await st.wait_exit(redelivery, timeout=1)
        assert (await node.dead_letters.get(id)).state == "retrying"


async def test_letter_is_not_sent_twice_at_a_time_when_the_clock_ends_its_claim(new_node):
    clock = JumpingClock()
    async with st.Node(clock=clock, block_threshold=None, dead_letters=queue()) as node:
        pid = await st.start(Recorder, name="server")
        id = await node.dead_letters.replay(await lost("nobody", ("sleep", 4)), recipient="server")
        await asyncio.sleep(0.2)
        clock.jump = 3600.0
        await asyncio.sleep(8)
        assert await st.call(pid, Log()) == [("sleep", 4)]
        assert (await node.dead_letters.get(id)).state == "delivered"


async def test_claim_is_released_when_the_node_stops_while_another_letter_is_being_settled(new_node):
    store = KeptStore()
    async with new_node(dead_letters=queue(store)) as node:
        await st.start(Recorder, name="server")
        await st.start(Leaving, 3)  # the looking for letters has time to notice that the node stops
        await node.dead_letters.replay(await lost("nobody"), recipient="server")
        id = await node.dead_letters.replay(await lost("nobody", ("sleep", 30)), recipient="server")
        store.write_seconds = 5
        await asyncio.sleep(1)
        assert (await node.dead_letters.get(id)).state == "retrying"
    async with queue(store) as letters:
        assert ((await letters.get(id)).state, (await letters.stats()).delivered) == ("waiting", 1)


class JumpingClock(VirtualClock):
    """Its wall clock can be set."""

    jump = 0.0

    def time(self):
        return super().time() + self.jump


class Leaving(st.GenServer):
    """Takes its time to end."""

    def init(self, seconds: float = 20) -> None:
        st.trap_exit()
        self.seconds = seconds

    async def terminate(self, reason: object) -> None:
        await asyncio.sleep(self.seconds)


async def test_letter_is_not_charged_for_a_recipient_that_was_stopped_before_it(new_node):
    store = KeptStore()
    async with new_node(dead_letters=queue(store)) as node:
        await st.start(Leaving)
        store.seconds = 2
        id = await node.dead_letters.replay(await lost("nobody"), recipient="server")
        await asyncio.sleep(1)  # the letter is being claimed when the node begins to stop
    async with queue(store) as letters:
        letter = await letters.get(id)
        assert (letter.state, letter.redeliveries) == ("waiting", 0)


async def test_redelivery_ends_quietly_when_its_queue_is_closed_while_it_claims(new_node, caplog):
    store = KeptStore()
    async with new_node(dead_letters=queue(store)) as node:
        await asyncio.sleep(5)
        store.seconds = 2
        await asyncio.sleep(2)
        await node.dead_letters.close()
        await asyncio.sleep(5)
        assert node.processes == {}
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_redelivery_goes_on_when_a_store_raises_something_of_its_own(new_node, caplog):
    store = KeptStore()
    async with new_node(dead_letters=queue(store)) as node:
        id = await lost("server")
        await st.start(Recorder, name="server")
        store.raising = ConnectionError("reset")
        await asyncio.sleep(40)
        assert "dead letters cannot be read; looking again in 1 s" in caplog.messages
        store.raising = None
        await asyncio.sleep(10)
        assert (await node.dead_letters.get(id)).state == "delivered"


async def test_letter_waits_again_when_the_node_stops_while_it_is_handled(new_node):
    store = KeptStore()
    async with new_node(dead_letters=queue(store)) as node:
        await st.start(Recorder, name="server")
        id = await lost("nobody", ("sleep", 4))
        new_id = await node.dead_letters.replay(id, recipient="server")
        await asyncio.sleep(0.2)
        assert (await node.dead_letters.get(new_id)).state == "retrying"
    async with queue(store) as letters:
        assert (await letters.get(new_id)).state == "waiting"


class KeptStore(MemoryStore):
    """Keeps its letters when it is closed, and fails when told to."""

    failing = False
    raising: Exception | None = None
    seconds = 0.0  # that each claim takes
    write_seconds = 0.0

    async def close(self):
        """Keep everything."""

    async def claim(self, *args, **options):
        await asyncio.sleep(self.seconds)
        if self.raising:
            raise self.raising
        if self.failing:
            raise StoreError("memory:", expected="letters", got="nothing")
        return await super().claim(*args, **options)

    async def write(self, writes):
        if self.failing:
            raise StoreError("memory:", expected="room", got="none")
        await asyncio.sleep(self.write_seconds)
        return await super().write(writes)


async def test_redelivery_goes_on_when_the_store_failed_for_a_while(new_node, caplog):
    store = KeptStore()
    async with new_node(dead_letters=queue(store)) as node:
        id = await lost("server")
        await st.start(Recorder, name="server")
        store.failing = True
        await asyncio.sleep(100)
        assert "dead letters cannot be read; looking again in 1 s" in caplog.messages
        store.failing = False
        await asyncio.sleep(10)
        assert (await node.dead_letters.get(id)).state == "delivered"


async def test_letter_is_redelivered_again_when_its_outcome_could_not_be_stored(new_node, caplog):
    store = KeptStore()
    async with new_node(dead_letters=queue(store)) as node:
        await st.start(Recorder, name="server")
        id = await node.dead_letters.replay(await lost("nobody", ("sleep", 2)), recipient="server")
        await asyncio.sleep(1)
        store.failing = True
        await asyncio.sleep(2)
        store.failing = False
        assert f"dead letter {id}: the outcome of its redelivery could not be stored" in caplog.messages
        await asyncio.sleep(100)
        assert (await node.dead_letters.get(id)).state == "delivered"


async def test_letter_that_fails_in_an_unexpected_way_is_logged_and_stops_no_other(new_node, caplog, monkeypatch):
    async with new_node(dead_letters=queue()) as node:
        id = await lost("server")
        pid = await st.start(Recorder, name="server")

        async def broken(*_: object) -> None:
            raise RuntimeError("broken")

        with monkeypatch.context() as patch:
            patch.setattr("stanchion.delivery._sending.Sending.run", broken)
            await asyncio.sleep(40)
        assert f"dead letter {id}: its redelivery failed in an unexpected way" in caplog.messages
        await asyncio.sleep(200)
        assert (await node.dead_letters.get(id)).state == "delivered"
        assert await st.call(pid, Log()) == ["hello"]


async def test_redelivery_ends_quietly_when_its_queue_is_closed_under_it(new_node, caplog):
    async with new_node(dead_letters=queue()) as node:
        await asyncio.sleep(1)
        await node.dead_letters.close()
        await asyncio.sleep(5)
        assert node.processes == {}
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"concurrency": 0}, "Redelivery(concurrency): expected a whole number >= 1, got 0"),
        ({"per_recipient": 0}, "Redelivery(per_recipient): expected a whole number >= 1, got 0"),
    ],
)
def test_redelivery_refuses_wrong_options(options, text):
    with pytest.raises(InvalidOptionError) as caught:
        Redelivery(queue(), **options)
    assert str(caught.value) == text
