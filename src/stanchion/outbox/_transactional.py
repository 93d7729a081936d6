# SPDX-License-Identifier: MIT
"""Writing messages in a transaction of the user's: they are sent if, and only if, it is committed."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Collection, Sequence
from functools import cache
from typing import TYPE_CHECKING, TypeAlias

import sqlalchemy as sa
from sqlalchemy import exc

from stanchion._ids import TimeIds
from stanchion._validate import cut
from stanchion.errors import InvalidOptionError, StoreError
from stanchion.outbox._message import OutboxMessage
from stanchion.outbox._session import CHANNEL
from stanchion.outbox._tables import insert, pending
from stanchion.outbox.migrations import SCHEMA
from stanchion.storage import bring_up_to_date, notify

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

Transaction: TypeAlias = "sa.Connection | Session"
"""What belongs to a transaction: a connection of SQLAlchemy's, or a session."""


def create_tables(transaction: Transaction) -> None:
    """Create the tables of the outbox, or bring them up to date, in a transaction of yours.

    A node does it by itself when it opens. Call this in a program that writes messages and may run before any node has,
    in its migrations say.

    Args:
        transaction: A ``Connection`` or ``Session`` of SQLAlchemy's. With an async one:
            ``await connection.run_sync(create_tables)``.

    Raises:
        InvalidOptionError: it is neither.
        StoreSchemaError: a later release of Stanchion wrote the tables; nothing was changed.
    """
    connection = connection_of("create_tables(transaction)", transaction, "create_tables")
    bring_up_to_date(connection, SCHEMA, name=_name_of(connection))


def insert_message(transaction: Transaction, subject: str, make: Callable[[str, float], OutboxMessage]) -> str:
    """Write a message in a transaction of the user's; ``write_message`` of the delivery is for users.

    Args:
        transaction: The connection or session.
        subject: Whose argument it is, for errors.
        make: Makes the message from its id and the time, in Unix seconds.

    Returns:
        The message's ``message_id``.

    Raises:
        InvalidOptionError: ``transaction`` is no connection and no session.
        StoreError: the database refused; the tables are missing, say.
    """
    return insert_messages(transaction, subject, [make])[0]


def insert_messages(
    transaction: Transaction, subject: str, makes: Sequence[Callable[[str, float], OutboxMessage]]
) -> list[str]:
    """Write some messages as ``insert_message`` writes one, in a few statements.

    Args:
        transaction: The connection or session.
        subject: Whose argument it is, for errors.
        makes: Each makes a message; at least one.

    Returns:
        The messages' ``message_id``, in the same order.

    Raises:
        InvalidOptionError: ``transaction`` is no connection and no session.
        StoreError: the database refused.
    """
    connection = connection_of(f"{subject}(transaction)", transaction, subject)
    now = time.time()
    messages = [make(_new_id(now), now) for make in makes]
    try:
        insert(connection, [(message, None) for message in messages])
        notify(connection, CHANNEL)
    except exc.DBAPIError as error:
        raise StoreError(
            _name_of(connection),
            expected="the message to be written",
            got=str(error.orig),
            fix="if the tables are missing, call create_tables(connection) before, or open a node with this database.",
        ) from error
    return [message.message_id for message in messages]


def pending_ids(connection: sa.Connection, ids: Collection[str]) -> frozenset[str]:
    """Return which of these messages are still in the outbox: neither delivered nor given up.

    Args:
        connection: A ``Connection`` of SQLAlchemy's.
        ids: The ``OutboxMessage.id`` of some thousands of messages at most.
    """
    return pending(connection, ids)


def connection_of(subject: str, transaction: object, function: str) -> sa.Connection:
    """Return the connection of a transaction.

    Raises:
        InvalidOptionError: it is none, or an async one.
    """
    if isinstance(transaction, sa.Connection):
        return transaction
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession  # heavy; who passes one has loaded it
    from sqlalchemy.orm import Session

    if isinstance(transaction, Session):
        return transaction.connection()
    is_async = isinstance(transaction, AsyncConnection | AsyncSession)
    raise InvalidOptionError(
        subject,
        expected="a Connection or a Session of SQLAlchemy's",
        got=cut(transaction),
        fix=f"write await connection.run_sync({function}, ...)." if is_async else None,
    )


def _name_of(connection: sa.Connection) -> str:
    return connection.engine.url.render_as_string(hide_password=True)


_turn = threading.Lock()  # users write from several threads


def _new_id(now: float) -> str:
    with _turn:
        return _ids(os.getpid()).next(now)


@cache
def _ids(pid: int) -> TimeIds:
    """Return what makes the ids of this OS process: one that was forked must not make the same."""
    return TimeIds()
