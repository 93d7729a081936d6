# SPDX-License-Identifier: MIT
"""Letters as lines of JSON, out of one database and into another."""

from __future__ import annotations

import asyncio
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stanchion.dead_letters import (
    Attempt,
    DeadLetter,
    DeadLetterQueue,
    Imported,
    MemoryStore,
    QueueStatistics,
    Store,
    Write,
)
from stanchion.errors import InvalidOptionError, LetterFileError, StoreError, StoreRejectedError
from tests.dead_letters.support import letter

looks_into_files = pytest.mark.allow_blocking("the test itself writes and reads the file")

FULL = msgspec.structs.replace(
    letter(2, state="retrying", claimed_until=1_700_000_060.25, revision=9, replay_of="letter-0001"),
    recipient="Lager „Süd“ 🐘",
    payload=b"\x00\xff\x93",
    error="no reply\nin 5 s",
    attempts=(Attempt(1.25, "noproc"), Attempt(2.5, "timeout", "no reply")),
    metadata={"order": 17, "deep": {"x": 1.5, "y": [True, None]}},
    claimed_by="host:1:abc",
    note="why",
)
LETTERS = (letter(1, next_attempt_at=30.5), FULL, msgspec.structs.replace(letter(3, state="exhausted"), payload=None))


async def holding(store: Store, *letters: DeadLetter) -> DeadLetterQueue:
    queue = DeadLetterQueue(store)
    await queue.open()
    await store.write([Write(letter) for letter in letters])
    return queue


def lines(*letters: DeadLetter, **changed: object) -> bytes:
    """Return letters as lines; ``changed`` replaces fields of the last one."""
    whole: list[dict[str, Any]] = [{"format": 1, "letter": msgspec.to_builtins(letter)} for letter in letters]
    whole[-1]["letter"].update(changed)
    return b"".join(json.dumps(line).encode() + b"\n" for line in whole)


# --- there and back ------------------------------------------------------------------------------


async def test_letters_come_back_as_they_were(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "letters.jsonl"
    queue = await holding(store, *LETTERS)
    assert await queue.export(path) == 3
    await queue.close()
    async with DeadLetterQueue("memory:") as other:
        assert await other.import_(str(path)) == Imported(imported=3, skipped=0)
        assert (await other.list()).entries == LETTERS


async def test_export_writes_what_fits_the_filter_into_an_open_file() -> None:
    queue = await holding(MemoryStore(), *LETTERS)
    file = io.BytesIO()
    assert await queue.export(file, {"state": "exhausted"}) == 1
    (line,) = file.getvalue().splitlines()
    assert json.loads(line)["format"] == 1
    assert json.loads(line)["letter"]["id"] == "letter-0003"
    await queue.close()


async def test_payload_is_in_base64() -> None:
    queue = await holding(MemoryStore(), FULL)
    file = io.BytesIO()
    await queue.export(file)
    assert json.loads(file.getvalue())["letter"]["payload"] == "AP+T"
    await queue.close()


async def test_import_reads_an_open_file_from_where_it_is() -> None:
    file = io.BytesIO(b"not a letter\n" + lines(*LETTERS) + b"\n")
    file.readline()
    async with DeadLetterQueue("memory:") as queue:
        assert await queue.import_(file) == Imported(3, 0)
    assert not file.closed


async def test_import_skips_letters_that_are_there() -> None:
    there = letter(1, state="discarded")
    queue = await holding(MemoryStore(), there)
    assert await queue.import_(io.BytesIO(lines(*LETTERS, LETTERS[2]))) == Imported(imported=2, skipped=2)
    assert await queue.get("letter-0001") == there
    assert await queue.import_(io.BytesIO(lines(*LETTERS))) == Imported(imported=0, skipped=3)
    await queue.close()


async def test_imported_letters_are_stored_and_not_exhausted_anew(caplog: pytest.LogCaptureFixture) -> None:
    hooked: list[DeadLetter] = []
    async with DeadLetterQueue("memory:", on_exhausted=hooked.append) as queue:
        with queue.subscribe() as changes:
            await queue.import_(io.BytesIO(lines(LETTERS[2])))
            assert (await anext(changes)).verb == "import"
        assert queue.statistics() == QueueStatistics(stored=1)
    assert (hooked, caplog.records) == ([], [])


async def test_many_letters_are_moved_in_steps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("stanchion.dead_letters._jsonl._STEP", 2)
    queue = await holding(MemoryStore(), *(letter(number) for number in range(5)))
    assert await queue.export(tmp_path / "letters.jsonl") == 5
    await queue.purge({"state": "waiting"})
    assert await queue.import_(tmp_path / "letters.jsonl") == Imported(5, 0)
    await queue.close()


async def test_two_imports_at_once_store_each_letter_once() -> None:
    class SlowToLook(MemoryStore):
        async def find(self, ids: Sequence[str]) -> list[DeadLetter]:
            found = await super().find(ids)
            await asyncio.sleep(0.01)
            return found

    async with DeadLetterQueue(SlowToLook()) as queue:
        done = await asyncio.gather(*(queue.import_(io.BytesIO(lines(*LETTERS))) for _ in range(2)))
        assert sum(one.imported for one in done) == 3
        assert sum(one.skipped for one in done) == 3


# --- files that are not right --------------------------------------------------------------------


@looks_into_files
@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b"hello\n", "expected a letter as export() writes it, got b'hello\\n': JSON is malformed: "),
        (b"{}\n", "expected a letter as export() writes it, got b'{}\\n': Object missing required field `format`"),
        (b'{"format": 1, "letter": {}}\n', "Object missing required field `id`"),
        (lines(letter(), state="lost"), "Invalid enum value 'lost' - at `$.state`"),
        (lines(letter(), payload="?"), "Invalid base64 encoded string - at `$.payload`"),
        (lines(letter(), preview="a\0b"), "no id, or a NUL in a text"),
        (lines(letter(), id=""), "no id, or a NUL in a text"),
        (b'{"format": 1, "letter": {"id": "\xff"}}\n', "'utf-8' codec can't decode byte 0xff"),
        (b'{"format": 1, "letter": ' + b"[" * 100_000 + b"\n", "maximum recursion depth exceeded"),
        (
            b'{"format": 2, "letter": {}}\n',
            (
                "letters in letters.jsonl, line 4: expected a line of format 1, got format 2\n"
                "Fix: read it with the release that wrote it, or a later one."
            ),
        ),
    ],
)
async def test_import_names_the_line_that_is_wrong_and_stores_nothing(line: bytes, text: str, tmp_path: Path) -> None:
    path = tmp_path / "letters.jsonl"
    path.write_bytes(lines(letter(1), letter(2)) + b"\n" + line + lines(letter(3)))
    async with DeadLetterQueue("memory:") as queue:
        with pytest.raises(LetterFileError) as caught:
            await queue.import_(path)
        assert (await queue.stats()).total == 0
    assert (caught.value.file, caught.value.line) == (str(path), 4)
    message = str(caught.value).replace(str(path), "letters.jsonl")
    assert message.startswith("letters in letters.jsonl, line 4: expected ")
    assert text in message


@looks_into_files
async def test_export_never_writes_over_a_file(tmp_path: Path) -> None:
    path = tmp_path / "letters.jsonl"
    path.write_bytes(b"precious")
    async with DeadLetterQueue("memory:") as queue:
        with pytest.raises(LetterFileError) as caught:
            await queue.export(path)
    assert str(caught.value) == (
        f"letters in {path}: expected a file that is not there yet, got one that is\n"
        "Fix: give another name, or remove it."
    )
    assert path.read_bytes() == b"precious"


@looks_into_files
async def test_export_leaves_no_half_of_a_file(tmp_path: Path) -> None:
    class FailingStore(MemoryStore):
        async def page(self, *args: Any, cursor: str | None, **options: Any) -> list[DeadLetter]:
            if cursor is not None:
                raise StoreError(self.name, expected="to work", got="a failure")
            return await super().page(*args, cursor=cursor, **options)

    queue = await holding(FailingStore(), *LETTERS)
    with pytest.raises(StoreError):
        await queue.export(tmp_path / "letters.jsonl")
    assert not (tmp_path / "letters.jsonl").exists()
    with pytest.raises(StoreError):
        await queue.export(io.BytesIO())
    await queue.close()


@pytest.mark.parametrize("verb", ["export", "import_"])
async def test_file_that_cannot_be_opened_is_refused(verb: str, tmp_path: Path) -> None:
    path = tmp_path / "missing" / "letters.jsonl"
    async with DeadLetterQueue("memory:") as queue:
        with pytest.raises(LetterFileError) as caught:
            await getattr(queue, verb)(path)
    assert str(caught.value) == (
        f"letters in {path}: expected a file that can be read and written, "
        f"got [Errno 2] No such file or directory: '{path}'"
    )


@pytest.mark.parametrize("verb", ["export", "import_"])
async def test_what_is_no_file_is_refused(verb: str) -> None:
    async with DeadLetterQueue("memory:") as queue:
        with pytest.raises(InvalidOptionError) as caught:
            await getattr(queue, verb)(7)
        assert str(caught.value) == f"{verb}(file): expected the path of a file, or an open binary file, got 7"
        with pytest.raises(InvalidOptionError) as caught:
            await getattr(queue, verb)(io.StringIO())
        assert str(caught.value).endswith("\nFix: open it in binary mode.")
        (closed := io.BytesIO()).close()
        with pytest.raises(InvalidOptionError, match=r"or an open binary file, got <_io\.BytesIO"):
            await getattr(queue, verb)(closed)


@looks_into_files
async def test_export_that_is_cancelled_while_it_makes_its_file_leaves_none(tmp_path: Path) -> None:
    path = tmp_path / "letters.jsonl"
    os.mkfifo(tmp_path / "gate")
    real_open = Path.open

    def slow_open(self: Path, mode: str) -> Any:
        opened = real_open(self, mode)
        with real_open(tmp_path / "gate", "rb"):  # returns when the test opens the other end
            return opened

    async with DeadLetterQueue("memory:") as queue:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Path, "open", slow_open)
            task = asyncio.ensure_future(queue.export(path))
            while not path.exists():
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.sleep(0)
            with real_open(tmp_path / "gate", "wb"), pytest.raises(asyncio.CancelledError):
                await task
    assert not path.exists()


async def test_import_stops_when_the_store_cannot_keep_a_letter() -> None:
    class ChoosyStore(MemoryStore):
        async def write(self, writes: Sequence[Write]) -> list[bool]:
            if any(write.letter.id == "letter-0002" for write in writes):
                raise StoreRejectedError(self.name, expected="another", got="this one")
            return await super().write(writes)

    async with DeadLetterQueue(ChoosyStore()) as queue:
        with pytest.raises(StoreRejectedError):
            await queue.import_(io.BytesIO(lines(*LETTERS)))
        assert [letter.id for letter in (await queue.list()).entries] == ["letter-0001", "letter-0003"]
