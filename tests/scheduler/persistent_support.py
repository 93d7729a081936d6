# SPDX-License-Identifier: MIT
"""What the tests of persistent schedules in virtual time share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

import stanchion as st
from stanchion.dead_letters import DeadLetterQueue, SqlStore
from stanchion.delivery import OutboxDelivery
from stanchion.kernel import current_node
from stanchion.outbox import Outbox
from stanchion.scheduler import ScheduleInfo, SchedulerManager
from stanchion.storage import database_of
from tests.scheduler.kit import START, since, virtual_node

NOTES: list[tuple[float, Any, st.MessageInfo | None]] = []
"""When the recorder that was started last got which message: it cannot be asked while it handles one."""


class Recorder(st.GenServer):
    """Notes when it gets each message, and takes its time with it."""

    def init(self, seconds: float = 0.0) -> None:
        NOTES.clear()
        self.seconds = seconds

    async def handle_cast(self, message: Any) -> object:
        NOTES.append((since(current_node("test").clock.time()), message, st.message_info()))
        await asyncio.sleep(self.seconds)
        return st.Reject("no", retry=False) if message == "refuse" else None


def times() -> list[float]:
    """Return when the recorder got its messages."""
    return [when for when, _, _ in NOTES]


def scheduling(url: str, **options: Any) -> st.Node:
    """Return a node as ``Node(database=url)`` makes it, whose outbox looks seldom too."""
    database = database_of(url)
    outbox = Outbox(database, poll=10)
    services = [DeadLetterQueue(SqlStore(database)), outbox, OutboxDelivery(outbox), SchedulerManager()]
    return virtual_node(services=services, **options)


@asynccontextmanager
async def running(url: str, *, seconds: float = 0.0, **options: Any) -> AsyncGenerator[st.Node]:
    """Run a node with a scheduler, a database and a ledger."""
    async with scheduling(url, **options) as node:
        await st.start(Recorder, seconds, name="ledger")
        yield node


async def quiet(node: st.Node) -> None:
    """Wait until what is due is delivered, and its end noted."""
    await node.outbox.wait_empty()
    await asyncio.sleep(2)


def at(seconds: float) -> datetime:
    """Return the moment so many seconds after virtual time began."""
    return datetime.fromtimestamp(START + seconds, UTC)


async def only(node: st.Node) -> ScheduleInfo:
    """Return what is known of the only schedule there is."""
    (info,) = await node.scheduler.list()
    return info


def inside(node: st.Node) -> Any:
    """Return what a scheduler has of persistent schedules."""
    session: Any = node.scheduler._session
    return session.persistent


async def run_sql(url: str, statement: str) -> list[Any]:
    """Run a statement and return the rows it found."""

    def run() -> list[Any]:
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        with engine.begin() as connection:
            found = connection.exec_driver_sql(statement)
            return [tuple(row) for row in found] if found.returns_rows else []

    return await asyncio.to_thread(run)
