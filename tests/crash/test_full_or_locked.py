# SPDX-License-Identifier: MIT
"""A disk that is full, or a file that another process has locked: a clear error, and nothing is lost."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

import stanchion as st
from stanchion.dead_letters import DeadLetterQueue, SqlStore
from stanchion.delivery import OutboxDelivery
from stanchion.errors import StoreError, StoreFullError
from stanchion.outbox import Outbox
from stanchion.storage import Database, SqliteDatabase

pytestmark = pytest.mark.allow_blocking("the tests fill disks and lock files, as other processes would")

LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.readline()
"""

AGAIN: Final[Mapping[str, Any]] = {
    "retries": 1000,
    "backoff": st.Backoff(initial=0.05, factor=1, maximum=0.05, jitter=0),
    "deadline": None,
}
"""Until its recipient is there."""


@contextmanager
def locked_by_another_process(path: Path) -> Generator[None]:
    with subprocess.Popen(
        [sys.executable, "-c", LOCK, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        yield
        process.stdin.write("go\n")
        process.stdin.flush()


@pytest.fixture
def small_disk(tmp_path: Path) -> Generator[Path]:
    """Return a folder on a file system of sixteen megabytes: SQLite's log takes four of them before it is reused."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small disk takes the right to mount one")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


class Recipient(st.GenServer):
    """Keeps the numbers that it was sent."""

    def init(self, handled: set[int]) -> None:
        self._handled = handled

    def handle_cast(self, message: tuple[int, str]) -> None:
        self._handled.add(message[0])


def node(database: Database) -> st.Node:
    outbox = Outbox(database, poll=0.05)
    letters = DeadLetterQueue(SqlStore(database))
    return st.Node(dead_letters=letters, redeliver=False, services=[outbox, OutboxDelivery(outbox)])


async def send(number: int, name: str = "inventory") -> bool:
    """Return whether the message was stored."""
    try:
        return bool(await st.send_supervised(name, (number, "x" * 40_000), durable=True, **AGAIN))
    except StoreError:
        return False


async def test_send_is_refused_while_another_process_locks_the_file_and_nothing_is_lost(tmp_path: Path) -> None:
    path, handled = tmp_path / "app.db", set[int]()
    url = f"sqlite:///{path}"
    async with node(SqliteDatabase(url, busy_timeout=0.2)) as running:
        sent = [await send(number, "late") for number in range(10)]
        with locked_by_another_process(path):
            with pytest.raises(StoreError) as caught:
                await st.send_supervised("late", (10, "refused"), durable=True)
            with pytest.raises(StoreError):
                await running.dead_letters.add(recipient="late", message="refused", reason="noproc")
            await st.start(Recipient, handled, name="late")  # what it handles now cannot be removed yet
        assert str(caught.value) == (
            f"store {url}: expected its turn to write within 0.2 s, got database is locked\n"
            "Fix: end the long transaction of the other process, or raise busy_timeout=."
        )
        assert sent == [True] * 10
        assert await send(11, "late")
        async with asyncio.timeout(10):
            await running.outbox.wait_empty()
        assert (await running.dead_letters.stats()).total == 0
    assert handled == {*range(10), 11}


async def test_send_is_refused_when_the_disk_is_full_and_what_was_stored_is_delivered(small_disk: Path) -> None:
    ballast, handled = small_disk / "ballast", set[int]()
    ballast.write_bytes(b"x" * 12_000_000)
    stored: set[int] = set()
    async with node(SqliteDatabase(f"sqlite:///{small_disk}/app.db")) as running:
        while await send(number := len(stored), "late"):
            stored.add(number)
        with pytest.raises(StoreFullError) as caught:
            await st.send_supervised("late", (number, "x" * 40_000), durable=True, **AGAIN)
        assert "expected room for what is written, got database or disk is full" in str(caught.value)
        with pytest.raises(StoreFullError):
            await running.dead_letters.add(recipient="late", message="x" * 40_000, reason="noproc")
        await st.start(Recipient, handled, name="late")
        ballast.unlink()
        async with asyncio.timeout(10):
            await running.outbox.wait_empty()
    assert handled == stored


async def test_letters_that_were_stored_before_the_disk_was_full_are_there_afterwards(small_disk: Path) -> None:
    ballast, stored = small_disk / "ballast", set[str]()
    ballast.write_bytes(b"x" * 8_000_000)
    url = f"sqlite:///{small_disk}/letters.db"

    async def fill(letters: DeadLetterQueue) -> None:
        while True:
            stored.add(await letters.add(recipient="inventory", message="x" * 100_000, reason="noproc"))

    async with DeadLetterQueue(url) as letters:
        with pytest.raises(StoreFullError):
            await fill(letters)
    with pytest.raises(StoreFullError):  # at once, and not at the next letter
        await DeadLetterQueue(url).open()
    ballast.unlink()
    async with DeadLetterQueue(url) as letters:
        found = await letters.list(limit=1000)
        assert {letter.id for letter in found.entries} == stored
        assert len(stored) > 20
