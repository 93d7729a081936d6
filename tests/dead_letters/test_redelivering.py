# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest

from stanchion._backoff import Backoff
from stanchion.dead_letters import Attempt, DeadLetter, DeadLetterQueue, MemoryStore, Store, Write
from stanchion.errors import (
    DeadLettersClosedError,
    DeadLetterStateError,
    InvalidOptionError,
    StoreError,
    StoreRejectedError,
)
from stanchion.kernel import Node, deadline
from stanchion.telemetry import LETTER_DELIVERED, LETTER_EXHAUSTED
from tests.dead_letters.support import Host

STEADY = Backoff(initial=10, factor=2, maximum=1000, jitter=0)
STEADILY: dict[str, Any] = {"backoff": STEADY}


async def opened(store: Store | None = None, host: Host | None = None, **options: Any) -> DeadLetterQueue:
    letters = DeadLetterQueue(MemoryStore() if store is None else store, **(STEADILY | options))
    await letters.open(Host() if host is None else host)
    return letters


async def add(letters: DeadLetterQueue, message: object = "hi") -> str:
    return await letters.add(recipient="inventory", message=message, reason="noproc")


async def claimed(letters: DeadLetterQueue) -> str:
    """Return the id of a letter that this queue has claimed."""
    id = await add(letters)
    await letters.retry(id)
    assert [letter.id for letter in await letters.claim_due()] == [id]
    return id


# --- claiming ------------------------------------------------------------------------------------


async def test_a_claim_takes_what_is_due_the_longest_due_first(store: Store) -> None:
    host = Host(now=1000.0)
    letters = await opened(store, host)
    first = await add(letters)
    host.clock.now = 1005.0
    second = await add(letters)
    host.clock.now = 1009.0
    assert await letters.claim_due() == []
    host.clock.now = 1020.0
    await add(letters)
    taken = await letters.claim_due(lease_seconds=30)
    assert [letter.id for letter in taken] == [first, second]
    assert [(letter.state, letter.claimed_by, letter.claimed_until) for letter in taken] == [
        ("retrying", letters.owner, 1050.0),
        ("retrying", letters.owner, 1050.0),
    ]
    assert taken == [await letters.get(first), await letters.get(second)]
    assert await letters.claim_due() == []
    await letters.close()


async def test_a_claim_takes_no_more_than_its_limit(store: Store) -> None:
    letters = await opened(store)
    for _ in range(3):
        await letters.retry(await add(letters))
    assert len(await letters.claim_due(2)) == 2
    assert len(await letters.claim_due(2)) == 1
    await letters.close()


async def test_a_claim_names_the_owner_that_it_is_made_for() -> None:
    letters = await opened()
    id = await add(letters)
    await letters.retry(id)
    (letter,) = await letters.claim_due(owner="worker-7")
    assert letter.claimed_by == "worker-7"
    with pytest.raises(DeadLetterStateError) as caught:
        await letters.release(id)
    assert str(caught.value) == (
        f"release of dead letter {id!r}: expected a letter that {letters.owner} has claimed, "
        "got one that is retrying by worker-7\n"
        "Fix: its claim ran out, or it was settled otherwise; claim for longer if redeliveries take that long."
    )
    assert (await letters.release(id, owner="worker-7")).state == "waiting"
    await letters.close()


async def test_two_queues_on_one_store_share_what_is_due(store: Store) -> None:
    host = Host()
    one, two = await opened(store, host), DeadLetterQueue(store, backoff=STEADY)
    await asyncio.gather(*(add(one) for _ in range(50)))
    two._session = one._session  # the same open store, another owner
    host.clock.now = 2000.0
    first, second = await asyncio.gather(one.claim_due(40), two.claim_due(40))
    assert {len(first), len(second)} == {40, 10}
    assert not {letter.id for letter in first} & {letter.id for letter in second}
    await one.close()


async def test_a_claim_that_ran_out_is_a_failed_attempt(store: Store) -> None:
    host = Host(now=1000.0)
    letters = await opened(store, host, max_attempts=2)
    id = await claimed(letters)
    host.clock.now = 1059.0
    assert await letters.claim_due() == []
    host.clock.now = 1060.0
    (letter,) = await letters.claim_due(owner="another")
    assert (letter.id, letter.claimed_by, letter.redeliveries) == (id, "another", 1)
    text = f"{letters.owner} claimed it and neither finished nor released it in time"
    assert letter.attempts == (Attempt(1060.0, "lease_expired", text),)
    with pytest.raises(DeadLetterStateError):
        await letters.failed(id, reason="timeout")
    await letters.close()


async def test_claims_that_run_out_again_and_again_exhaust_a_letter(store: Store) -> None:
    host = Host(now=1000.0)
    letters = await opened(store, host, max_attempts=2)
    id = await claimed(letters)
    host.clock.now = 1100.0
    assert len(await letters.claim_due()) == 1
    host.clock.now = 1200.0
    assert await letters.claim_due() == []
    letter = await letters.get(id)
    assert (letter.state, letter.reason, letter.redeliveries) == ("exhausted", "lease_expired", 2)
    await letters.close()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"lease_seconds": 0}, "claim_due(lease_seconds): expected more than 0 seconds, got 0"),
        ({"limit": 0}, "claim_due(limit): expected a whole number >= 1, got 0"),
        ({"owner": ""}, "claim_due(owner): expected a name, or a pid as text, got ''"),
        ({"room": 7}, "claim_due(room): expected whole numbers by recipient, got 7"),
        ({"room": {"a": -1}}, "claim_due(room), 'a': expected a whole number >= 0, got -1"),
        (
            {"lease_seconds": -1},
            "claim_due(lease_seconds): expected seconds >= 0 as a finite number, or a timedelta, got -1",
        ),
    ],
)
async def test_a_claim_is_refused_when_an_option_is_wrong(options: dict[str, Any], text: str) -> None:
    letters = await opened()
    with pytest.raises(InvalidOptionError) as caught:
        await letters.claim_due(**options)
    assert str(caught.value) == text
    await letters.close()


class FussyStore(MemoryStore):
    """Refuses to let the letter that is called poison be claimed."""

    async def claim(self, *_: Any, **options: Any) -> list[DeadLetter]:
        raise StoreRejectedError(self.name, expected="a good letter", got="poison")


async def test_a_claim_fails_when_the_store_does() -> None:
    letters = await opened(FussyStore())
    await letters.retry(await add(letters, "poison"))
    with pytest.raises(StoreRejectedError):
        await letters.claim_due()
    await letters.close()


async def test_a_claim_takes_no_more_of_a_recipient_than_it_may(store: Store) -> None:
    letters = await opened(store)
    for recipient in ("a", "a", "a", "b", "b", "c"):
        await letters.retry(await letters.add(recipient=recipient, message=1, reason="noproc"))
    claimed = await letters.claim_due(per_recipient=2, room={"b": 1, "c": 0})
    assert sorted(letter.recipient for letter in claimed) == ["a", "a", "b"]
    left = (await letters.list({"state": "waiting"})).entries
    assert [(letter.recipient, letter.redeliveries, letter.revision) for letter in left] == [
        ("a", 0, 1),
        ("b", 0, 1),
        ("c", 0, 1),
    ]
    await letters.close()


async def test_a_claim_is_refused_when_it_takes_none_of_each_recipient(store: Store) -> None:
    letters = await opened(store)
    with pytest.raises(InvalidOptionError) as caught:
        await letters.claim_due(per_recipient=0)
    assert str(caught.value) == "claim_due(per_recipient): expected a whole number >= 1, got 0"
    await letters.close()


async def test_a_claim_goes_on_behind_letters_that_it_exhausted(store: Store) -> None:
    host = Host(now=1000.0)
    letters = await opened(store, host, max_attempts=1)
    spent = await claimed(letters)
    other = await add(letters)
    host.clock.now = 1060.0  # the claim ran out before the other letter was due
    await letters.retry(other)
    assert [letter.id for letter in await letters.claim_due(1)] == [other]
    assert (await letters.get(spent)).state == "exhausted"
    await letters.close()


# --- outcomes ------------------------------------------------------------------------------------


async def test_a_delivered_letter_is_settled(store: Store) -> None:
    host, told = Host(), []
    host.telemetry.attach(LETTER_DELIVERED, lambda *event: told.append(event))
    letters = await opened(store, host)
    id = await claimed(letters)
    letter = await letters.delivered(id)
    assert letter == await letters.get(id)
    assert (letter.state, letter.claimed_by, letter.due_at) == ("delivered", None, None)
    await letters.close()
    assert told == [(LETTER_DELIVERED, {"attempts": 1}, {"id": id, "recipient": "inventory"})]


async def test_a_letter_is_delivered_even_if_its_claim_ran_out(store: Store) -> None:
    host = Host(now=1000.0)
    letters = await opened(store, host)
    id = await claimed(letters)
    host.clock.now = 1100.0
    await letters.claim_due(owner="another")
    assert (await letters.delivered(id)).state == "delivered"
    with pytest.raises(DeadLetterStateError) as caught:
        await letters.delivered(id)
    assert str(caught.value) == (
        f"delivered of dead letter {id!r}: expected a letter that is waiting or retrying or exhausted, "
        "got one that is delivered"
    )
    await letters.close()


async def test_a_failed_letter_waits_longer_each_time_until_it_is_exhausted(store: Store) -> None:
    host, told = Host(now=1000.0), []
    host.telemetry.attach(LETTER_EXHAUSTED, lambda *event: told.append(event))
    letters = await opened(store, host, max_attempts=3)
    id = await add(letters)
    assert (await letters.get(id)).next_attempt_at == 1010.0
    attempts: list[float | None] = []
    while (due := await letters.next_due()) is not None:
        host.clock.now = due
        await letters.claim_due()
        attempts.append((await letters.failed(id, reason="timeout", error="no reply")).next_attempt_at)
    assert attempts == [1030.0, 1072.0, None]
    letter = await letters.get(id)
    assert (letter.state, letter.redeliveries, letter.attempt_count) == ("exhausted", 3, 3)
    assert letter.attempts == tuple(Attempt(at, "timeout", "no reply") for at in (1010.0, 1030.0, 1072.0))
    assert (letter.reason, letter.error, letter.claimed_by) == ("timeout", "no reply", None)
    await letters.close()
    about = {"id": id, "recipient": "inventory", "reason": "timeout"}
    assert told == [(LETTER_EXHAUSTED, {"attempts": 3}, about)]


async def test_a_letter_is_never_exhausted_without_a_limit() -> None:
    host = Host()
    letters = await opened(None, host, max_attempts=None)
    id = await add(letters)
    for _ in range(30):
        host.clock.now += 10_000
        await letters.claim_due()
        assert (await letters.failed(id, reason="timeout")).state == "waiting"
    letter = await letters.get(id)
    assert (len(letter.attempts), letter.attempt_count) == (20, 30)
    await letters.close()


async def test_a_final_failure_exhausts_a_letter_at_once() -> None:
    letters = await opened()
    id = await claimed(letters)
    letter = await letters.failed(id, reason="invalid", error="unknown type", final=True)
    assert (letter.state, letter.redeliveries, letter.reason) == ("exhausted", 1, "invalid")
    await letters.close()


async def test_a_failure_keeps_the_end_of_its_stack_trace() -> None:
    letters = await opened()
    id = await claimed(letters)
    with pytest.raises(InvalidOptionError) as caught:
        await letters.failed(id, reason="down", traceback=7)  # type: ignore[arg-type]
    assert str(caught.value) == "failed(traceback): expected text or None, got 7"
    letter = await letters.failed(id, reason="down", traceback="x" * 5000 + "KeyError: 1")
    assert letter.attempts[-1].traceback == "x" * 3989 + "KeyError: 1"
    await letters.close()


async def test_a_failure_is_refused_when_nobody_claimed_the_letter() -> None:
    letters = await opened()
    id = await add(letters)
    with pytest.raises(DeadLetterStateError) as caught:
        await letters.failed(id, reason="timeout")
    assert "has claimed, got one that is waiting\nFix:" in str(caught.value)
    await letters.close()


async def test_a_released_letter_is_due_at_once_and_has_lost_no_attempt(store: Store) -> None:
    letters = await opened(store)
    id = await claimed(letters)
    letter = await letters.release(id)
    assert (letter.state, letter.redeliveries, letter.next_attempt_at) == ("waiting", 0, 1000.0)
    assert [again.id for again in await letters.claim_due()] == [id]
    await letters.close()


async def test_delays_come_from_the_random_numbers_of_the_node() -> None:
    jittery = Backoff(initial=100, maximum=1000, jitter=0.5)
    letters = await opened(backoff=jittery)
    letter = await letters.get(await add(letters))
    assert round(jittery.delay(1, random.Random(1)), 3) == 142.372
    assert letter.next_attempt_at == 1152.0  # rounded up to a multiple of 16 s
    await letters.close()


async def test_delays_come_from_the_seed_without_a_node() -> None:
    jittery = Backoff(initial=100, maximum=1000, jitter=0.5)
    delay = jittery.delay(1, random.Random(3))
    for _ in range(2):
        async with DeadLetterQueue("memory:", backoff=jittery, seed=3) as letters:
            letter = await letters.get(await add(letters))
            assert letter.next_attempt_at is not None
            assert delay <= letter.next_attempt_at - letter.created_at <= delay * 1.125


@pytest.mark.parametrize(
    ("initial", "due"),
    [
        (0, 1000.3),
        (1e-300, 1000.3000001907349),
        (0.1, 1000.40625),
        (1, 1001.375),
        (5, 1005.5),
        (3600, 4608.0),
        (36_000, 40_960.0),
    ],
)
async def test_a_letter_is_due_a_little_later_than_its_delay_says_and_never_earlier(initial: float, due: float) -> None:
    letters = await opened(None, Host(now=1000.3), backoff=Backoff(initial=initial, maximum=1e6, jitter=0))
    assert (await letters.get(await add(letters))).next_attempt_at == due
    assert 0 <= due - (1000.3 + initial) <= max(initial / 8, 2**-22)  # the resolution of Unix time
    await letters.close()


# --- the hook ------------------------------------------------------------------------------------


async def exhaust(letters: DeadLetterQueue) -> str:
    id = await claimed(letters)
    await letters.failed(id, reason="timeout", final=True)
    return id


@pytest.mark.parametrize("waits", [False, True])
async def test_the_hook_gets_each_letter_that_is_exhausted(waits: bool) -> None:
    got: list[DeadLetter] = []

    async def later(letter: DeadLetter) -> None:
        await asyncio.sleep(0)
        got.append(letter)

    letters = await opened(on_exhausted=later if waits else got.append)
    ids = [await exhaust(letters), await exhaust(letters)]
    await letters.close()
    assert [(letter.id, letter.state) for letter in got] == [(ids[0], "exhausted"), (ids[1], "exhausted")]


async def test_a_hook_that_raises_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    def hook(letter: DeadLetter) -> None:
        raise ValueError("no")

    letters = await opened(on_exhausted=hook)
    id = await exhaust(letters)
    assert (await letters.get(id)).state == "exhausted"
    await letters.close()
    assert f"on_exhausted raised for dead letter {id}" in caplog.text


async def test_a_hook_that_hangs_is_cancelled_when_the_queue_closes(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def hook(letter: DeadLetter) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("stanchion.dead_letters._hook._CLOSE_GRACE", 0.01)
    letters = await opened(on_exhausted=hook)
    await exhaust(letters)
    await letters.close()
    assert "on_exhausted runs for more than 0.01 s after the queue closed, and is cancelled" in caplog.text


async def test_an_exhausted_letter_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    letters = await opened()
    id = await exhaust(letters)
    await letters.close()
    assert f"dead letter {id} to inventory is exhausted and waits for a person: timeout" in caplog.text


# --- waiting -------------------------------------------------------------------------------------


async def test_a_waiter_wakes_when_a_letter_changes() -> None:
    letters = await opened()
    seen = letters.changes
    waiter = asyncio.create_task(letters.wait_changed(seen))
    await asyncio.sleep(0)
    await add(letters)
    assert await waiter == seen + 1
    await letters.close()


async def test_a_waiter_wakes_once_when_many_letters_change_together() -> None:
    letters = await opened()
    waiter = asyncio.create_task(letters.wait_changed(0))
    await asyncio.sleep(0)
    await asyncio.gather(add(letters), add(letters), add(letters))
    assert await waiter == 3
    await letters.close()


async def test_a_waiter_misses_no_change_that_was_made_before_it_waited() -> None:
    letters = await opened()
    seen = letters.changes
    await add(letters)
    assert await letters.wait_changed(seen) == seen + 1
    await letters.close()


async def test_a_waiter_can_be_cancelled() -> None:
    letters = await opened()
    waiters = [asyncio.create_task(letters.wait_changed(letters.changes)) for _ in range(2)]
    await asyncio.sleep(0)
    waiters[0].cancel()
    await add(letters)
    assert await waiters[1] == 1
    assert waiters[0].cancelled()
    await letters.close()


async def test_a_waiter_is_answered_when_the_queue_closes() -> None:
    letters = await opened()
    waiter = asyncio.create_task(letters.wait_changed(letters.changes))
    await asyncio.sleep(0)
    await letters.close()
    with pytest.raises(DeadLettersClosedError):
        await waiter


# --- claims that are given back, and claims that are not this one --------------------------------


class PausingStore(MemoryStore):
    """Holds claims up while its gate is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.gate.set()
        self.failure: StoreError | None = None

    async def claim(self, *args: Any, **options: Any) -> list[DeadLetter]:
        await self.gate.wait()
        return await super().claim(*args, **options)

    async def write(self, writes: Sequence[Write]) -> list[bool]:
        if self.failure is not None and any(write.letter.state == "waiting" for write in writes):
            raise self.failure
        return await super().write(writes)


async def claiming(letters: DeadLetterQueue, store: PausingStore) -> tuple[str, asyncio.Task[list[DeadLetter]]]:
    """Return a due letter, and a task that waits for the commit of its claim."""
    id = await add(letters)
    await letters.retry(id)
    store.gate.clear()
    task = asyncio.create_task(letters.claim_due())
    for _ in range(5):
        await asyncio.sleep(0)
    return id, task


async def test_a_cancelled_claim_is_given_back() -> None:
    store = PausingStore()
    letters = await opened(store)
    id, task = await claiming(letters, store)
    task.cancel()
    asyncio.get_running_loop().call_later(0.01, store.gate.set)
    await asyncio.wait([task])
    assert task.cancelled()
    letter = await letters.get(id)
    assert (letter.state, letter.redeliveries, letter.revision) == ("waiting", 0, 3)
    await letters.close()


async def test_a_claim_that_is_cancelled_twice_is_given_back_later() -> None:
    store = PausingStore()
    letters = await opened(store)
    id, task = await claiming(letters, store)
    for _ in range(2):
        task.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert task.cancelled()
    with letters.subscribe() as changes:
        store.gate.set()
        assert [(await anext(changes)).verb for _ in range(2)] == ["claim", "release"]
    assert (await letters.get(id)).state == "waiting"
    await letters.close()


async def test_a_claim_that_cannot_be_given_back_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    store = PausingStore()
    letters = await opened(store)
    id, task = await claiming(letters, store)
    store.failure = StoreError("memory:", expected="to work", got="no")
    task.cancel()
    store.gate.set()
    await asyncio.wait([task])
    assert (await letters.get(id)).state == "retrying"
    assert (
        f"dead letter {id} stays claimed until its claim ends: store memory:: expected to work, got no" in caplog.text
    )
    await letters.close()


async def test_nothing_is_given_back_when_a_cancelled_claim_fails() -> None:
    class Broken(PausingStore):
        async def claim(self, *args: Any, **options: Any) -> list[DeadLetter]:
            await self.gate.wait()
            raise StoreError(self.name, expected="to work", got="no")

    store = Broken()
    letters = await opened(store)
    id, task = await claiming(letters, store)
    task.cancel()
    store.gate.set()
    await asyncio.wait([task])
    assert task.cancelled()
    assert (await letters.get(id)).state == "waiting"
    await letters.close()


async def test_a_claim_under_way_is_made_before_the_queue_closes() -> None:
    store = PausingStore()
    letters = await opened(store)
    id, task = await claiming(letters, store)
    closing = asyncio.create_task(letters.close())
    await asyncio.sleep(0)
    assert not closing.done()
    store.gate.set()
    await closing
    assert [letter.id for letter in await task] == [id]


async def test_a_late_outcome_is_refused_when_the_same_owner_has_claimed_the_letter_anew(store: Store) -> None:
    host = Host(now=1000.0)
    letters = await opened(store, host)
    id = await add(letters)
    await letters.retry(id)
    (first,) = await letters.claim_due()
    host.clock.now = 1100.0
    (second,) = await letters.claim_due()
    with pytest.raises(DeadLetterStateError) as caught:
        await letters.failed(first, reason="timeout")
    assert str(caught.value) == (
        f"failed of dead letter {id!r}: expected a letter that {letters.owner} has claimed at revision 2, "
        f"got one that is retrying by {letters.owner} at revision 3\n"
        "Fix: its claim ran out, or it was settled otherwise; claim for longer if redeliveries take that long."
    )
    with pytest.raises(DeadLetterStateError):
        await letters.release(first)
    assert (await letters.failed(second, reason="timeout")).state == "waiting"
    assert (await letters.delivered(first)).state == "delivered"
    await letters.close()


async def test_a_hook_that_swallows_its_cancellation_is_left_behind(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    over, ended = asyncio.Event(), asyncio.Event()

    async def hook(letter: DeadLetter) -> None:
        while not over.is_set():
            with suppress(asyncio.CancelledError):
                await over.wait()
        ended.set()

    monkeypatch.setattr("stanchion.dead_letters._hook._CLOSE_GRACE", 0.01)
    letters = await opened(on_exhausted=hook)
    await exhaust(letters)
    await asyncio.wait_for(letters.close(), 1)
    assert "on_exhausted runs on although it was cancelled, and is left behind" in caplog.text
    over.set()
    await ended.wait()


async def test_a_waiter_gives_up_when_its_time_is_up() -> None:
    letters = await opened()
    with pytest.raises(TimeoutError) as caught:
        await letters.wait_changed(0, timeout=0.01)
    assert str(caught.value) == "DeadLetterQueue.wait_changed(0): expected a change within 0.01 s, got none"
    await letters.close()


async def test_a_waiter_waits_no_longer_than_its_deadline(node: Node) -> None:
    letters = await opened()
    with pytest.raises(TimeoutError, match="expected a change within 2 s, got none"):
        async with deadline(2):
            await letters.wait_changed(0, timeout=None)
    await letters.close()
