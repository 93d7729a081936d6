# SPDX-License-Identifier: MIT
"""Schemas, step by step: Alembic revisions that run when a database opens.

Each station has a history of its own, which says its newest revision, so that opening an up-to-date database need not
load Alembic. A revision that was released is never edited.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from stanchion.errors import StoreSchemaError

if TYPE_CHECKING:
    import sqlalchemy as sa
    from alembic.config import Config


class Schema(NamedTuple):
    """The tables of one station, as Alembic's revisions.

    Attributes:
        folder: Alembic's script location: ``env.py``, and the revisions in ``versions/``.
        head: The revision that this release writes; a test holds it to the newest file.
        version_table: Where the database says which revision it is at.
    """

    folder: Path
    head: str
    version_table: str


def stored_revision(connection: sa.Connection, schema: Schema) -> str | None:
    """Return the revision of what is stored, None where nothing is."""
    import sqlalchemy as sa

    if not sa.inspect(connection).has_table(schema.version_table):
        return None
    version = sa.table(schema.version_table, sa.column("version_num", sa.String))
    return connection.execute(sa.select(version.c.version_num)).scalar_one_or_none()


def is_up_to_date(connection: sa.Connection, schema: Schema) -> bool:
    """Tell whether what is stored is at the newest revision.

    If so, it writes that: a database that cannot be written shall fail now, not when there is something to keep.
    """
    import sqlalchemy as sa

    if stored_revision(connection, schema) != schema.head:
        return False
    version = sa.table(schema.version_table, sa.column("version_num", sa.String))
    connection.execute(sa.update(version).values(version_num=schema.head))
    return True


def bring_up_to_date(connection: sa.Connection, schema: Schema, *, name: str) -> None:
    """Bring what is stored to the newest revision, inside the caller's transaction.

    Raises:
        StoreSchemaError: a later release wrote it; nothing was changed.
    """
    if is_up_to_date(connection, schema):
        return
    stored = stored_revision(connection, schema)
    if stored is None or stored in known_revisions(schema):
        upgrade(connection, schema)
    else:
        raise StoreSchemaError(
            name,
            expected=f"a schema up to revision {schema.head}",
            got=f"revision {stored}",
            fix="open it with the release of stanchion that wrote it, or a later one; nothing was changed.",
        )


_quieting: Final = threading.Lock()


@contextmanager
def _quiet_alembic() -> Generator[None]:
    """Keep Alembic from telling the program's log of every step, unless somebody asked it to by a level."""
    logger = logging.getLogger("alembic")
    with _quieting:
        level = logger.level
        logger.setLevel(level or logging.WARNING)
        try:
            yield
        finally:
            logger.setLevel(level)


@_quiet_alembic()
def known_revisions(schema: Schema) -> frozenset[str]:
    """Return every revision that this release can upgrade from."""
    from alembic.script import ScriptDirectory

    return frozenset(script.revision for script in ScriptDirectory.from_config(_config(schema)).walk_revisions())


@_quiet_alembic()
def upgrade(connection: sa.Connection, schema: Schema) -> None:
    """Run the revisions that are missing, inside the caller's transaction."""
    from alembic import command

    config = _config(schema)
    config.attributes["connection"] = connection
    config.attributes["version_table"] = schema.version_table
    command.upgrade(config, schema.head)


def _config(schema: Schema) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(schema.folder).replace("%", "%%"))
    return config
