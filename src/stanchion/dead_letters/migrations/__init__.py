# SPDX-License-Identifier: MIT
"""The schema of the SQL store, step by step: Alembic revisions that run when a store opens.

The newest revision is named here, so that opening an up-to-date store need not load Alembic. A revision
that was released is never edited.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import sqlalchemy as sa

HEAD: Final = "0001"
"""The revision that this release writes; a test holds it to the newest file in ``versions/``."""

VERSION_TABLE: Final = "stanchion_dead_letters_version"

_version: Final = sa.table(VERSION_TABLE, sa.column("version_num", sa.String))


def stored_revision(connection: sa.Connection) -> str | None:
    """Return the revision of what is stored, None where nothing is."""
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(sa.select(_version.c.version_num)).scalar_one_or_none()


def mark(connection: sa.Connection, revision: str) -> None:
    """Write down the revision of what is stored."""
    connection.execute(sa.update(_version).values(version_num=revision))


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
def known_revisions() -> frozenset[str]:
    """Return every revision that this release can upgrade from."""
    from alembic.script import ScriptDirectory

    return frozenset(script.revision for script in ScriptDirectory(str(_FOLDER)).walk_revisions())


@_quiet_alembic()
def upgrade(connection: sa.Connection) -> None:
    """Bring what is stored to ``HEAD``, inside the caller's transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, HEAD)


_FOLDER: Final = Path(__file__).parent
