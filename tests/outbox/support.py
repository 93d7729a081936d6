# SPDX-License-Identifier: MIT
"""What the tests of the outbox share."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import stanchion as st
from stanchion.dead_letters import DeadLetterQueue, MemoryStore, encode
from stanchion.delivery import OutboxDelivery
from stanchion.outbox import Outbox, OutboxMessage, _tables
from stanchion.outbox.migrations import SCHEMA
from stanchion.storage import Database, Owner, database_of

ELSEWHERE = Owner("another machine", 1, "1")
"""A process that nobody here can look up."""


def stored(
    number: int, message: object = None, *, recipient: str = "server", ordered: bool = False, key: str | None = None
) -> OutboxMessage:
    """Return a message whose id sorts by ``number``; by default it is the number."""
    content = encode(number if message is None else message)
    id = f"00000000-{number:04d}"
    return OutboxMessage(
        id, id if key is None else key, recipient, content.type, content.version, content.payload, None, "{}", ordered, 1.0
    )  # fmt: skip


@asynccontextmanager
async def opened(url: str) -> AsyncGenerator[Database]:
    """Open a database with the tables of the outbox."""
    database = database_of(url)
    await database.open(SCHEMA)
    try:
        yield database
    finally:
        await database.close()


async def leave_behind(
    url: str, messages: Sequence[OutboxMessage], *, process: Owner | None = ELSEWHERE, lease: float = 30.0
) -> None:
    """Store messages as a node does that then dies; with no process, as a transaction does."""
    owner = None if process is None else f"owner {process.pid}"
    async with opened(url) as database:
        if owner is not None and process is not None:
            await database.write(_tables.register, owner, process, lease)
        await database.write(_tables.insert, [(message, owner) for message in messages])


def with_outbox(outbox: Outbox, **options: object) -> st.Node:
    """Return a node with this outbox; its letters are in memory."""
    letters = DeadLetterQueue(MemoryStore())
    return st.Node(services=[letters, outbox, OutboxDelivery(outbox)], **options)
