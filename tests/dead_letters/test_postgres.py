# SPDX-License-Identifier: MIT
"""What queues tell each other through PostgreSQL; what they do alone is tested with the other stores."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from stanchion._backoff import Backoff
from stanchion.dead_letters import DeadLetterQueue, SqlStore, Write
from stanchion.storage import PostgresDatabase
from tests.dead_letters.support import letter
from tests.postgres import execute_async


@asynccontextmanager
async def two_queues(url: str) -> AsyncGenerator[tuple[DeadLetterQueue, DeadLetterQueue]]:
    """Open two queues as two OS processes would, the first of which listens already."""
    one, two = (DeadLetterQueue(url, backoff=Backoff(initial=0, jitter=0)) for _ in range(2))
    async with one, two:
        await one.wait_changed(0)  # it is woken once when it listens
        yield one, two


async def add(letters: DeadLetterQueue) -> str:
    return await letters.add(recipient="a", message="hi", reason="noproc")


async def test_a_queue_is_woken_when_another_adds_a_letter_or_makes_one_due(postgres_url: str) -> None:
    async with two_queues(postgres_url) as (one, two):
        seen = one.changes
        id = await add(two)
        seen = await asyncio.wait_for(one.wait_changed(seen), 5)
        (claimed,) = await two.claim_due()
        await two.failed(claimed, reason="timeout", final=True)
        await two.retry(id)
        await asyncio.wait_for(one.wait_changed(seen), 5)
        assert [letter.id for letter in await one.claim_due()] == [id]


async def test_a_claim_passes_over_letters_that_somebody_has_locked(postgres_url: str) -> None:
    import asyncpg

    async with two_queues(postgres_url) as (one, _):
        locked, free = await add(one), await add(one)
        other = await asyncpg.connect(postgres_url)
        async with other.transaction():
            await other.execute("SELECT 1 FROM stanchion_dead_letters WHERE id = $1 FOR UPDATE", locked)
            assert [letter.id for letter in await one.claim_due()] == [free]
        await other.close()
        assert [letter.id for letter in await one.claim_due()] == [locked]


async def test_a_purge_passes_over_a_letter_that_somebody_is_retrying(postgres_url: str) -> None:
    import asyncpg

    async with two_queues(postgres_url) as (one, _):
        retried = await one.add(recipient="a", message="hi", reason="noproc", final=True)
        other = await asyncpg.connect(postgres_url)
        async with other.transaction():
            await other.execute("UPDATE stanchion_dead_letters SET state = 'waiting' WHERE id = $1", retried)
            assert await one.purge({"state": "exhausted"}) == 0
        await other.close()
        assert (await one.get(retried)).state == "waiting"


async def test_two_who_change_the_same_letters_at_once_never_stand_in_each_others_way(postgres_url: str) -> None:
    numbers = range(200)
    one, two = SqlStore(postgres_url), SqlStore(postgres_url)
    await one.open()
    await two.open()
    await one.write([Write(letter(number)) for number in numbers])
    changed = [Write(letter(number, state="discarded", revision=1), replaces=0) for number in numbers]
    made = await asyncio.gather(one.write(changed), two.write(changed[::-1]))
    assert sorted(made) == [[False] * 200, [True] * 200]
    await one.close()
    await two.close()


async def test_letters_keep_the_order_of_their_ids_whatever_the_language_of_the_database(postgres_url: str) -> None:
    store = SqlStore(postgres_url)
    await store.open()
    (row,) = await execute_async(
        postgres_url,
        "SELECT collation_name FROM information_schema.columns "
        "WHERE table_schema = current_schema() AND table_name = 'stanchion_dead_letters' AND column_name = 'id'",
    )
    assert row == ("C",)
    await store.close()


async def test_a_queue_goes_on_when_all_its_connections_are_cut(postgres_url: str) -> None:
    url = f"{postgres_url}&application_name={postgres_url[-16:]}"
    async with DeadLetterQueue(SqlStore(PostgresDatabase(url))) as letters:
        first = await add(letters)
        cut = f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = '{url[-16:]}'"
        await execute_async(postgres_url, cut)
        second = await add(letters)
        assert [(await letters.get(id)).state for id in (first, second)] == ["waiting"] * 2
