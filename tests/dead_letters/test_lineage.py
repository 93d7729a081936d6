# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest

from stanchion.dead_letters import DeadLetterQueue, MemoryStore, Store, Write
from stanchion.errors import DeadLetterNotFoundError
from tests.dead_letters.support import letter


async def test_lineage_goes_from_the_original_to_every_replay(store: Store) -> None:
    async with DeadLetterQueue(store) as letters:
        first = await letters.add(recipient="inventory", message="hi", reason="noproc")
        await letters.add(recipient="inventory", message="another", reason="noproc")
        second = await letters.replay(first, "orders")
        again = await letters.replay(first)
        third = await letters.replay(second)
        for id in (first, second, again, third):
            lineage = await letters.lineage(id)
            assert [letter.id for letter in lineage] == [first, second, again, third]
        assert [letter.replay_of for letter in lineage] == [None, first, first, second]


async def test_lineage_of_a_letter_without_replays_is_the_letter() -> None:
    async with DeadLetterQueue("memory:") as letters:
        id = await letters.add(recipient="inventory", message="hi", reason="noproc")
        assert await letters.lineage(id) == (await letters.get(id),)


async def test_lineage_holds_together_when_the_original_was_purged(store: Store) -> None:
    async with DeadLetterQueue(store) as letters:
        first = await letters.add(recipient="inventory", message="hi", reason="noproc")
        second, third = await letters.replay(first), await letters.replay(first)
        assert await letters.purge() == 1
        assert [letter.id for letter in await letters.lineage(third)] == [second, third]
        with pytest.raises(DeadLetterNotFoundError):
            await letters.lineage(first)


async def test_lineage_ends_when_letters_from_elsewhere_replay_each_other() -> None:
    store = MemoryStore()
    async with DeadLetterQueue(store) as letters:
        await store.write([Write(letter(1, replay_of="letter-0002")), Write(letter(2, replay_of="letter-0001"))])
        assert [letter.id for letter in await letters.lineage("letter-0001")] == ["letter-0001", "letter-0002"]


async def test_lineage_reaches_beyond_one_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stanchion.dead_letters._lineage._PAGE", 2)
    async with DeadLetterQueue("memory:") as letters:
        first = await letters.add(recipient="inventory", message="hi", reason="noproc")
        replays = [await letters.replay(first) for _ in range(5)]
        assert [letter.id for letter in await letters.lineage(first)] == [first, *replays]
