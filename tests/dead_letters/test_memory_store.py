# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest

from stanchion.dead_letters import DeadLetterQueue, MemoryStore, Write
from stanchion.errors import InvalidOptionError, StoreFullError
from tests.dead_letters.support import letter


async def test_a_memory_store_is_full_at_its_limit() -> None:
    store = MemoryStore(max_letters=2)
    await store.write([Write(letter(1)), Write(letter(2))])
    with pytest.raises(StoreFullError) as caught:
        await store.write([Write(letter(3))])
    assert str(caught.value) == (
        "store memory:: expected room for 1 more letters, got 2 of at most 2\n"
        "Fix: purge() what is settled, raise max_letters=, or keep letters in a file: "
        '"sqlite:///letters.db".'
    )
    assert await store.write([Write(letter(1, revision=1), replaces=0)]) == [True]


async def test_a_memory_store_without_a_limit_is_not_full() -> None:
    async with DeadLetterQueue(MemoryStore(max_letters=None)) as letters:
        await letters.add(recipient="a", message="hi", reason="noproc")


def test_a_memory_store_is_refused_when_its_limit_is_wrong() -> None:
    with pytest.raises(InvalidOptionError) as caught:
        MemoryStore(max_letters=0)
    assert str(caught.value) == "MemoryStore: max_letters: expected a whole number >= 1, got 0"
