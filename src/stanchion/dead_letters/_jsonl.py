# SPDX-License-Identifier: MIT
"""Letters as lines of JSON: a file that another database, another release or another program can read."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final, Literal, NamedTuple, TypeAlias

import msgspec

from stanchion._validate import cut
from stanchion.dead_letters._filter import LetterFilter
from stanchion.dead_letters._letter import DeadLetter
from stanchion.dead_letters._session import Session
from stanchion.dead_letters._store import Write
from stanchion.errors import InvalidOptionError, LetterFileError, StoreRejectedError

LetterFile: TypeAlias = str | os.PathLike[str] | BinaryIO
"""The path of a file, or an open binary file."""

_FORMAT: Final = 1
_STEP: Final = 500  # lines that are read or written at once


class Imported(NamedTuple):
    """What came of an import.

    Attributes:
        imported: How many letters were stored.
        skipped: How many were not, since a letter with the same id is there.
    """

    imported: int
    skipped: int


class _Line(msgspec.Struct, frozen=True):
    """A line: by which rules it is written, and every field of the letter; bytes are in base64."""

    format: int
    letter: msgspec.Raw


async def export(session: Session, file: LetterFile, filter: LetterFilter) -> int:
    """Write the letters that fit; see ``DeadLetterQueue.export``."""
    count = 0
    async with _opened("export", file, "xb") as opened:
        cursor: str | None = None
        while letters := await session.store.page(filter, cursor=cursor, limit=_STEP, newest_first=False):
            await asyncio.to_thread(opened.write, b"".join([_line(letter) for letter in letters]))
            count += len(letters)
            cursor = letters[-1].id
        await asyncio.to_thread(opened.flush)
    return count


def _line(letter: DeadLetter) -> bytes:
    return msgspec.json.encode(_Line(_FORMAT, msgspec.Raw(msgspec.json.encode(letter)))) + b"\n"


async def import_letters(session: Session, file: LetterFile) -> Imported:
    """Store the letters of a file; see ``DeadLetterQueue.import_``."""
    imported = skipped = 0
    async with _opened("import_", file, "rb") as opened:
        begin = await asyncio.to_thread(opened.tell)
        reader = _Reader(opened, _name(file))
        while await asyncio.to_thread(reader.read) is not None:  # finds a wrong line before anything is stored
            pass
        await asyncio.to_thread(opened.seek, begin)
        reader = _Reader(opened, _name(file))
        while (letters := await asyncio.to_thread(reader.read)) is not None:
            stored = await _store(session, letters)
            imported, skipped = imported + stored, skipped + len(letters) - stored
    return Imported(imported, skipped)


class _Reader:
    """Reads letters, some at a time; it blocks."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._name = name
        self._count = 0  # lines read so far

    def read(self) -> list[DeadLetter] | None:
        """Return the letters of the next lines; None at the end."""
        lines = list(islice(self._file, _STEP))
        if not lines:
            return None
        first = self._count + 1
        self._count += len(lines)
        return [_letter(line, self._name, number) for number, line in enumerate(lines, first) if line.strip()]


def _letter(line: bytes, name: str, number: int) -> DeadLetter:
    try:
        read = msgspec.json.decode(line, type=_Line)
        if read.format <= _FORMAT:
            return _checked(msgspec.json.decode(read.letter, type=DeadLetter))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise LetterFileError(
            name, line=number, expected="a letter as export() writes it", got=f"{cut(line)}: {error}"
        ) from error
    raise LetterFileError(
        name,
        line=number,
        expected=f"a line of format {_FORMAT}",
        got=f"format {read.format}",
        fix="read it with the release that wrote it, or a later one.",
    )


def _checked(letter: DeadLetter) -> DeadLetter:
    if not letter.id or any(isinstance(value, str) and "\0" in value for value in msgspec.structs.astuple(letter)):
        raise msgspec.ValidationError("no id, or a NUL in a text")
    return letter


async def _store(session: Session, letters: list[DeadLetter]) -> int:
    """Store the letters whose ids are new, and return how many they are."""
    there = {letter.id for letter in await session.store.find([letter.id for letter in letters])}
    new = {letter.id: letter for letter in letters if letter.id not in there}
    answers = [session.commit.put("import", Write(letter)) for letter in new.values()]
    made = await asyncio.gather(*answers, return_exceptions=True)
    failures = {id: error for id, error in zip(new, made, strict=True) if isinstance(error, BaseException)}
    for id, error in failures.items():
        # Another import may have stored the same letter meanwhile.
        if not isinstance(error, StoreRejectedError) or await session.store.get(id) is None:
            raise error
    return len(new) - len(failures)


# --- files -----------------------------------------------------------------------------------------


@asynccontextmanager
async def _opened(verb: str, file: LetterFile, mode: Literal["rb", "xb"]) -> AsyncGenerator[BinaryIO]:
    """Give the file, open; one that is open already stays open. One that is made is removed when the block raises."""
    with _translated(_name(file)):
        if isinstance(file, str | os.PathLike):
            opening = asyncio.ensure_future(asyncio.to_thread(_open, file, mode))
            half = True  # which would pass for the whole
            try:
                yield await asyncio.shield(opening)
                half = False
            finally:
                await asyncio.wait([opening])  # its thread goes on when this is cancelled
                if opening.exception() is None:
                    await asyncio.to_thread(_close, opening.result(), file if half and mode == "xb" else None)
        elif isinstance(file, io.IOBase) and not isinstance(file, io.TextIOBase) and not file.closed:
            yield file
        else:
            raise InvalidOptionError(
                f"{verb}(file)",
                expected="the path of a file, or an open binary file",
                got=cut(file),
                fix="open it in binary mode." if isinstance(file, io.TextIOBase) else None,
            )


def _open(file: str | os.PathLike[str], mode: Literal["rb", "xb"]) -> BinaryIO:
    return Path(file).open(mode)


def _close(opened: BinaryIO, unwanted: str | os.PathLike[str] | None) -> None:
    try:
        opened.close()
    finally:
        if unwanted is not None:
            Path(unwanted).unlink(missing_ok=True)


def _name(file: LetterFile) -> str:
    return os.fspath(file) if isinstance(file, str | os.PathLike) else str(getattr(file, "name", cut(file)))


@contextmanager
def _translated(name: str) -> Generator[None]:
    """Raise our error in place of the operating system's."""
    try:
        yield
    except FileExistsError as error:
        raise LetterFileError(
            name, expected="a file that is not there yet", got="one that is", fix="give another name, or remove it."
        ) from error
    except OSError as error:
        raise LetterFileError(name, expected="a file that can be read and written", got=str(error)) from error
