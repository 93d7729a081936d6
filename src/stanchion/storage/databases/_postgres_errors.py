# SPDX-License-Identifier: MIT
"""What the errors of PostgreSQL and of its driver mean: for a second try, and for people."""

from __future__ import annotations

from typing import Final

import asyncpg
from sqlalchemy import exc

from stanchion.errors import (
    StoreCorruptError,
    StoreError,
    StoreFullError,
    StoreReadOnlyError,
    StoreRejectedError,
)

DRIVER_ERRORS: Final = (
    exc.SQLAlchemyError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
)
"""What a transaction raises that is not the fault of the function that ran in it."""

# The server ends the session by itself: told to stop, after a crash of another session, while it starts up, idle.
_SESSION_ENDED: Final = ("57P01", "57P02", "57P03", "57P05", "25P03")
# It undid one of two transactions that were in each other's way.
_CONFLICT: Final = ("40001", "40P01")


def cause_of(error: Exception) -> Exception:
    """Return the driver's own error beneath SQLAlchemy's two."""
    adapted = getattr(error, "orig", None) or error
    cause = adapted.__cause__ if isinstance(error, exc.DBAPIError) else None
    return cause if isinstance(cause, Exception) else adapted


def _state(error: Exception) -> str:
    return str(getattr(cause_of(error), "sqlstate", None) or "")


def is_lost(error: Exception) -> bool:
    """Tell whether the connection broke."""
    cause, state = cause_of(error), _state(error)
    if state.startswith("08") or state in _SESSION_ENDED:
        return True
    if isinstance(cause, asyncpg.InterfaceError):
        return "closed" in str(cause)
    if isinstance(cause, asyncpg.InternalClientError):  # it broke in the middle of something, and is of no use since
        return True
    return isinstance(cause, OSError) and not isinstance(cause, TimeoutError)


def is_conflict(error: Exception) -> bool:
    """Tell whether the same transaction may well be committed when it is tried again."""
    return _state(error) in _CONFLICT


def store_error(error: Exception, name: str, database: str, *, patience: float) -> StoreError:
    """Return our error for what the driver raised.

    Args:
        error: What was raised.
        name: The database, for the message.
        database: Its name on the server.
        patience: Seconds after which a statement is given up.
    """
    got = _text(error)
    match _state(error):
        case "28P01" | "28000":
            fix = "correct user and password in the URL, or the server's pg_hba.conf."
            return StoreError(name, expected="a user who may connect", got=got, fix=fix)
        case "3D000":
            return StoreError(name, expected="an existing database", got=got, fix=f"createdb {database}")
        case "53300":
            fix = "raise the server's max_connections, or lower connections=."
            return StoreError(name, expected="a free connection", got=got, fix=fix)
        case "53100":
            fix = "make room on the server's disk, then purge() what is settled."
            return StoreFullError(name, expected="room for what is written", got=got, fix=fix)
        case "25006":
            fix = "name the primary, not a standby; or turn default_transaction_read_only off."
            return StoreReadOnlyError(name, expected="a server that can be written", got=got, fix=fix)
        case "42501":
            fix = f"GRANT it to this user; to make tables: GRANT CREATE ON SCHEMA public TO ..., in {database}."
            return StoreReadOnlyError(name, expected="a user with the right to do this", got=got, fix=fix)
        case "XX001" | "XX002":
            fix = "restore it from a backup; the server's log says more."
            return StoreCorruptError(name, expected="a sound database", got=got, fix=fix)
        case state if state[:2] in ("22", "23", "54"):
            return StoreRejectedError(name, expected="values that PostgreSQL can keep", got=got)
        case _:
            return _failure(error, got, name, patience)


def _failure(error: Exception, got: str, name: str, patience: float) -> StoreError:
    cause = cause_of(error)
    if isinstance(cause, exc.TimeoutError):
        return StoreError(
            name,
            expected=f"a free connection within {patience:g} s",
            got=got,
            fix="raise connections=, or look for locks in pg_stat_activity.",
        )
    if isinstance(cause, TimeoutError):
        return StoreError(
            name,
            expected=f"an answer within {patience:g} s",
            got=got or "none",
            fix="look for locks in pg_stat_activity, or raise timeout=.",
        )
    if is_lost(error):
        return StoreError(name, expected="a connection that lasts", got=got, fix="see the server's log.")
    if isinstance(error, exc.StatementError) and not isinstance(error, exc.DBAPIError):
        return StoreRejectedError(name, expected="values that PostgreSQL can keep", got=got)
    return StoreError(name, expected="the database to work", got=got)


def _text(error: Exception) -> str:
    cause = cause_of(error)
    # One line: what comes behind are hints for people who write SQL.
    return str(cause).partition("\n")[0] or ("" if isinstance(cause, TimeoutError) else type(cause).__name__)
