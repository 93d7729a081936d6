# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stanchion.dead_letters import DeadLetterQueue, LetterFilter, MemoryStore, State, Store
from stanchion.errors import DeadLetterNotFoundError, DeadLetterStateError, InvalidOptionError, StoreFullError
from tests.dead_letters.support import Host


async def opened(store: Store | None = None, host: Host | None = None, **options: Any) -> DeadLetterQueue:
    letters = DeadLetterQueue(MemoryStore() if store is None else store, **options)
    await letters.open(Host() if host is None else host)
    return letters


async def add(letters: DeadLetterQueue, **options: Any) -> str:
    arguments: dict[str, Any] = {"recipient": "inventory", "message": ("hi", 1), "reason": "noproc"}
    return await letters.add(**(arguments | options))


async def in_state(letters: DeadLetterQueue, state: State) -> str:
    """Return the id of a letter in this state."""
    id = await add(letters)
    if state == "discarded":
        await letters.discard(id, why="test")
    elif state != "waiting":
        await letters.retry(id)
        await letters.claim_due()
    if state == "exhausted":
        await letters.failed(id, reason="timeout", final=True)
    elif state == "delivered":
        await letters.delivered(id)
    assert (await letters.get(id)).state == state
    return id


# --- retry ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["waiting", "exhausted"])
async def test_retry_makes_a_letter_due_now_with_all_attempts_before_it(store: Store, state: State) -> None:
    host = Host()
    letters = await opened(store, host)
    id = await in_state(letters, state)
    host.clock.now = 2000.0
    letter = await letters.retry(id)
    assert letter == await letters.get(id)
    assert (letter.state, letter.next_attempt_at, letter.redeliveries) == ("waiting", 2000.0, 0)
    assert letter.attempt_count == (1 if state == "exhausted" else 0)
    assert [claimed.id for claimed in await letters.claim_due()] == [id]
    await letters.close()


@pytest.mark.parametrize(
    ("state", "fix"),
    [
        ("retrying", "wait until its redelivery ends; its claimed_until says when at the latest."),
        ("delivered", "send it again by replay(id)."),
        ("discarded", "send it again by replay(id)."),
    ],
)
async def test_retry_is_refused_in_another_state(state: State, fix: str) -> None:
    letters = await opened()
    id = await in_state(letters, state)
    with pytest.raises(DeadLetterStateError) as caught:
        await letters.retry(id)
    assert str(caught.value) == (
        f"retry of dead letter {id!r}: expected a letter that is waiting or exhausted, "
        f"got one that is {state}\nFix: {fix}"
    )
    await letters.close()


async def test_retry_is_refused_when_the_message_is_not_here() -> None:
    letters = await opened()
    id = await add(letters, message=object)
    with pytest.raises(DeadLetterStateError) as caught:
        await letters.retry(id)
    note = (await letters.get(id)).note
    assert str(caught.value) == (
        f"retry of dead letter {id!r}: expected a letter whose message could become data, "
        f"got one that is not replayable\nFix: only its preview is here ({note}); "
        "discard() the letter once it is seen to."
    )
    await letters.close()


async def test_retry_is_refused_when_the_recipient_cannot_be_found_again() -> None:
    letters = await opened()
    id = await add(letters, recipient="<shop.7>", redeliverable=False)
    with pytest.raises(DeadLetterStateError) as caught:
        await letters.retry(id)
    assert str(caught.value) == (
        f"retry of dead letter {id!r}: expected a letter whose recipient can be found again, "
        "got one that is addressed to <shop.7>\n"
        'Fix: send it to a registered name: replay(id, recipient="...").'
    )
    await letters.close()


async def test_every_decision_needs_a_letter() -> None:
    letters = await opened()
    for call in (
        letters.retry("x"),
        letters.replay("x"),
        letters.discard("x"),
        letters.delivered("x"),
        letters.failed("x", reason="timeout"),
        letters.release("x"),
    ):
        with pytest.raises(DeadLetterNotFoundError):
            await call
    await letters.close()


# --- replay --------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["waiting", "exhausted"])
async def test_replay_puts_a_new_letter_in_place_of_an_open_one(store: Store, state: State) -> None:
    host = Host()
    letters = await opened(store, host)
    old = await in_state(letters, state)
    host.clock.now = 2000.0
    id = await letters.replay(old, "orders")
    new = await letters.get(id)
    assert (new.state, new.recipient, new.replay_of, new.message()) == ("waiting", "orders", old, ("hi", 1))
    assert (new.attempts, new.attempt_count, new.redeliveries, new.revision) == ((), 0, 0, 0)
    assert (new.created_at, new.next_attempt_at) == (2000.0, 2000.0)
    replayed = await letters.get(old)
    assert (replayed.state, replayed.note) == ("discarded", f"replayed as {id}")
    await letters.close()


@pytest.mark.parametrize("state", ["delivered", "discarded"])
async def test_replay_leaves_a_settled_letter_as_it_is(store: Store, state: State) -> None:
    letters = await opened(store)
    old = await in_state(letters, state)
    before = await letters.get(old)
    new = await letters.get(await letters.replay(old))
    assert await letters.get(old) == before
    assert (new.recipient, new.state, new.note) == ("inventory", "waiting", None)
    await letters.close()


async def test_replay_finds_another_recipient_for_a_letter_to_a_pid() -> None:
    letters = await opened()
    id = await add(letters, recipient="<shop.7>", redeliverable=False)
    with pytest.raises(DeadLetterStateError) as caught:
        await letters.replay(id)
    assert "expected a letter whose recipient can be found again" in str(caught.value)
    new = await letters.get(await letters.replay(id, "orders"))
    assert (new.recipient, new.redeliverable, new.state) == ("orders", True, "waiting")
    await letters.close()


async def test_replay_is_refused_while_the_letter_is_redelivered() -> None:
    letters = await opened()
    id = await in_state(letters, "retrying")
    with pytest.raises(DeadLetterStateError) as caught:
        await letters.replay(id)
    assert "got one that is retrying\nFix: wait until its redelivery ends" in str(caught.value)
    await letters.close()


async def test_replay_is_refused_when_the_message_is_not_here() -> None:
    letters = await opened()
    id = await add(letters, message=object)
    with pytest.raises(DeadLetterStateError) as caught:
        await letters.replay(id, "orders")
    assert "got one that is not replayable" in str(caught.value)
    await letters.close()


async def test_replay_is_refused_when_the_recipient_is_no_name() -> None:
    letters = await opened()
    id = await add(letters)
    with pytest.raises(InvalidOptionError) as caught:
        await letters.replay(id, "")
    assert str(caught.value) == "replay(recipient): expected a name, or a pid as text, got ''"
    await letters.close()


async def test_replay_sends_once_when_two_ask_for_it_at_once(store: Store) -> None:
    letters = await opened(store)
    id = await add(letters)
    results = await asyncio.gather(letters.replay(id), letters.replay(id), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["DeadLetterStateError", "str"]
    assert (await letters.stats()).waiting == 1
    await letters.close()


# --- discard -------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["waiting", "exhausted"])
async def test_discard_gives_a_letter_up_and_notes_why(state: State) -> None:
    letters = await opened()
    id = await in_state(letters, state)
    letter = await letters.discard(id, why="customer left")
    assert letter == await letters.get(id)
    assert (letter.state, letter.note, letter.due_at) == ("discarded", "customer left", None)
    await letters.close()


@pytest.mark.parametrize("state", ["retrying", "delivered", "discarded"])
async def test_discard_is_refused_in_another_state(state: State) -> None:
    letters = await opened()
    id = await in_state(letters, state)
    with pytest.raises(DeadLetterStateError) as caught:
        await letters.discard(id)
    assert str(caught.value).startswith(
        f"discard of dead letter {id!r}: expected a letter that is waiting or exhausted, got one that is {state}"
    )
    await letters.close()


async def test_one_of_two_decisions_at_once_is_refused(store: Store) -> None:
    letters = await opened(store)
    id = await add(letters)
    results = await asyncio.gather(letters.discard(id, why="a"), letters.discard(id, why="b"), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["DeadLetter", "DeadLetterStateError"]
    await letters.close()


# --- purge ---------------------------------------------------------------------------------------


async def test_purge_deletes_what_is_settled_and_nothing_else(store: Store) -> None:
    letters = await opened(store)
    for state in ("waiting", "retrying", "exhausted", "delivered", "discarded"):
        await in_state(letters, state)
    assert await letters.purge() == 2
    stats = await letters.stats()
    assert (stats.waiting, stats.retrying, stats.exhausted, stats.total) == (1, 1, 1, 3)
    await letters.close()


async def test_purge_deletes_open_letters_when_it_is_asked_to(store: Store) -> None:
    letters = await opened(store)
    for state in ("waiting", "exhausted", "delivered"):
        await in_state(letters, state)
    assert await letters.purge({"state": ("waiting", "exhausted")}) == 2
    assert (await letters.stats()).total == 1
    await letters.close()


async def test_purge_spares_what_changed_lately(store: Store) -> None:
    host = Host(now=1000.0)
    letters = await opened(store, host)
    await in_state(letters, "discarded")
    host.clock.now = 1100.0
    recent = await in_state(letters, "discarded")
    host.clock.now = 1150.0
    assert await letters.purge({"changed_before": 1000.0}, older_than=100) == 0
    assert await letters.purge({"changed_before": 1100.0}, older_than=1) == 1
    assert await letters.purge(older_than=100) == 0
    assert [entry.id for entry in (await letters.list()).entries] == [recent]
    await letters.close()


async def test_purge_goes_on_until_everything_is_deleted(store: Store) -> None:
    letters = await opened(store)
    await asyncio.gather(*(add(letters) for _ in range(2500)))
    assert await letters.purge({"state": "waiting"}) == 2500
    await letters.close()


async def test_purge_refuses_letters_that_are_redelivered() -> None:
    letters = await opened()
    with pytest.raises(InvalidOptionError) as caught:
        await letters.purge({"state": "retrying"})
    assert str(caught.value) == (
        "purge(filter): expected states other than 'retrying', got 'retrying'\n"
        "Fix: wait until they are settled; an abandoned claim ends by itself."
    )
    await letters.close()


class CrampedStore(MemoryStore):
    """Has room to delete up to so many letters at once."""

    room = 7

    async def delete(self, filter: LetterFilter, *, limit: int) -> int:
        if limit > self.room:
            raise StoreFullError(self.name, expected="room", got="none")
        return await super().delete(filter, limit=limit)


async def test_a_purge_takes_smaller_steps_when_the_store_is_full() -> None:
    async with DeadLetterQueue(CrampedStore()) as letters:
        await asyncio.gather(*(letters.add(recipient="a", message=n, reason="noproc") for n in range(50)))
        assert await letters.purge({"state": "waiting"}) == 50


async def test_a_purge_fails_when_there_is_no_room_to_delete_a_single_letter() -> None:
    store = CrampedStore()
    store.room = 0
    async with DeadLetterQueue(store) as letters:
        with pytest.raises(StoreFullError):
            await letters.purge()
