# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
import logging
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from stanchion.dead_letters import Attempt, DeadLetterQueue, SqlStore
from stanchion.dead_letters.migrations import SCHEMA
from stanchion.dead_letters.stores import _tables
from stanchion.storage import SqliteDatabase
from stanchion.storage._schema import known_revisions, upgrade

pytestmark = pytest.mark.allow_blocking("the tests themselves look into the file, as another process would")

REVISION_1, REVISION_2 = (
    Path(__file__).with_name(f"revision_000{number}.sql").read_text(encoding="utf-8") for number in (1, 2)
)


def schema(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name")
        return [" ".join(sql.split()) for (sql,) in rows]


def test_the_newest_revision_is_the_one_that_is_written() -> None:
    assert ScriptDirectory(str(SCHEMA.folder)).get_current_head() == SCHEMA.head
    assert known_revisions(SCHEMA) == {"0001", "0002"}


def test_the_revisions_together_make_the_table_that_the_store_uses(url: str) -> None:
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        upgrade(connection, SCHEMA)
    with engine.begin() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": SCHEMA.version_table})
        assert compare_metadata(context, _tables.metadata) == []
    engine.dispose()


@pytest.mark.parametrize("stored", [REVISION_1, REVISION_2], ids=["0001", "0002"])
async def test_a_store_that_a_release_wrote_is_opened_with_its_letters(url: str, tmp_path: Path, stored: str) -> None:
    path = tmp_path / "letters.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(stored)
    async with DeadLetterQueue(url) as letters:
        letter = await letters.get("01890a5d-ac96-774b-bcce-b302099a8057")
        assert letter.message() == ("reserve", "A-1", 3)
        assert letter.attempts == (Attempt(1700000000.0, "noproc", "no process is called inventory"),)
        assert (letter.metadata, letter.redeliverable) == ({"order": 17}, True)
        await letters.retry(letter.id)
        assert [claimed.id for claimed in await letters.claim_due()] == [letter.id]


async def test_a_new_store_has_the_schema_of_its_revisions(url: str, tmp_path: Path) -> None:
    async with DeadLetterQueue(url):
        pass
    stored = tmp_path / "stored.db"
    with closing(sqlite3.connect(stored)) as connection:
        connection.executescript(REVISION_2)
    assert schema(tmp_path / "letters.db") == schema(stored)


async def test_two_processes_can_open_a_new_store_at_once(url: str) -> None:
    async def use() -> None:
        async with DeadLetterQueue(SqlStore(SqliteDatabase(url, busy_timeout=15))) as letters:
            await letters.add(recipient="a", message="hi", reason="noproc")

    await asyncio.gather(use(), use(), use())
    async with DeadLetterQueue(url) as letters:
        assert (await letters.stats()).waiting == 3


def test_opening_an_up_to_date_store_does_not_load_alembic(url: str) -> None:
    code = (
        "import asyncio, sys\n"
        "from stanchion.dead_letters import DeadLetterQueue\n"
        "async def main():\n"
        f"    async with DeadLetterQueue({url!r}): pass\n"
        "heavy = lambda: [name for name in ('sqlalchemy', 'alembic') if name in sys.modules]\n"
        "print(heavy()); asyncio.run(main()); print(heavy())\n"
    )
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(2)]
    assert [run.stdout.split("\n")[:2] for run in runs] == [
        ["[]", "['sqlalchemy', 'alembic']"],
        ["[]", "['sqlalchemy']"],
    ]


@pytest.mark.parametrize(("level", "told"), [(logging.NOTSET, False), (logging.INFO, True)])
async def test_alembic_tells_of_its_steps_only_when_it_was_asked_to(
    url: str, caplog: pytest.LogCaptureFixture, level: int, told: bool
) -> None:
    logger = logging.getLogger("alembic")
    logger.setLevel(level)
    with caplog.at_level(logging.INFO):
        async with DeadLetterQueue(url):
            pass
    assert logger.level == level
    logger.setLevel(logging.NOTSET)
    assert any(record.name.startswith("alembic") for record in caplog.records) == told
