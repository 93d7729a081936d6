# SPDX-License-Identifier: MIT
"""What many writers, who share commits, are told; most of it is tested through the queue of dead letters."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from stanchion.errors import StoreError, StoreUncertainError
from stanchion.storage import GroupCommit


class ClosedError(Exception):
    """What a verb raises that comes too late."""


class Journal:
    """Commits texts, and answers how long they are; fails first as often as it is told to."""

    def __init__(self, *failures: Exception, limit: int = 100) -> None:
        self.failures = list(failures)
        self.batches: list[list[str]] = []
        self.told: list[tuple[str, str, int]] = []
        self.lost: list[tuple[str, str, str]] = []
        self.commit = GroupCommit[str, int](
            self._write,
            name="journal",
            label="journal",
            limit=limit,
            committed=lambda verb, text, size: self.told.append((verb, text, size)),
            lost=lambda verb, text, error: self.lost.append((verb, text, str(error))),
            closed=ClosedError,
        )

    async def _write(self, texts: Sequence[str]) -> list[int]:
        self.batches.append(list(texts))
        await asyncio.sleep(0)
        if self.failures:
            raise self.failures.pop(0)
        return [len(text) for text in texts]


async def test_each_writer_gets_the_answer_to_its_own_write() -> None:
    journal = Journal()
    answers = [journal.commit.put("add", text) for text in ("a", "bb", "ccc")]
    assert await asyncio.gather(*answers) == [1, 2, 3]
    assert journal.told == [("add", "a", 1), ("add", "bb", 2), ("add", "ccc", 3)]
    await journal.commit.close()


async def test_only_those_whose_commit_is_uncertain_are_told_so() -> None:
    journal = Journal(StoreUncertainError("journal", got="a broken connection"))
    answers = [journal.commit.put("add", str(number)) for number in range(1001)]
    results = await asyncio.gather(*answers, return_exceptions=True)
    assert [type(result) for result in results] == [StoreUncertainError] * 1000 + [int]
    assert [len(batch) for batch in journal.batches] == [1000, 1]
    await journal.commit.close()


async def test_write_that_nobody_waits_for_is_told_of_when_it_is_lost() -> None:
    journal = Journal(StoreError("journal", expected="room", got="none"))
    journal.commit.put("add", "a").cancel()
    await journal.commit.close()
    assert journal.lost == [("add", "a", "store journal: expected room, got none")]


async def test_verbs_are_refused_by_the_owners_error_when_it_is_closed() -> None:
    journal = Journal(limit=1)
    await journal.commit.close()
    with pytest.raises(ClosedError, match="add"):
        journal.commit.put("add", "a")
    with pytest.raises(ClosedError, match="add"):
        await journal.commit.room("add")
