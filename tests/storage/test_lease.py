# SPDX-License-Identifier: MIT
"""Of all nodes with one database, one holds a lease at a time."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.util import await_only

import stanchion as st
from stanchion.errors import InvalidOptionError, LeaseLostError, StoreError, StoreUncertainError
from stanchion.storage import Database, Lease, Owner, _lease, _leases, check_lease, database_of, this_process
from stanchion.storage.migrations import SCHEMA
from stanchion.telemetry import LEASE_LOST
from stanchion.testing import VirtualClock, VirtualTimeLoop


@pytest.fixture
def loop_factory(request: pytest.FixtureRequest) -> Callable[[], asyncio.AbstractEventLoop]:
    real = {"database_url", "postgres_url"} & set(request.fixturenames)
    return asyncio.SelectorEventLoop if real else VirtualTimeLoop


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/app.db"


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, url: str) -> str:
    return url if request.param == "sqlite" else request.getfixturevalue("postgres_url")


@pytest.fixture
def node() -> st.Node:
    return st.Node("shop", clock=VirtualClock())


@asynccontextmanager
async def opened(url: str | Database, node: st.Node, **options: Any) -> AsyncGenerator[Lease]:
    lease = Lease(database_of(url), "cleaning", node=node, **options)
    await lease.open()
    try:
        yield lease
    finally:
        await lease.close()


def losses(node: st.Node) -> list[tuple[dict[str, float], dict[str, object]]]:
    found: list[tuple[dict[str, float], dict[str, object]]] = []
    node.telemetry.attach(LEASE_LOST, lambda _, numbers, about: found.append((dict(numbers), dict(about))))
    return found


def nothing(_connection: sa.Connection) -> str:
    return "written"


class Failing:
    """A database that fails when it is told to, before or after it did what it was asked."""

    def __init__(self, url: str) -> None:
        self._database = database_of(url)
        self.before: StoreError | None = None
        self.after: StoreError | None = None
        self.gate: asyncio.Event | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    async def write(self, *arguments: Any, **options: Any) -> Any:
        if self.before is not None:
            raise self.before
        result = await self._database.write(*arguments, **options)
        if self.gate is not None:
            await self.gate.wait()
        if self.after is not None:
            raise self.after
        return result


# --- on both databases ---------------------------------------------------------------------------


async def test_one_of_two_nodes_holds_a_lease_until_it_gives_it_up(database_url, node):
    async with opened(database_url, node) as second:
        async with opened(database_url, node) as first:
            assert (first.held, first.token, first.holder) == (False, 0, None)
            assert await first.hold()
            assert (first.held, first.token) == (True, 1)
            assert not await second.hold()
            assert await first.hold()
            assert (second.held, second.token) == (False, 0)
            assert second.holder == first.holder is not None
        assert await second.hold()
        assert second.token == 2


async def test_many_nodes_that_want_a_lease_at_once_have_one_holder(database_url, node):
    databases = [database_of(database_url) for _ in range(5)]
    leases = [Lease(database, "cleaning", node=node) for database in databases]
    for lease in leases:
        await lease.open()
    for _ in range(3):
        assert sum(await asyncio.gather(*(lease.hold() for lease in leases))) == 1
    for lease in leases:
        await lease.close()


async def test_only_the_holder_writes(database_url, node):
    async with opened(database_url, node) as first, opened(database_url, node) as second:
        with pytest.raises(LeaseLostError) as caught:
            await first.write(nothing)
        name = database_of(database_url).name
        assert str(caught.value) == (
            f"store {name}: expected the lease 'cleaning' to be held by node shop, got one that is lost"
        )
        await first.hold()
        assert await first.write(nothing) == "written"
        await take_over(database_url)
        with pytest.raises(LeaseLostError) as caught:
            await first.write(nothing)
        assert (caught.value.lease, caught.value.owner) == ("cleaning", "its holder number 1")
        assert not first.held
        assert not await second.hold()


async def take_over(url: str) -> None:
    """Be another node that has seen the holder of the lease silent for too long."""

    def change(connection: sa.Connection) -> None:
        claim = _leases.Claim("cleaning", "thief", Owner("another machine", 1, "1"), 30.0)
        gone = _leases.hold(connection, claim)
        assert _leases.hold(connection, claim, gone).owner == "thief"

    database = database_of(url)
    await database.open(SCHEMA)
    await database.write(change)
    await database.close()


async def test_nobody_takes_a_lease_over_while_a_transaction_has_checked_it(postgres_url, node):
    checked, go_on = asyncio.Event(), asyncio.Event()

    def slowly(connection: sa.Connection) -> None:
        check_lease(connection, "cleaning", 1)
        checked.set()
        connection.exec_driver_sql("SELECT pg_sleep(0.2)")
        go_on.set()

    database = database_of(postgres_url)
    async with opened(database, node) as lease:
        await lease.hold()
        writing = asyncio.create_task(database.write(slowly))
        await checked.wait()
        await take_over(postgres_url)
        assert go_on.is_set()
        await writing
        with pytest.raises(LeaseLostError):
            await database.write(check_lease, "cleaning", 1)


async def test_node_that_stands_still_in_its_transaction_keeps_nobody_from_the_lease(postgres_url, node):
    checked, go_on = asyncio.Event(), asyncio.Event()

    def stand_still(connection: sa.Connection) -> None:
        check_lease(connection, "cleaning", 1)
        checked.set()
        await_only(go_on.wait())
        connection.exec_driver_sql("SELECT 1")

    database = database_of(postgres_url)
    async with opened(database, node, seconds=0.3) as lease:
        await lease.hold()
        writing = asyncio.create_task(database.write(stand_still))
        await checked.wait()
        await take_over(postgres_url)
        go_on.set()
        with pytest.raises(LeaseLostError):
            await writing  # on another connection: the server has ended the first one


async def test_those_who_listen_hear_that_a_lease_is_free(postgres_url, node):
    heard = asyncio.Event()
    async with opened(postgres_url, node) as second:
        stop = second.listen(heard.set)
        async with opened(postgres_url, node) as first:
            await first.hold()
            await heard.wait()  # once, when it listens
            heard.clear()
        await heard.wait()
        stop()


async def test_the_revisions_make_the_table_that_is_used(database_url, node):
    def differences(connection: sa.Connection) -> list[object]:
        ours = {*_leases.metadata.tables, SCHEMA.version_table}
        options = {
            "version_table": SCHEMA.version_table,
            "include_name": lambda name, kind, _: kind != "table" or name in ours,
        }
        return compare_metadata(MigrationContext.configure(connection, opts=options), _leases.metadata)

    database = database_of(database_url)
    async with opened(database, node):
        assert await database.read(differences) == []


def test_the_newest_revision_is_the_one_that_is_written():
    assert ScriptDirectory(str(SCHEMA.folder)).get_current_head() == SCHEMA.head


# --- silent, gone, cut off -----------------------------------------------------------------------


async def test_silent_holder_is_relieved_after_its_own_seconds_and_told_when_it_comes_back(url, node, caplog):
    lost = losses(node)
    async with opened(url, node, seconds=10) as first, opened(url, node, seconds=99) as second:
        await first.hold()
        assert not await second.hold()  # sees it
        await asyncio.sleep(9)
        assert first.held
        assert not await second.hold()
        await asyncio.sleep(1)
        assert not first.held
        assert await second.hold()
        assert (first.token, second.token) == (1, 2)
        owner = first.holder
        assert not await first.hold()
        assert lost == [({"held": 10.0}, {"node": "shop", "lease": "cleaning", "owner": owner})]
        assert (first.token, first.holder) == (0, second.holder)
    assert [record.getMessage() for record in caplog.records] == [
        f"lease 'cleaning' was taken over by another node: {owner} gave no sign of life for too long"
    ]


async def test_holder_that_says_so_often_enough_keeps_it(url, node):
    async with opened(url, node, seconds=10) as first, opened(url, node) as second:
        for _ in range(20):
            assert await first.hold()
            assert not await second.hold()
            await asyncio.sleep(9)


async def test_holder_that_was_silent_and_not_relieved_goes_on(url, node):
    lost = losses(node)
    async with opened(url, node, seconds=10) as lease:
        await lease.hold()
        await asyncio.sleep(100)
        assert not lease.held
        assert await lease.hold()
        assert (lease.held, lease.token, lost) == (True, 1, [])


async def test_killed_holder_on_this_machine_is_relieved_at_once(url, node, monkeypatch):
    here = await asyncio.to_thread(this_process)
    ended = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await ended.wait()
    with monkeypatch.context() as patch:
        patch.setattr(_lease, "this_process", lambda: here._replace(pid=ended.pid, started="1"))
        first = Lease(database_of(url), "cleaning", node=node)
        await first.open()
        await first.hold()
    async with opened(url, node) as second:
        assert await second.hold()
        assert not await first.hold()
        await first.close()  # takes nothing from the other
        assert await second.hold()


async def test_lease_that_was_lost_and_is_free_again_is_taken_anew(url, node):
    lost = losses(node)
    async with opened(url, node) as first:
        await first.hold()
        await take_over(url)
        database = database_of(url)
        await database.open()
        await database.write(_leases.give_up, "cleaning", "thief")
        await database.close()
        assert await first.hold()
        assert first.token == 3
        assert len(lost) == 1


async def test_write_that_finds_a_lease_lost_tells_once(url, node):
    lost = losses(node)
    async with opened(url, node) as first:
        await first.hold()
        await take_over(url)
        results = await asyncio.gather(*(first.write(nothing) for _ in range(3)), return_exceptions=True)
        assert [type(result) for result in results] == [LeaseLostError] * 3
        assert not await first.hold()
        assert len(lost) == 1


async def test_failing_database_leaves_a_lease_held_for_its_seconds(url, node):
    database = Failing(url)
    async with opened(database, node, seconds=10) as lease:
        await lease.hold()
        database.before = StoreError("store", expected="an answer", got="none")
        await asyncio.sleep(5)
        with pytest.raises(StoreError, match="expected an answer, got none"):
            await lease.hold()
        assert lease.held
        await asyncio.sleep(5)
        assert not lease.held
        database.before = None
        assert await lease.hold()


async def test_lease_that_was_taken_without_an_answer_is_ours_at_the_next_look(url, node):
    database = Failing(url)
    async with opened(database, node) as lease:
        database.after = StoreUncertainError("store", got="none")
        with pytest.raises(StoreUncertainError):
            await lease.hold()
        assert not lease.held
        database.after = None
        assert await lease.hold()
        assert lease.token == 1


async def test_lease_of_a_cancelled_hold_is_given_up_on_closing(url, node):
    database = Failing(url)
    async with opened(database, node) as lease:
        database.gate = asyncio.Event()
        holding = asyncio.create_task(lease.hold())
        await asyncio.sleep(1)
        holding.cancel()
        asyncio.get_running_loop().call_later(5, database.gate.set)
    async with opened(url, node) as other:
        assert await other.hold()


async def test_lease_that_is_closed_while_it_is_being_taken_is_not_held(url, node):
    database = Failing(url)
    database.gate = asyncio.Event()
    async with opened(url, node) as other:
        async with opened(database, node) as lease:
            holding = asyncio.create_task(lease.hold())
            await asyncio.sleep(1)
            asyncio.get_running_loop().call_later(5, database.gate.set)
        assert await holding is False
        assert await other.hold()


async def test_lease_that_cannot_be_given_up_is_told_of(url, node, caplog):
    database = Failing(url)
    async with opened(database, node, seconds=7) as lease:
        await lease.hold()
        database.before = StoreError("store", expected="an answer", got="none")
    assert [record.getMessage() for record in caplog.records] == [
        "lease 'cleaning' could not be given up, and is free in 7 s: store store: expected an answer, got none"
    ]


# --- wrong use -----------------------------------------------------------------------------------


async def test_lease_is_open_once_and_held_only_while_it_is(url, node):
    lease = Lease(database_of(url), "cleaning", node=node)
    await lease.close()
    with pytest.raises(StoreError) as caught:
        await lease.hold()
    assert str(caught.value) == (
        f"store {url}: expected an open lease 'cleaning', got a closed one\nFix: open() it first."
    )
    await lease.open()
    with pytest.raises(InvalidOptionError) as wrong:
        await lease.open()
    assert str(wrong.value) == "Lease('cleaning').open(): expected a closed lease, got an open one"
    await lease.close()


async def test_lease_that_cannot_open_leaves_its_database_closed(url, node, monkeypatch):
    def fail() -> Owner:
        raise RuntimeError("no such thing")

    monkeypatch.setattr(_lease, "this_process", fail)
    database = database_of(url)
    with pytest.raises(RuntimeError, match="no such thing"):
        await Lease(database, "cleaning", node=node).open()
    with pytest.raises(StoreError, match="expected an open database, got a closed one"):
        await database.read(nothing)


def test_lease_of_no_time_is_refused(url, node):
    with pytest.raises(InvalidOptionError) as caught:
        Lease(database_of(url), "cleaning", node=node, seconds=0)
    assert str(caught.value) == "Lease(seconds): expected more than 0 seconds, got 0"
