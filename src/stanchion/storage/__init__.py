# SPDX-License-Identifier: MIT
"""Where what is durable is kept: one database, the schemas in it, and the commits that many share.

It knows no letter and no message: each station that keeps something brings its own tables, and plain functions of a
SQLAlchemy connection that work on them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stanchion._public import show_public_path
from stanchion.storage._database import Database, check_url, database_of, notify, require_driver
from stanchion.storage._group_commit import GroupCommit
from stanchion.storage._insert import insert_rows
from stanchion.storage._owner import Owner, is_gone, this_process
from stanchion.storage._schema import Schema, bring_up_to_date

if TYPE_CHECKING:
    from stanchion.storage._lease import Lease
    from stanchion.storage._leases import check_lease
    from stanchion.storage.databases.postgres import PostgresDatabase
    from stanchion.storage.databases.sqlite import SqliteDatabase

__all__ = [
    "Database",
    "GroupCommit",
    "Lease",
    "Owner",
    "PostgresDatabase",
    "Schema",
    "SqliteDatabase",
    "bring_up_to_date",
    "check_lease",
    "check_url",
    "database_of",
    "insert_rows",
    "is_gone",
    "notify",
    "this_process",
]

show_public_path(globals())


def __getattr__(name: str) -> object:
    # SQLAlchemy is loaded by whoever asks for one of these.
    if name == "Lease":
        from stanchion.storage._lease import Lease

        Lease.__module__ = __name__
        return Lease
    if name == "check_lease":
        from stanchion.storage._leases import check_lease

        check_lease.__module__ = __name__
        return check_lease
    if name == "SqliteDatabase":
        from stanchion.storage.databases.sqlite import SqliteDatabase

        SqliteDatabase.__module__ = __name__
        return SqliteDatabase
    if name == "PostgresDatabase":
        require_driver()
        from stanchion.storage.databases.postgres import PostgresDatabase

        PostgresDatabase.__module__ = __name__
        return PostgresDatabase
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
