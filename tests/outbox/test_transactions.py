# SPDX-License-Identifier: MIT
"""Messages that are written in a transaction of the user's, on both databases."""

from __future__ import annotations

import asyncio
import os
import threading

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import Session

import stanchion as st
from stanchion.delivery import OutboxDelivery, write_message
from stanchion.errors import InvalidOptionError, MessageEncodeError, StoreError, StoreSchemaError
from stanchion.outbox import Outbox, create_tables
from stanchion.testing import VirtualTimeLoop
from tests.delivery.servers import Flaky, Log, Recorder, Seen
from tests.outbox.support import with_outbox

pytestmark = pytest.mark.allow_blocking("the transactions are the tests' own")


@pytest.fixture
def engine(url: str):
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        create_tables(connection)
    yield engine
    engine.dispose()


async def test_message_is_delivered_when_its_transaction_is_committed(new_node, engine):
    async with new_node() as node:
        pid = await st.start(Flaky, 0, name="server")
        with engine.begin() as connection:
            id = write_message(connection, "server", "hello", metadata={"order": 7}, retries=1, timeout=2)
        node.outbox.wake()
        await node.outbox.wait_empty()
        (info,) = await st.call(pid, Seen())
        assert (info.message_id, info.metadata) == (id, {"order": 7})


async def test_message_of_a_transaction_that_is_rolled_back_is_not_delivered(new_node, engine):
    async with new_node() as node:
        pid = await st.start(Recorder, name="server")
        with engine.connect() as connection:
            write_message(connection, "server", "not sent")
            connection.rollback()
        with Session(engine) as session, session.begin():
            write_message(session, "server", "sent")
        await node.outbox.wait_empty()
        assert await st.call(pid, Log()) == ["sent"]


async def test_ordered_messages_keep_the_order_in_which_they_were_written(new_node, engine):
    with engine.begin() as connection:
        for number in range(10):
            write_message(connection, "server", number, ordered=True)
    async with new_node() as node:
        pid = await st.start(Recorder, name="server")
        await node.outbox.wait_empty()
        assert await st.call(pid, Log()) == list(range(10))


async def test_message_is_not_looked_at_before_the_poll_unless_the_outbox_is_woken(new_node, engine, url):
    outbox = Outbox(url, poll=60)
    async with new_node(database=None, dead_letters="memory:", services=[outbox, OutboxDelivery(outbox)]):
        await st.start(Recorder, name="server")
        await asyncio.sleep(61)
        with engine.begin() as connection:
            write_message(connection, "server", "hello")
        await asyncio.sleep(5)
        assert await outbox.count() == {"server": 1}
        outbox.wake()
        await asyncio.sleep(1)
        assert await outbox.count() == {}


@pytest.mark.services("postgres")
async def test_postgres_tells_of_a_commit_and_async_connections_run_it(postgres_url):
    outbox = Outbox(postgres_url, poll=60)
    engine = create_async_engine(postgres_url.replace("postgresql:", "postgresql+asyncpg:").partition("?")[0])
    schema = postgres_url.partition("search_path=")[2]
    async with with_outbox(outbox):
        pid = await st.start(Recorder, name="server")
        outbox.wake()
        await asyncio.sleep(0.5)
        async with asyncio.timeout(10):
            async with engine.begin() as connection:
                await connection.execute(sa.text(f"SET LOCAL search_path TO {schema}"))
                await connection.run_sync(create_tables)
                await connection.run_sync(write_message, "server", "hello")
                with pytest.raises(InvalidOptionError) as raised:
                    write_message(connection, "server", "hello")
            await outbox.wait_empty()
        assert await st.call(pid, Log()) == ["hello"]
    await engine.dispose()
    assert str(raised.value).endswith("Fix: write await connection.run_sync(write_message, ...).")


@pytest.fixture
def loop_factory(request: pytest.FixtureRequest):
    if "postgres_url" in request.fixturenames:
        return asyncio.SelectorEventLoop
    return VirtualTimeLoop


def test_what_is_written_is_checked(engine):
    with engine.connect() as connection:
        with pytest.raises(InvalidOptionError) as raised:
            write_message(engine, "server", "hello")
        assert str(raised.value) == (
            f"write_message(transaction): expected a Connection or a Session of SQLAlchemy's, got {engine!r}"
        )
        with pytest.raises(InvalidOptionError, match=r"write_message\(ref\): expected an address that a later node"):
            write_message(connection, 7, "hello")
        with pytest.raises(InvalidOptionError, match=r"write_message\(retries\): expected a whole number"):
            write_message(connection, "server", "hello", retries=-1)
        with pytest.raises(MessageEncodeError):
            write_message(connection, "server", object())


def test_missing_tables_are_said_to_be_missing(tmp_path):
    engine = sa.create_engine(f"sqlite:///{tmp_path}/empty.db")
    with engine.connect() as connection, pytest.raises(StoreError) as raised:
        write_message(connection, "server", "hello")
    assert str(raised.value) == (
        f"store sqlite:///{tmp_path}/empty.db: expected the message to be written, got no such table: stanchion_outbox\n"
        "Fix: if the tables are missing, call create_tables(connection) before, or open a node with this database."
    )
    engine.dispose()


def test_tables_are_made_in_the_transaction_and_a_second_time_is_harmless(tmp_path):
    engine = sa.create_engine(f"sqlite:///{tmp_path}/app.db")
    for _ in range(2):
        with engine.begin() as connection:
            create_tables(connection)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE stanchion_outbox_version SET version_num = '9999'")
    with engine.begin() as connection, pytest.raises(StoreSchemaError):
        create_tables(connection)
    with pytest.raises(InvalidOptionError, match=r"create_tables\(transaction\)"):
        create_tables("sqlite:///app.db")
    engine.dispose()


def test_ids_are_unique_between_threads_and_forked_processes(engine):
    ids: list[str] = []
    lock = threading.Lock()

    def write() -> None:
        for _ in range(50):
            with lock, engine.begin() as connection:
                ids.append(write_message(connection, "server", "hello"))

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        from stanchion.outbox._transactional import _new_id

        os.write(writing, _new_id(1.0).encode())
        os._exit(0)
    os.waitpid(child, 0)
    ids.append(os.read(reading, 100).decode())
    os.close(reading)
    os.close(writing)
    assert len(set(ids)) == 201
    assert len({id[-16:] for id in ids}) == 2  # two makers of ids
