# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from stanchion.dead_letters import DeadLetter, DeadLetterQueue, MemoryStore, Write
from stanchion.errors import DeadLettersClosedError, StoreError, StoreFullError, StoreRejectedError
from tests.dead_letters.support import SlowStore


async def add(letters: DeadLetterQueue, message: object) -> str:
    return await letters.add(recipient="inventory", message=message, reason="noproc")


def adding(letters: DeadLetterQueue, *messages: object) -> list[asyncio.Task[str]]:
    return [asyncio.create_task(add(letters, message)) for message in messages]


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def previews(letters: DeadLetterQueue) -> list[str]:
    return [entry.preview for entry in (await letters.list()).entries]


async def test_what_comes_during_a_commit_goes_together_into_the_next() -> None:
    store = SlowStore()
    async with DeadLetterQueue(store) as letters:
        first = adding(letters, 1)
        await settle()
        others = adding(letters, 2, 3, 4)
        await settle()
        assert store.batches == [["1"]]
        store.gate.set()
        await asyncio.gather(*first, *others)
        assert store.batches == [["1"], ["2", "3", "4"]]


async def test_a_letter_is_reported_after_its_commit() -> None:
    store = SlowStore()
    async with DeadLetterQueue(store) as letters:
        (task,) = adding(letters, 1)
        await settle()
        assert not task.done()
        store.gate.set()
        assert (await letters.get(await task)).preview == "1"


async def test_a_commit_takes_no_more_than_a_thousand() -> None:
    store = SlowStore()
    store.gate.set()
    async with DeadLetterQueue(store) as letters:
        await asyncio.gather(*adding(letters, *range(2500)))
    assert [len(batch) for batch in store.batches] == [1000, 1000, 500]


class PickyStore(MemoryStore):
    """Cannot keep letters that say bad."""

    async def write(self, writes: Sequence[Write]) -> list[bool]:
        if any(write.letter.preview == "'bad'" for write in writes):
            raise StoreRejectedError(self.name, expected="a good letter", got="a bad one")
        return await super().write(writes)


async def test_a_letter_that_cannot_be_stored_fails_alone() -> None:
    async with DeadLetterQueue(PickyStore()) as letters:
        tasks = adding(letters, "a", "bad", "b", "c", "bad", "d", "e")
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(result) for result in results] == [
            str, StoreRejectedError, str, str, StoreRejectedError, str, str,
        ]  # fmt: skip
        assert await previews(letters) == ["'a'", "'b'", "'c'", "'d'", "'e'"]


async def test_everybody_hears_of_it_when_the_store_fails() -> None:
    store = SlowStore()
    store.gate.set()
    store.failures = [StoreError("memory:", expected="to work", got="no")]
    async with DeadLetterQueue(store) as letters:
        results = await asyncio.gather(*adding(letters, 1, 2, 3), return_exceptions=True)
        assert [type(result) for result in results] == [StoreError] * 3
        assert len(store.batches) == 1
        await add(letters, 4)
        assert await previews(letters) == ["4"]


async def test_a_foreign_error_of_a_store_becomes_a_store_error() -> None:
    store = SlowStore()
    store.gate.set()
    store.failures = [ZeroDivisionError("no")]
    async with DeadLetterQueue(store) as letters:
        with pytest.raises(StoreError) as caught:
            await add(letters, 1)
    assert str(caught.value) == "store memory:: expected the write to succeed, got ZeroDivisionError: no"
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


async def test_a_cancelled_add_is_stored_all_the_same() -> None:
    store = SlowStore()
    async with DeadLetterQueue(store) as letters:
        in_flight = adding(letters, 1)
        await settle()
        pending = adding(letters, 2)
        await settle()
        in_flight[0].cancel()
        pending[0].cancel()
        await asyncio.wait([*in_flight, *pending])
        store.gate.set()
        await add(letters, 3)
        assert in_flight[0].cancelled()
        assert pending[0].cancelled()
        assert await previews(letters) == ["1", "2", "3"]


async def test_a_cancelled_add_is_logged_when_the_store_fails(caplog: pytest.LogCaptureFixture) -> None:
    store = SlowStore()
    async with DeadLetterQueue(store) as letters:
        (task,) = adding(letters, 1)
        await settle()
        task.cancel()
        await asyncio.wait([task])
        store.failures = [StoreError("memory:", expected="to work", got="no")]
        store.gate.set()
    assert "add of dead letter" in caplog.text
    assert "was not stored: store memory:: expected to work, got no" in caplog.text


# --- room ----------------------------------------------------------------------------------------


async def test_add_waits_for_room_when_too_many_wait_for_their_commit() -> None:
    store = SlowStore()
    async with DeadLetterQueue(store, max_pending=2) as letters:
        first = adding(letters, 0)
        await settle()
        others = adding(letters, 1, 2, 3, 4, 5)
        await settle()
        store.gate.set()
        await asyncio.gather(*first, *others)
        assert [len(batch) for batch in store.batches] == [1, 2, 2, 1]
        assert await previews(letters) == ["0", "1", "2", "3", "4", "5"]


async def test_a_cancelled_add_that_waits_for_room_is_not_stored() -> None:
    store = SlowStore()
    async with DeadLetterQueue(store, max_pending=1) as letters:
        first = adding(letters, 0)
        await settle()
        second, third = adding(letters, 1, 2)
        await settle()
        third.cancel()
        await asyncio.wait([third])
        store.gate.set()
        await asyncio.gather(*first, second)
        assert await previews(letters) == ["0", "1"]


# --- closing -------------------------------------------------------------------------------------


async def test_closing_commits_what_was_added() -> None:
    store = SlowStore()
    letters = DeadLetterQueue(store)
    await letters.open()
    tasks = adding(letters, 1)
    await settle()
    tasks += adding(letters, 2)
    await settle()
    closing = asyncio.create_task(letters.close())
    await settle()
    with pytest.raises(DeadLettersClosedError):
        await add(letters, 3)
    store.gate.set()
    await closing
    assert [task.done() for task in tasks] == [True, True]
    async with letters:
        assert await previews(letters) == ["1", "2"]


async def test_closing_answers_those_who_wait_for_room() -> None:
    store = SlowStore()
    letters = DeadLetterQueue(store, max_pending=1)
    await letters.open()
    tasks = adding(letters, 0)
    await settle()
    tasks += adding(letters, 1, 2)
    await settle()
    closing = asyncio.create_task(letters.close())
    await settle()
    store.gate.set()
    await closing
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [str, str, DeadLettersClosedError]


async def test_a_change_under_way_is_refused_when_the_queue_closes() -> None:
    class Slow(MemoryStore):
        async def get(self, id: str) -> DeadLetter | None:
            await closed.wait()
            return await super().get(id)

    closed = asyncio.Event()
    letters = DeadLetterQueue(Slow())
    await letters.open()
    id = await add(letters, 1)
    task = asyncio.create_task(letters.discard(id))
    await settle()
    await letters.close()
    closed.set()
    with pytest.raises(DeadLettersClosedError) as caught:
        await task
    assert caught.value.operation == "discard"


async def test_nobody_waits_for_ever_when_the_writer_is_cancelled_with_the_loop() -> None:
    store = SlowStore()
    letters = DeadLetterQueue(store, max_pending=1)
    await letters.open()
    tasks = adding(letters, 0)
    await settle()
    tasks += adding(letters, 1, 2)
    await settle()
    (writer,) = (task for task in asyncio.all_tasks() if task.get_name() == "dead-letters-writer")
    writer.cancel()
    await asyncio.wait(tasks[:2], timeout=1)
    store.gate.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [asyncio.CancelledError, asyncio.CancelledError, str]
    await letters.close()


async def test_nobody_waits_for_ever_when_the_writer_is_cancelled_before_it_begins() -> None:
    letters = DeadLetterQueue("memory:")
    await letters.open()
    (task,) = adding(letters, 1)
    await asyncio.sleep(0)
    (writer,) = (task for task in asyncio.all_tasks() if task.get_name() == "dead-letters-writer")
    writer.cancel()
    await asyncio.wait([task], timeout=1)
    assert task.cancelled()
    await asyncio.wait_for(add(letters, 2), 1)
    assert await previews(letters) == ["2"]
    await asyncio.wait_for(letters.close(), 1)


async def test_what_still_fits_is_stored_when_the_store_gets_full() -> None:
    async with DeadLetterQueue(MemoryStore(max_letters=4)) as letters:
        id = await add(letters, 0)
        adds, change = adding(letters, 1, 2, 3, 4, 5), asyncio.create_task(letters.discard(id))
        results = await asyncio.gather(*adds, return_exceptions=True)
        assert [type(result) for result in results] == [str, str, str, StoreFullError, StoreFullError]
        assert (await change).state == "discarded"
        assert await previews(letters) == ["0", "1", "2", "3"]


async def test_those_behind_a_failed_commit_fail_with_it() -> None:
    store = SlowStore()
    store.failures = [StoreError("memory:", expected="its turn", got="a lock")]
    async with DeadLetterQueue(store) as letters:
        early = adding(letters, *range(2500))
        await settle()
        late = adding(letters, "late")
        await settle()
        store.gate.set()
        results = await asyncio.gather(*early, *late, return_exceptions=True)
    assert [type(result) for result in results] == [StoreError] * 2500 + [str]
    assert [len(batch) for batch in store.batches] == [1000, 1]


async def test_the_other_half_of_a_group_fails_without_another_try_when_the_store_fails() -> None:
    store = SlowStore()
    store.gate.set()
    store.failures = [
        StoreRejectedError("memory:", expected="a good letter", got="a bad one"),
        StoreError("memory:", expected="its turn", got="a lock"),
    ]
    async with DeadLetterQueue(store) as letters:
        results = await asyncio.gather(*adding(letters, 1, 2, 3, 4), return_exceptions=True)
    assert [type(result) for result in results] == [StoreError] * 4
    assert store.batches == [["1", "2", "3", "4"], ["1", "2"]]
