# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from stanchion.dead_letters import DeadLetterQueue, LetterFilter, MemoryStore, Stats, Store
from stanchion.errors import DeadLetterNotFoundError, DeadLettersClosedError, InvalidOptionError
from tests.dead_letters.support import Host

VALID: dict[str, Any] = {"store": "memory:"}


async def add(letters: DeadLetterQueue, message: object = "hi", **options: Any) -> str:
    arguments: dict[str, Any] = {"recipient": "inventory", "message": message, "reason": "noproc"}
    return await letters.add(**(arguments | options))


async def previews(letters: DeadLetterQueue, filter: Any = None, **options: Any) -> list[str]:
    return [entry.preview for entry in (await letters.list(filter, **options)).entries]


async def test_a_letter_that_is_not_there_is_not_found() -> None:
    async with DeadLetterQueue("memory:") as letters:
        with pytest.raises(DeadLetterNotFoundError) as caught:
            await letters.get("x")
    assert str(caught.value) == (
        "dead letter 'x': expected a stored letter with this id, got none\n"
        "Fix: list() shows the ids; a purged letter is gone."
    )


async def test_a_listing_goes_from_page_to_page(store: Store) -> None:
    async with DeadLetterQueue(store) as letters:
        for number in range(5):
            await add(letters, number)
        first = await letters.list(limit=2)
        second = await letters.list(limit=2, cursor=first.next_cursor)
        third = await letters.list(limit=2, cursor=second.next_cursor)
    assert [entry.preview for entry in (*first.entries, *second.entries, *third.entries)] == list("01234")
    assert third.next_cursor is None


async def test_a_listing_ends_when_the_last_page_is_full(store: Store) -> None:
    async with DeadLetterQueue(store) as letters:
        await add(letters, 0)
        await add(letters, 1)
        assert (await letters.list(limit=2)).next_cursor is None


@pytest.mark.parametrize(("newest_first", "expected"), [(False, list("01234567")), (True, list("3210"))])
async def test_a_listing_shows_each_letter_once_when_others_are_added_meanwhile(
    store: Store, newest_first: bool, expected: list[str]
) -> None:
    async with DeadLetterQueue(store) as letters:
        for number in range(4):
            await add(letters, number)
        seen: list[str] = []
        page = await letters.list(limit=1, newest_first=newest_first)
        for number in range(4, 12):
            seen += [entry.preview for entry in page.entries]
            if page.next_cursor is None:
                break
            if number < 8:
                await add(letters, number)
            page = await letters.list(limit=1, cursor=page.next_cursor, newest_first=newest_first)
    assert seen == expected


async def test_a_listing_takes_a_filter_or_its_fields_by_name() -> None:
    async with DeadLetterQueue("memory:") as letters:
        await add(letters, 1)
        await add(letters, 2, recipient="orders")
        assert await previews(letters, LetterFilter(recipient="orders")) == ["2"]
        assert await previews(letters, {"recipient": "orders"}) == ["2"]
        assert await previews(letters, {"since": datetime(2100, 1, 1, tzinfo=UTC)}) == []


@pytest.mark.parametrize(
    ("filter", "text"),
    [
        (
            {"recipientt": "a"},
            (
                "filter: expected options among state, recipient, reason, message_type, since, until, changed_before, "
                "replay_of, got 'recipientt'\nFix: write 'recipient'."
            ),
        ),
        (
            {"state": "exhaustd"},
            (
                "filter: state: expected one of 'waiting', 'retrying', 'exhausted', 'delivered', 'discarded', "
                "got 'exhaustd'\nFix: write 'exhausted'."
            ),
        ),
        (
            {"state": ("waiting", 7)},
            "filter: state: expected one of 'waiting', 'retrying', 'exhausted', 'delivered', 'discarded', got 7",
        ),
        ({"reason": 7}, "filter: reason: expected text or None, got 7"),
        ({"replay_of": 7}, "filter: replay_of: expected text or None, got 7"),
        (
            {"changed_before": True},
            "filter: changed_before: expected Unix seconds, or a datetime with a time zone, got True",
        ),
        ({"since": "today"}, "filter: since: expected Unix seconds, or a datetime with a time zone, got 'today'"),
        (
            {"until": datetime(2024, 1, 1)},  # noqa: DTZ001 - without a zone is what it is about
            (
                "filter: until: expected Unix seconds, or a datetime with a time zone, "
                "got datetime.datetime(2024, 1, 1, 0, 0)"
            ),
        ),
        ("waiting", "filter: expected a LetterFilter, or its fields by name, got 'waiting'"),
    ],
)
async def test_a_listing_is_refused_when_its_filter_is_wrong(filter: Any, text: str) -> None:
    async with DeadLetterQueue("memory:") as letters:
        with pytest.raises(InvalidOptionError) as caught:
            await letters.list(filter)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"limit": 0}, "list(limit): expected a whole number >= 1, got 0"),
        ({"limit": 1001}, "list(limit): expected at most 1000, got 1001\nFix: go on by cursor=."),
        ({"cursor": 7}, "list(cursor): expected text or None, got 7"),
    ],
)
async def test_a_listing_is_refused_when_an_option_is_wrong(options: dict[str, Any], text: str) -> None:
    async with DeadLetterQueue("memory:") as letters:
        with pytest.raises(InvalidOptionError) as caught:
            await letters.list(**options)
    assert str(caught.value) == text


async def test_stats_count_the_states_and_know_what_is_next(store: Store) -> None:
    letters = DeadLetterQueue(store)
    await letters.open(Host(now=1000.0))
    await add(letters)
    await letters.retry(await add(letters))
    await letters.discard(await add(letters))
    stats = await letters.stats()
    await letters.close()
    assert stats == Stats(waiting=2, discarded=1, next_due=1000.0)
    assert stats.total == 3


# --- subscriptions -------------------------------------------------------------------------------


async def test_a_subscription_gets_each_change_in_order() -> None:
    async with DeadLetterQueue("memory:") as letters:
        with letters.subscribe() as changes:
            id = await add(letters)
            await letters.retry(id)
            new = await letters.replay(id)
            await letters.claim_due()
            await letters.delivered(new)
        got = [(change.verb, change.letter.id, change.letter.state) async for change in changes]
    assert got == [
        ("add", id, "waiting"),
        ("retry", id, "waiting"),
        ("discard", id, "discarded"),
        ("replay", new, "waiting"),
        ("claim", new, "retrying"),
        ("delivered", new, "delivered"),
    ]


async def test_a_subscription_wakes_its_reader_and_ends_with_the_queue() -> None:
    letters = DeadLetterQueue("memory:")
    await letters.open()
    changes = letters.subscribe()

    async def read() -> list[str]:
        return [change.letter.preview async for change in changes]

    reader = asyncio.create_task(read())
    await asyncio.sleep(0)
    await add(letters, 1)
    await add(letters, 2)
    await letters.close()
    assert await reader == ["1", "2"]


async def test_a_subscription_drops_the_oldest_when_its_reader_is_slow() -> None:
    async with DeadLetterQueue("memory:") as letters:
        with letters.subscribe(buffer=2) as changes:
            for number in range(5):
                await add(letters, number)
            assert (await anext(changes)).letter.preview == "3"
            assert changes.missed == 3


async def test_a_subscription_that_ended_gets_nothing_more() -> None:
    async with DeadLetterQueue("memory:") as letters:
        changes = letters.subscribe()
        changes.end()
        changes.end()
        await add(letters)
        assert [change async for change in changes] == []


async def test_a_subscription_survives_a_reader_that_is_cancelled() -> None:
    async with DeadLetterQueue("memory:") as letters:
        with letters.subscribe() as changes:
            reader = asyncio.ensure_future(anext(changes))
            await asyncio.sleep(0)
            reader.cancel()
            await asyncio.wait([reader])
            await add(letters, 1)
            assert (await anext(changes)).letter.preview == "1"


async def test_a_subscription_needs_an_open_queue_and_a_buffer() -> None:
    letters = DeadLetterQueue("memory:")
    with pytest.raises(DeadLettersClosedError):
        letters.subscribe()
    with pytest.raises(InvalidOptionError) as caught:
        letters.subscribe(buffer=0)
    assert str(caught.value) == "subscribe(buffer): expected a whole number >= 1, got 0"


# --- opening and closing -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"store": "sqlit:///x.db"},
            (
                'dead-letter store: expected a URL such as "sqlite:///app.db" or "postgresql://host/app" or "memory:", '
                "got 'sqlit:///x.db'\nFix: did you mean sqlite:?"
            ),
        ),
        (
            {"store": "letters.db"},
            'dead-letter store: expected a URL such as "sqlite:///app.db" or "postgresql://host/app" or "memory:", got \'letters.db\'',
        ),
        ({"max_attempts": -1}, "DeadLetterQueue: max_attempts: expected a whole number >= 0, got -1"),
        ({"max_pending": 0}, "DeadLetterQueue: max_pending: expected a whole number >= 1, got 0"),
        ({"on_exhausted": 7}, "DeadLetterQueue: on_exhausted: expected a callable or None, got 7"),
        ({"backoff": 1.0}, "DeadLetterQueue: backoff: expected an instance of Backoff, got 1.0"),
    ],
)
def test_a_queue_is_refused_when_an_option_is_wrong(options: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        DeadLetterQueue(**(VALID | options))
    assert str(caught.value) == text


async def test_a_queue_is_not_opened_twice_but_again() -> None:
    letters = DeadLetterQueue(MemoryStore())
    await letters.open()
    with pytest.raises(InvalidOptionError) as caught:
        await letters.open()
    assert str(caught.value) == "DeadLetterQueue.open(): expected a closed queue, got an open one"
    await add(letters, 1)
    await letters.close()
    await letters.close()
    async with letters:
        assert await previews(letters) == ["1"]


async def test_a_queue_opens_an_sql_store_by_its_url(url: str) -> None:
    async with DeadLetterQueue(url) as letters:
        id = await add(letters, 1)
    async with DeadLetterQueue(url) as letters:
        assert (await letters.get(id)).message() == 1


async def test_every_verb_of_a_closed_queue_says_so() -> None:
    letters = DeadLetterQueue("memory:")
    calls = {
        "get": letters.get("x"),
        "list": letters.list(),
        "stats": letters.stats(),
        "purge": letters.purge(),
        "claim_due": letters.claim_due(),
        "next_due": letters.next_due(),
        "wait_changed": letters.wait_changed(0),
    }
    for verb, call in calls.items():
        with pytest.raises(DeadLettersClosedError) as caught:
            await call
        assert caught.value.operation == verb
    with pytest.raises(DeadLettersClosedError):
        _ = letters.changes
