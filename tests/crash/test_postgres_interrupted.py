# SPDX-License-Identifier: MIT
"""A PostgreSQL server that restarts, and connections that are cut, in the middle of the work."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Generator

import pytest

import stanchion as st
from stanchion.dead_letters import DeadLetterQueue, SqlStore
from stanchion.delivery import OutboxDelivery, Redelivery
from stanchion.errors import StoreError
from stanchion.outbox import Outbox
from stanchion.storage import database_of
from tests.postgres import PostgresServer, execute_async, schema_in

pytestmark = pytest.mark.timeout(60)  # a server that starts takes a second, of a machine that is not busy

MESSAGES = 300
SOON = st.Backoff(initial=0.05, factor=1, maximum=0.05, jitter=0)

Handled = Counter[int]


class Recipient(st.GenServer):
    """Counts the messages that it handles, and takes its time."""

    def init(self, handled: Handled) -> None:
        self._handled = handled

    async def handle_cast(self, number: int) -> None:
        await asyncio.sleep(0.002)
        self._handled[number] += 1


def node(url: str) -> st.Node:
    database = database_of(url)
    letters, outbox = DeadLetterQueue(SqlStore(database), backoff=SOON, max_attempts=None), Outbox(database, poll=0.05)
    services = [Redelivery(letters, poll=0.05, per_recipient=64), outbox, OutboxDelivery(outbox)]
    return st.Node(dead_letters=letters, redeliver=False, services=services, block_threshold=None)


async def restart(server: PostgresServer) -> None:
    """Crash the server, and start it."""
    await asyncio.to_thread(server.stop, "immediate")
    await asyncio.to_thread(server.start)


async def cut_connections(server: PostgresServer) -> None:
    """End every session but our own."""
    await execute_async(
        server.url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
    )


INTERRUPTIONS = [pytest.param(restart, id="restart"), pytest.param(cut_connections, id="cut")]

Interrupt = Callable[[PostgresServer], Awaitable[None]]


@pytest.fixture
def url(own_postgres: PostgresServer) -> Generator[str]:
    with schema_in(own_postgres.url) as url:
        yield url


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("interrupt", INTERRUPTIONS)
async def test_redelivery_goes_on_when_the_server_was_interrupted(
    own_postgres: PostgresServer, url: str, interrupt: Interrupt
) -> None:
    handled = Handled()
    async with node(url) as running:
        letters = running.dead_letters
        add = (letters.add(recipient="inventory", message=number, reason="noproc") for number in range(MESSAGES))
        ids = await asyncio.gather(*add)
        await st.start(Recipient, handled, name="inventory")
        await until(lambda: len(handled) > MESSAGES // 4)
        await interrupt(own_postgres)
        await until(lambda: len(handled) == MESSAGES)
        states = [(await letters.get(id)).state for id in ids]
        # What was handled while its outcome could not be stored stays claimed until its claim ends.
        assert set(states) <= {"delivered", "retrying"}
        assert states.count("delivered") > MESSAGES // 2
    assert max(handled.values()) == 1


@pytest.mark.parametrize("interrupt", INTERRUPTIONS)
async def test_outbox_loses_nothing_when_the_server_was_interrupted(
    own_postgres: PostgresServer, url: str, interrupt: Interrupt
) -> None:
    handled, stored = Handled(), set[int]()

    async def send(numbers: range) -> None:
        for number in numbers:
            try:
                await st.send_supervised("inventory", number, durable=True)
                stored.add(number)
            except StoreError:
                await asyncio.sleep(0.05)

    async with node(url) as running:
        await st.start(Recipient, handled, name="inventory")
        senders = [asyncio.create_task(send(range(first, MESSAGES, 10))) for first in range(10)]
        await until(lambda: len(handled) > MESSAGES // 4)
        await interrupt(own_postgres)
        await asyncio.gather(*senders)
        async with asyncio.timeout(30):
            await running.outbox.wait_empty()
    assert stored <= handled.keys()
    assert len(stored) > MESSAGES // 2
    assert max(handled.values()) == 1
