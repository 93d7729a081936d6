# SPDX-License-Identifier: MIT
"""What holds between OS processes, proven with real ones."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

from stanchion.dead_letters import DeadLetterQueue

T = TypeVar("T")

ADD_FOR_EVER = """
import asyncio, sys
from stanchion.dead_letters import DeadLetterQueue

async def add(letters):
    while True:
        id = await letters.add(recipient="inventory", message="hi", reason="noproc")
        print(id, flush=True)

async def main():
    async with DeadLetterQueue(sys.argv[1]) as letters:
        await asyncio.gather(*(add(letters) for _ in range(20)))

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


async def all_ids(letters: DeadLetterQueue) -> set[str]:
    found: set[str] = set()
    page = await letters.list(limit=1000)
    found.update(entry.id for entry in page.entries)
    while page.next_cursor is not None:
        page = await letters.list(limit=1000, cursor=page.next_cursor)
        found.update(entry.id for entry in page.entries)
    return found


def test_every_letter_that_was_reported_survives_kill_9(url: str) -> None:
    with start(ADD_FOR_EVER, url) as process:
        assert process.stdout is not None
        reported = {process.stdout.readline().strip() for _ in range(300)}
        process.kill()
        *complete, _ = process.stdout.read().split("\n")
    reported.update(complete)
    assert len(reported) >= 300
    stored = inside(url, all_ids)
    assert reported <= stored
    assert len(stored - reported) <= 20  # committed, and killed before they could be reported


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
