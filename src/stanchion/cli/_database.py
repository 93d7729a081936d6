# SPDX-License-Identifier: MIT
"""The database that a command works on: one that is there, and has dead letters in it."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from stanchion._validate import cut, nearest
from stanchion.dead_letters import DeadLetterQueue
from stanchion.errors import InvalidOptionError, StoreError

if TYPE_CHECKING:
    from stanchion.storage import Database

_SUFFIXES = (".db", ".sqlite", ".sqlite3")


def letters_in(url: str | None) -> DeadLetterQueue:
    """Return the queue on the database, to be opened.

    A queue makes what is missing when it opens. That is right for a node and wrong for a look: here the database must
    exist, and be one that a queue was in. Not to be called in a running event loop.

    Raises:
        InvalidOptionError: there is no URL, or it is not that of a database.
        StoreError: there is no such database, or none with dead letters.
    """
    url = _checked(url)
    # Loaded late: SQLAlchemy is what takes long in starting, and `stanchion --help` does without.
    from stanchion.storage import database_of

    database = database_of(url)
    if url.startswith("sqlite:"):
        path = _path(url)
        if not path.exists():
            raise StoreError(url, expected="an existing file", got=f"none at {path.absolute()}", fix=_guess(path))
        foreign, where = _is_foreign_file(path), "file"
    else:
        foreign, where = asyncio.run(_is_foreign(database)), "database"
    if foreign:
        raise StoreError(
            database.name,
            expected="a database with dead letters",
            got="one that no dead-letter queue has been in",
            fix=f"name the {where} that your node writes, the one of Node(dead_letters=...); nothing was changed.",
        )
    return DeadLetterQueue(url)


def _checked(url: str | None) -> str:
    if not url:
        raise InvalidOptionError(
            "--db",
            expected="the URL of a database",
            got="none",
            fix="add --db sqlite:///letters.db, or set STANCHION_DB.",
        )
    scheme, colon, rest = url.partition(":")
    if not colon or (scheme == "sqlite" and rest.startswith("//") and not rest.startswith("///")):
        raise InvalidOptionError(
            "--db",
            expected="a URL such as sqlite:///letters.db",
            got=cut(url),
            fix=f"add --db sqlite:///{rest[2:] if colon else url}",
        )
    if scheme == "memory":
        raise InvalidOptionError(
            "--db",
            expected="a database that outlives its process",
            got=cut(url),
            fix="letters in memory are seen in their own process only; keep them in sqlite:///letters.db.",
        )
    return url


def _path(url: str) -> Path:
    from sqlalchemy import make_url

    return Path(make_url(url).database or "")


def _guess(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"there is no folder {folder.absolute()}."
    files = [file.name for file in folder.iterdir() if file.suffix in _SUFFIXES]
    guess = nearest(path.name, files) or (files[0] if len(files) == 1 else None)
    if guess is not None:
        return f"did you mean sqlite:///{folder / guess}?"
    return "a node makes it when it opens; a relative path begins at the current folder."


async def _is_foreign(database: Database) -> bool:
    """Tell whether no queue has opened the database yet."""
    import sqlalchemy as sa

    from stanchion.dead_letters.migrations import SCHEMA

    await database.open()
    try:
        return not await database.read(lambda connection: sa.inspect(connection).has_table(SCHEMA.version_table))
    finally:
        await database.close()


def _is_foreign_file(path: Path) -> bool:
    """Tell whether the file is a sound database that no queue has opened yet."""
    from stanchion.dead_letters.migrations import SCHEMA

    try:
        # rw, not ro: it makes no file either, and tidies up after itself what reading a write-ahead log needs.
        with closing(sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=rw", uri=True)) as connection:
            query = "SELECT count(*) FROM sqlite_master WHERE name = ?"
            return bool(connection.execute(query, (SCHEMA.version_table,)).fetchone() == (0,))
    except sqlite3.Error:
        return False  # what is wrong with it, opening the queue says better
