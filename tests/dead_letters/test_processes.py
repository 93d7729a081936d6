# SPDX-License-Identifier: MIT
"""What holds between OS processes, proven with real ones."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from stanchion.dead_letters import DeadLetter, DeadLetterQueue
from stanchion.dead_letters._claimant import claimant, has_ended
from stanchion.storage import Owner, this_process
from tests.dead_letters.support import Host, WallClock

pytestmark = pytest.mark.allow_blocking("the tests themselves look at this process")

T = TypeVar("T")

CLAIM_AND_WAIT = """
import asyncio, sys
from stanchion.dead_letters import DeadLetterQueue

async def main():
    async with DeadLetterQueue(sys.argv[1]) as letters:
        (letter,) = await letters.claim_due(lease_seconds=3600)
        print(letters.owner, flush=True)
        sys.stdin.readline()

asyncio.run(main())
"""

CLAIM_ALL = """
import asyncio, sys
from stanchion.dead_letters import DeadLetterQueue

async def main():
    async with DeadLetterQueue(sys.argv[1]) as letters:
        print("ready", flush=True)
        sys.stdin.readline()
        while claimed := await letters.claim_due(7):
            for letter in claimed:
                print(letter.id, flush=True)

asyncio.run(main())
"""


def start(code: str, url: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def inside(url: str, work: Callable[[DeadLetterQueue], Awaitable[T]]) -> T:
    async def main() -> T:
        async with DeadLetterQueue(url) as letters:
            return await work(letters)

    return asyncio.run(main())


def test_two_processes_never_claim_the_same_letter(url: str) -> None:
    async def fill(letters: DeadLetterQueue) -> set[str]:
        ids = await asyncio.gather(
            *(letters.add(recipient="a", message=number, reason="noproc") for number in range(300))
        )
        await asyncio.gather(*map(letters.retry, ids))
        return set(ids)

    ids = inside(url, fill)
    with start(CLAIM_ALL, url) as one, start(CLAIM_ALL, url) as two:
        for process in (one, two):
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in (one, two):
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        first, second = one.communicate(), two.communicate()
    claims = [first[0].split(), second[0].split()]
    assert sorted(claims[0] + claims[1]) == sorted(ids)


@pytest.fixture(params=["sqlite", "postgres"])
def shared(request: pytest.FixtureRequest) -> str:
    """Return the URL of each kind of database that processes can share."""
    return str(request.getfixturevalue("url" if request.param == "sqlite" else "postgres_url"))


async def add_one(letters: DeadLetterQueue) -> str:
    id = await letters.add(recipient="a", message="hi", reason="noproc")
    await letters.retry(id)
    return id


async def claim(letters: DeadLetterQueue) -> list[DeadLetter]:
    return await letters.claim_due()


def test_claim_of_a_process_that_was_killed_ends_at_once_and_counts_as_a_failed_attempt(shared: str) -> None:
    id = inside(shared, add_one)
    with start(CLAIM_AND_WAIT, shared) as process:
        assert process.stdout is not None
        owner = process.stdout.readline().strip()
        assert inside(shared, claim) == []
        process.kill()
    (letter,) = inside(shared, claim)
    assert (letter.id, letter.redeliveries) == (id, 1)
    assert [(attempt.reason, attempt.error) for attempt in letter.attempts] == [
        ("lease_expired", f"{owner} claimed it and neither finished nor released it in time")
    ]


@pytest.mark.parametrize("owner", ["worker-7", "host:1:abcdef", "host:1:abcdef:7:abcdefabcdef"])
def test_claim_of_somebody_who_cannot_be_looked_up_ends_by_its_time_alone(shared: str, owner: str) -> None:
    async def claim_as_owner(letters: DeadLetterQueue) -> list[DeadLetter]:
        return await letters.claim_due(owner=owner)

    inside(shared, add_one)
    assert len(inside(shared, claim_as_owner)) == 1
    assert inside(shared, claim) == []


class SetClock(WallClock):
    """All of its times are set."""

    def monotonic(self) -> float:
        return self.now


async def test_queue_looks_again_for_processes_that_are_gone(url: str) -> None:
    host = Host()
    host.clock = SetClock(time.time())
    gone = Owner(this_process().host, os.getpid(), "1")  # the number is used again since
    async with DeadLetterQueue(url) as other:
        id = await add_one(other)
        letters = DeadLetterQueue(url)
        await letters.open(host)
        assert await letters.claim_due(room={"a": 0}) == []
        assert [letter.id for letter in await other.claim_due(owner=claimant(gone))] == [id]
        assert await letters.claim_due() == []
        host.clock.now += 5
        assert [letter.id for letter in await letters.claim_due()] == [id]
        await letters.close()


def test_name_of_a_claimant_tells_nothing_more_where_processes_cannot_be_looked_up() -> None:
    here = Owner(None, 7, "")
    assert re.fullmatch(r".+:7:[0-9a-f]{6}", claimant(here))
    assert not has_ended(claimant(this_process()), here)
