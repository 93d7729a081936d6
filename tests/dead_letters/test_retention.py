# SPDX-License-Identifier: MIT
"""How long letters are kept."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import Any

import pytest

from stanchion.dead_letters import DeadLetter, DeadLetterQueue, LetterFilter, MemoryStore, Retention, Store, Write
from stanchion.errors import InvalidOptionError, StoreError, StoreFullError
from stanchion.telemetry import LETTERS_PURGED
from tests.dead_letters.support import Host, letter

DAY = 86_400.0
NOW = 100 * DAY


async def opened(store: Store, retention: Retention | None, host: Host | None = None) -> DeadLetterQueue:
    letters = DeadLetterQueue(store, retention=retention)
    await letters.open(Host(now=NOW) if host is None else host)
    return letters


async def filled(store: Store, *writes: Write) -> Store:
    await store.open()
    await store.write(writes)
    await store.close()
    return store


async def numbers(letters: DeadLetterQueue) -> list[int]:
    return [int(letter.id.removeprefix("letter-")) for letter in (await letters.list()).entries]


async def test_letters_are_kept_for_as_long_as_their_state_says(store: Store) -> None:
    states: list[Any] = ["delivered", "discarded", "exhausted", "waiting", "retrying"]
    ages = (6.9, 7.1, 30.1, 99)
    writes = [
        Write(letter(10 * place + number, state=state, updated_at=NOW - age * DAY))
        for place, state in enumerate(states)
        for number, age in enumerate(ages)
    ]
    letters = await opened(await filled(store, *writes), Retention(exhausted=timedelta(days=90)))
    await letters.enforce_retention()
    assert await numbers(letters) == [0, 10, 11, 20, 21, 22, 30, 31, 32, 33, 40, 41, 42, 43]
    await letters.close()


async def test_nothing_is_deleted_without_a_retention(store: Store) -> None:
    letters = await opened(await filled(store, Write(letter(1, state="delivered", updated_at=0))), None)
    assert await letters.enforce_retention() == 0
    assert await numbers(letters) == [1]
    await letters.close()


async def test_retention_of_none_keeps_a_state_for_ever() -> None:
    store = await filled(MemoryStore(), Write(letter(1, state="delivered")), Write(letter(2, state="discarded")))
    letters = await opened(store, Retention(delivered=None, discarded=0))
    await letters.enforce_retention()
    assert await numbers(letters) == [1]
    await letters.close()


async def test_oldest_settled_letters_go_when_there_are_too_many(store: Store) -> None:
    writes = [Write(letter(number, state="delivered" if number % 2 else "waiting")) for number in range(8)]
    letters = await opened(
        await filled(store, *writes), Retention(delivered=None, discarded=None, max_letters=6, every=DAY)
    )
    await letters.enforce_retention()
    assert await numbers(letters) == [0, 2, 4, 5, 6, 7]
    await letters.close()


async def test_letters_that_wait_are_kept_even_when_there_are_too_many() -> None:
    store = await filled(MemoryStore(), *(Write(letter(number)) for number in range(3)))
    letters = await opened(store, Retention(max_letters=0))
    await letters.enforce_retention()
    assert await numbers(letters) == [0, 1, 2]
    await letters.close()


async def test_retention_goes_on_in_steps_until_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stanchion.dead_letters._purging._STEP", 2)
    told: list[dict[str, object]] = []
    host = Host(now=NOW)
    host.telemetry.attach(LETTERS_PURGED, lambda _, measured, about: told.append({**measured, **about}))
    letters = await opened(await filled(MemoryStore(), *(Write(letter(n)) for n in range(5))), None, host)
    assert await letters.purge({"state": "waiting"}) == 5
    assert told == [{"count": count, "store": "memory:"} for count in (2, 2, 1)]
    assert letters.statistics().purged == 5
    await letters.close()


async def test_an_open_queue_enforces_its_retention_by_itself() -> None:
    deleted: list[int] = []
    both = asyncio.Event()

    class WatchedStore(MemoryStore):
        async def delete(self, filter: LetterFilter, *, limit: int) -> int:
            deleted.append(await super().delete(filter, limit=limit))
            if sum(deleted) == 2:
                both.set()
            return deleted[-1]

    store = await filled(WatchedStore(), Write(letter(1, state="delivered")))
    host = Host(now=NOW)
    letters = await opened(store, Retention(discarded=None, every=0.001), host)
    while not deleted:
        await asyncio.sleep(0)
    await store.write([Write(letter(2, state="delivered"))])
    await asyncio.wait_for(both.wait(), 5)
    await letters.close()


async def test_a_store_that_fails_is_tried_again_the_next_time(caplog: pytest.LogCaptureFixture) -> None:
    again = asyncio.Event()

    class FailingStore(MemoryStore):
        failed = False

        async def delete(self, filter: LetterFilter, *, limit: int) -> int:
            if not self.failed:
                self.failed = True
                raise StoreError(self.name, expected="to work", got="a failure")
            again.set()
            return 0

    letters = await opened(FailingStore(), Retention(every=0.001))
    await asyncio.wait_for(again.wait(), 5)
    await letters.close()
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.getMessage() == (
        "dead letters that are kept for too long could not be deleted: store memory:: expected to work, got a failure"
    )


async def test_a_queue_whose_closing_is_cancelled_deletes_nothing_more() -> None:
    class StuckStore(MemoryStore):
        async def claim(self, *_: Any, **__: Any) -> list[DeadLetter]:
            await stuck.wait()
            return []

    stuck = asyncio.Event()
    letters = await opened(StuckStore(), Retention())
    claiming = asyncio.ensure_future(letters.claim_due())
    await asyncio.sleep(0)
    closing = asyncio.ensure_future(letters.close())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert "dead-letters-retention" not in [task.get_name() for task in asyncio.all_tasks()]
    stuck.set()
    assert await claiming == []


async def test_trimming_takes_smaller_steps_when_the_store_is_full() -> None:
    class CrampedStore(MemoryStore):
        async def remove(self, keys: Any) -> list[bool]:
            if len(keys) > 1:
                raise StoreFullError(self.name, expected="room", got="none")
            return await super().remove(keys)

    store = await filled(CrampedStore(), *(Write(letter(n, state="delivered")) for n in range(5)))
    letters = await opened(store, None)
    letters._retention = Retention(delivered=None, discarded=None, max_letters=2)  # type: ignore[misc]
    assert await letters.enforce_retention() == 3
    assert await numbers(letters) == [3, 4]
    await letters.close()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"delivered": -1}, "Retention: delivered: expected seconds >= 0 as a finite number, or a timedelta, got -1"),
        ({"discarded": "x"}, "Retention: discarded: expected seconds >= 0 as a finite number, or a timedelta, got 'x'"),
        (
            {"exhausted": float("inf")},
            (
                "Retention: exhausted: expected seconds >= 0 as a finite number, or a timedelta, got inf\n"
                "Fix: pass None where no limit is meant, if this option takes None."
            ),
        ),
        ({"max_letters": -1}, "Retention: max_letters: expected a whole number >= 0, got -1"),
        ({"every": 0}, "Retention: every: expected more than 0 seconds, got 0"),
    ],
)
def test_a_retention_is_refused_when_an_option_is_wrong(options: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        Retention(**options)
    assert str(caught.value) == text


def test_a_retention_shows_what_it_keeps() -> None:
    assert repr(Retention(discarded=None, max_letters=5, every=0.5)) == (
        "Retention(delivered=604800, discarded=None, exhausted=None, max_letters=5, every=0.5)"
    )


def test_a_queue_refuses_what_is_no_retention() -> None:
    with pytest.raises(InvalidOptionError) as caught:
        DeadLetterQueue("memory:", retention=7)  # type: ignore[arg-type]
    assert str(caught.value) == "DeadLetterQueue: retention: expected an instance of Retention, got 7"
