# SPDX-License-Identifier: MIT
"""Many letters at once: what was selected is what is acted on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from stanchion.dead_letters import BulkResult, DeadLetter, DeadLetterQueue, Key, MemoryStore, Store, Write
from stanchion.errors import BulkError, DeadLettersClosedError, InvalidOptionError, StoreError, StoreFullError
from tests.dead_letters.support import SlowStore


async def add(letters: DeadLetterQueue, count: int = 1, **fields: object) -> list[str]:
    given = {"recipient": "inventory", "message": "hi", "reason": "noproc", **fields}
    return [await letters.add(**given) for _ in range(count)]  # type: ignore[arg-type]


class FailingStore(MemoryStore):
    """Fails with the write, the read or the removal of this number, from 1."""

    def __init__(self, *, write: int = 0, find: int = 0, remove: int = 0) -> None:
        super().__init__()
        self.left = {"write": write, "find": find, "remove": remove}

    def _count(self, verb: str) -> None:
        self.left[verb] -= 1
        if self.left[verb] == 0:
            raise StoreError(self.name, expected="to work", got="a failure")

    async def write(self, writes: Sequence[Write]) -> list[bool]:
        self._count("write")
        return await super().write(writes)

    async def find(self, ids: Sequence[str]) -> list[DeadLetter]:
        self._count("find")
        return await super().find(ids)

    async def remove(self, keys: Sequence[Key]) -> list[bool]:
        self._count("remove")
        return await super().remove(keys)


# --- what is selected ----------------------------------------------------------------------------


async def test_selection_has_what_fits_the_filter_oldest_first(store: Store) -> None:
    async with DeadLetterQueue(store) as letters:
        ids = await add(letters, 3)
        await add(letters, recipient="orders")
        await letters.discard(ids[1])
        selection = await letters.select({"recipient": "inventory"})
        assert [key.id for key in selection.keys] == ids
        assert (selection.count, dict(selection.states)) == (3, {"waiting": 2, "discarded": 1})
        assert (await letters.select()).count == 4


async def test_selection_of_a_page_has_its_letters_as_they_were_shown() -> None:
    async with DeadLetterQueue("memory:") as letters:
        ids = await add(letters, 2)
        page = await letters.list()
        await letters.discard(ids[0])
        selection = await letters.select(page.entries)
        assert await selection.retry() == BulkResult(done=(ids[1],), changed=(ids[0],))


async def test_selection_is_narrowed_by_a_function() -> None:
    async with DeadLetterQueue("memory:") as letters:
        await add(letters, redeliverable=False)
        (id,) = await add(letters)
        selection = await letters.select()
        assert [key.id for key in selection.where(lambda key: key.redeliverable).keys] == [id]


async def test_selection_reaches_beyond_one_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stanchion.dead_letters._selection._KEYS", 2)
    async with DeadLetterQueue("memory:") as letters:
        ids = await add(letters, 5)
        assert [key.id for key in (await letters.select()).keys] == ids


async def test_selection_of_something_else_is_refused() -> None:
    async with DeadLetterQueue("memory:") as letters:
        with pytest.raises(InvalidOptionError) as caught:
            await letters.select(["some id"])  # type: ignore[list-item]
        assert str(caught.value) == "select(which): expected an instance of DeadLetter, got 'some id'"
        with pytest.raises(InvalidOptionError) as caught:
            await letters.select(7)  # type: ignore[arg-type]
        assert str(caught.value) == "select(which): expected a filter, or letters, got 7"


async def test_letter_that_is_given_twice_is_selected_once() -> None:
    async with DeadLetterQueue("memory:") as letters:
        (id,) = await add(letters)
        selection = await letters.select([await letters.get(id)] * 2)
        assert await selection.discard() == BulkResult(done=(id,))


# --- what is done to it --------------------------------------------------------------------------


async def test_verb_leaves_alone_what_came_or_changed_since(store: Store) -> None:
    async with DeadLetterQueue(store) as letters:
        first, second, third = await add(letters, 3)
        selection = await letters.select({"state": "waiting"})
        (late,) = await add(letters)
        await letters.retry(second)
        await letters.discard(third)
        await letters.purge()
        assert await selection.discard(why="a test") == BulkResult(done=(first,), changed=(second, third))
        assert ((await letters.get(first)).state, (await letters.get(first)).note) == ("discarded", "a test")
        assert (await letters.get(second)).state == (await letters.get(late)).state == "waiting"


async def test_second_verb_finds_the_letters_changed_by_the_first() -> None:
    async with DeadLetterQueue("memory:") as letters:
        ids = tuple(await add(letters, 2))
        selection = await letters.select()
        assert (await selection.retry()).done == ids
        assert (await selection.discard()).changed == ids


async def test_replay_names_the_new_letters_and_refuses_what_cannot_be_sent(store: Store) -> None:
    async with DeadLetterQueue(store) as letters:
        (waiting,) = await add(letters)
        (pid,) = await add(letters, redeliverable=False)
        (delivered,) = await add(letters)
        await letters.delivered(delivered)
        result = await (await letters.select()).replay()
        assert (result.done, [error.id for error in result.refused]) == ((waiting, delivered), [pid])
        replays = [await letters.get(id) for id in result.replayed_as]
        assert [(replay.replay_of, replay.state) for replay in replays] == [
            (waiting, "waiting"),
            (delivered, "waiting"),
        ]
        assert (await letters.get(waiting)).note == f"replayed as {result.replayed_as[0]}"
        assert (await letters.get(delivered)).state == "delivered"


async def test_replay_to_another_name_takes_letters_to_pids_too() -> None:
    async with DeadLetterQueue("memory:") as letters:
        await add(letters, redeliverable=False)
        (new_id,) = (await (await letters.select()).replay("orders")).replayed_as
        assert (await letters.get(new_id)).recipient == "orders"
        with pytest.raises(InvalidOptionError, match=r"replay\(recipient\): expected a name"):
            await (await letters.select()).replay("")


async def test_purge_deletes_the_selected_letters_and_no_others(store: Store) -> None:
    async with DeadLetterQueue(store) as letters:
        ids = await add(letters, 4)
        selection = await letters.select()
        (late,) = await add(letters)
        await letters.retry(ids[0])
        (claimed,) = await letters.claim_due(1)
        in_hand = await letters.select([claimed])
        assert await selection.purge() == BulkResult(done=tuple(ids[1:]), changed=(ids[0],))
        assert [letter.id for letter in (await letters.list()).entries] == [ids[0], late]
        (refused,) = (await in_hand.purge()).refused
        assert str(refused) == (
            f"purge of dead letter {ids[0]!r}: expected a letter that is waiting or exhausted or delivered or discarded, "
            "got one that is retrying\nFix: wait until its redelivery ends; its claimed_until says when at the latest."
        )


async def test_purge_takes_smaller_steps_when_the_store_is_full() -> None:
    class CrampedStore(MemoryStore):
        room = 3

        async def remove(self, keys: Sequence[Key]) -> list[bool]:
            if len(keys) > self.room:
                raise StoreFullError(self.name, expected="room", got="none")
            return await super().remove(keys)

    store = CrampedStore()
    async with DeadLetterQueue(store) as letters:
        await add(letters, 10)
        selection = await letters.select()
        store.room = 0
        with pytest.raises(BulkError):
            await selection.purge()
        store.room = 3
        assert len((await selection.purge()).done) == 10


async def test_verb_on_more_letters_than_a_step_takes_acts_on_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stanchion.dead_letters._selection._STEP", 2)
    async with DeadLetterQueue("memory:") as letters:
        ids = tuple(await add(letters, 5))
        assert (await (await letters.select()).discard()).done == ids
        assert (await (await letters.select()).purge()).done == ids


async def test_verb_on_nothing_does_nothing() -> None:
    async with DeadLetterQueue("memory:") as letters:
        assert await (await letters.select()).retry() == BulkResult()


# --- when it fails -------------------------------------------------------------------------------


@pytest.mark.parametrize("failing", [{"write": 5}, {"find": 2}])
async def test_verb_says_what_was_done_when_the_store_fails_on_the_way(
    failing: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stanchion.dead_letters._selection._STEP", 1)
    async with DeadLetterQueue(FailingStore(**failing)) as letters:
        ids = await add(letters, 3)
        selection = await letters.select()
        with pytest.raises(BulkError) as caught:
            await selection.discard()
    assert str(caught.value) == (
        "discard of selected letters: expected to come to all of them, got a failure with 1 done and 2 left: "
        "store memory:: expected to work, got a failure"
    )
    assert (caught.value.result, caught.value.left) == (BulkResult(done=(ids[0],)), 2)
    assert isinstance(caught.value.__cause__, StoreError)


async def test_purge_says_what_was_done_when_the_store_fails_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stanchion.dead_letters._selection._STEP", 1)
    async with DeadLetterQueue(FailingStore(remove=2)) as letters:
        ids = await add(letters, 2)
        with pytest.raises(BulkError) as caught:
            await (await letters.select()).purge()
    assert caught.value.result == BulkResult(done=(ids[0],))


async def test_verb_that_is_cancelled_finishes_what_it_began() -> None:
    store = FailingStore()
    async with DeadLetterQueue(store) as letters:
        await add(letters, 3)
        selection = await letters.select()
        task = asyncio.ensure_future(selection.discard())
        for _ in range(2):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    async with DeadLetterQueue(store) as letters:
        assert (await letters.stats()).discarded == 3


async def test_verb_that_is_cancelled_logs_what_the_store_could_not_do(caplog: pytest.LogCaptureFixture) -> None:
    store = SlowStore()
    store.gate.set()
    async with DeadLetterQueue(store) as letters:
        (id,) = await add(letters)
        store.gate.clear()
        store.failures = [StoreError(store.name, expected="to work", got="a failure")]
        task = asyncio.ensure_future((await letters.select()).discard())
        while len(store.batches) < 2:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        store.gate.set()
    assert [record.getMessage() for record in caplog.records] == [
        f"discard of dead letter {id} was not stored: store memory:: expected to work, got a failure"
    ]


async def test_letter_that_changes_while_a_verb_runs_is_left_alone() -> None:
    class RacedStore(MemoryStore):
        async def find(self, ids: Sequence[str]) -> list[DeadLetter]:
            found = await super().find(ids)
            await letters.retry(ids[0])
            return found

    letters = DeadLetterQueue(RacedStore())
    async with letters:
        ids = await add(letters, 2)
        assert await (await letters.select()).discard() == BulkResult(done=(ids[1],), changed=(ids[0],))


async def test_selection_of_a_closed_queue_is_refused() -> None:
    letters = DeadLetterQueue("memory:")
    async with letters:
        selection = await letters.select()
    for verb in (selection.retry, selection.replay, selection.discard, selection.purge):
        with pytest.raises(DeadLettersClosedError):
            await verb()
