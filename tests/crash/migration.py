# SPDX-License-Identifier: MIT
"""Migration: processes open a store that is empty or that an earlier release wrote, and are killed.

The store is then entirely as it was, or entirely as this release has it, with each letter that it had.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from random import Random
from typing import Any, ClassVar, Final

import msgspec
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from stanchion.dead_letters import DeadLetterQueue, migrations
from stanchion.dead_letters.stores import _tables
from stanchion.storage._schema import upgrade
from tests.crash.databases import ExaminedDatabase
from tests.crash.journal import Entry, Journal
from tests.crash.letters import all_letters, number_of
from tests.crash.processes import Kill
from tests.crash.target import Life, Report

SCHEMA: Final = migrations.SCHEMA
TABLE: Final = _tables.letters.name
OLD_LETTERS: Final = 300
NUMBERS: Final = 100_000

EMPTY: Final = "empty"
FIRST: Final = "0001"
FIRST_INDEXES: Final = {"stanchion_dead_letters_due"}


def old_letter(number: int) -> dict[str, Any]:
    """Return a row of the first revision's table."""
    return {
        "id": f"01890a5d-ac96-774b-bcce-{number:012}",
        "recipient": "inventory",
        "message_type": "data",
        "version": 1,
        "payload": msgspec.msgpack.encode(number),
        "preview": str(number),
        "reason": "noproc",
        "state": "waiting",
        "attempts": "[]",
        "attempt_count": 0,
        "redeliveries": 0,
        "next_attempt_at": 1_700_000_000.0,
        "created_at": 1_700_000_000.0,
        "updated_at": 1_700_000_000.0,
        "metadata": "{}",
        "redeliverable": True,
        "revision": 0,
        "due_at": 1_700_000_000.0,
    }


def upgrade_to_first(connection: sa.Connection) -> None:
    """Leave what the first release left: its table, with letters."""
    upgrade(connection, SCHEMA._replace(head=FIRST))
    table = sa.Table(TABLE, sa.MetaData(), autoload_with=connection)
    connection.execute(table.insert(), [old_letter(number) for number in range(OLD_LETTERS)])


def revision(connection: sa.Connection) -> str:
    """Return the revision that the store says it has, and ``empty`` where nothing is."""
    if not sa.inspect(connection).has_table(SCHEMA.version_table):
        return EMPTY
    return str(connection.exec_driver_sql(f"SELECT version_num FROM {SCHEMA.version_table}").scalar_one())


def difference(connection: sa.Connection) -> str | None:
    """Say how the tables differ from what the revision says."""
    found, inspector = revision(connection), sa.inspect(connection)
    if found == EMPTY:
        tables = inspector.get_table_names()
        return f"tables {tables} and no revision" if tables else None
    if found == FIRST != SCHEMA.head:
        names = {index["name"] for index in inspector.get_indexes(TABLE)}
        return None if names == FIRST_INDEXES else f"indexes {sorted(map(str, names))} at revision {FIRST}"
    context = MigrationContext.configure(connection, opts={"version_table": SCHEMA.version_table})
    changes = compare_metadata(context, _tables.metadata)
    return f"{changes} missing at revision {found}" if changes else None


class Migration:
    """The target; see the module."""

    rounds: ClassVar[int] = 8

    def kill(self, random: Random) -> Kill:
        """Most die on the way, some when they are done."""
        if random.random() < 0.5:
            return Kill("start", random.uniform(0, 0.06))
        return Kill("step", random.randint(1, 60))

    def processes(self, random: Random) -> int:
        """Two open the same store, now and then."""
        return random.choice((1, 1, 2))

    async def prepare(self, database: ExaminedDatabase, journal: Journal, random: Random) -> None:
        """See ``Target.prepare``."""
        start = random.choice((EMPTY, FIRST))
        journal.note("start", state=start)
        if start == FIRST:
            await database.run(upgrade_to_first)

    async def work(self, life: Life) -> None:
        """See ``Target.work``."""
        async with DeadLetterQueue(life.url) as letters:
            life.journal.note("opened")
            life.at_work()
            for number in itertools.count(life.number * NUMBERS):
                id = await letters.add(recipient="inventory", message=number, reason="noproc")
                life.journal.note("added", number=number, id=id)

    async def check(self, database: ExaminedDatabase, entries: Sequence[Entry], journal: Journal) -> Report:
        """See ``Target.check``."""
        start = next(str(entry.state) for entry in entries if entry.what == "start")
        opened = any(entry.what == "opened" for entry in entries)
        found = await database.run(revision)
        report = Report(promised=sum(entry.what in ("opened", "added") for entry in entries), finished=opened)
        report.undecided = 1 - opened
        if found not in ({SCHEMA.head} if opened else {start, SCHEMA.head}):
            report.problems.append(f"expected the schema of {start} or of {SCHEMA.head}, got {found}")
        if (wrong := await database.run(difference)) is not None:
            report.problems.append(wrong)
        if not report.problems and found != EMPTY:
            report.problems += await self._lost(database, start, found, entries)
        return report

    async def _lost(self, database: ExaminedDatabase, start: str, found: str, entries: Sequence[Entry]) -> list[str]:
        """Say which letters are not there."""
        expected = {old_letter(number)["id"]: number for number in range(OLD_LETTERS if start == FIRST else 0)}
        expected |= {str(entry.id): int(entry.number or 0) for entry in entries if entry.what == "added"}
        if found != SCHEMA.head:  # the queue would bring it up to date
            query = f"SELECT id, preview FROM {TABLE}"
            rows = await database.run(lambda connection: connection.exec_driver_sql(query).all())
            stored = {row[0]: int(row[1]) for row in rows}
        else:
            async with DeadLetterQueue(database.url) as letters:
                stored = {letter.id: number_of(letter) for letter in await all_letters(letters)}
        return [
            f"letter {id} of message {number}: expected it, got {stored.get(id)}"
            for id, number in expected.items()
            if stored.get(id) != number
        ]

    async def finish(self, life: Life) -> None:
        """See ``Target.finish``."""
        async with DeadLetterQueue(life.url):
            life.journal.note("opened")
