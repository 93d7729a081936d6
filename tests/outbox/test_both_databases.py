# SPDX-License-Identifier: MIT
"""What must hold on SQLite and on PostgreSQL alike, in real time."""

from __future__ import annotations

import asyncio

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

import stanchion as st
from stanchion.kernel import NODE
from stanchion.outbox import Outbox, _tables
from stanchion.outbox.migrations import SCHEMA
from tests.delivery.servers import Log, Recorder
from tests.outbox.support import ELSEWHERE, leave_behind, opened, stored, with_outbox


async def test_message_comes_back_as_it_was_stored(database_url):
    message = stored(1, ("a", 2), key="key", ordered=True)._replace(
        metadata=b"\x80", options='{"retries":2}', created_at=1.5
    )
    async with opened(database_url) as database:
        await database.write(_tables.register, "me", ELSEWHERE, 30.0)
        await database.write(
            _tables.insert, [(message, None), *((stored(number), "other") for number in range(2, 200))]
        )
        assert await database.write(_tables.claim, "me", 10, ()) == ([message], {})
        assert await database.read(_tables.count) == {"server": 199}


async def test_claims_leave_out_full_recipients_and_ordered_messages_of_others(database_url):
    messages = [stored(1, recipient="full"), stored(2, ordered=True), stored(3), stored(4, recipient="b", ordered=True)]
    async with opened(database_url) as database:
        await database.write(_tables.register, "me", ELSEWHERE, 30.0)
        await database.write(
            _tables.insert, [(stored(0, ordered=True), "another node"), *((one, None) for one in messages)]
        )
        claimed, left = await database.write(_tables.claim, "me", 10, ["full"])
        assert left == {"server": stored(0).id}
        assert [one.id[-1] for one in claimed] == ["3", "4"]
        await database.write(_tables.give_back, "me", [claimed[0].id])
        await database.write(_tables.give_back, "nobody", [claimed[1].id])
        assert [one.id[-1] for one in (await database.write(_tables.claim, "me", 1, ()))[0]] == ["1"]
        assert [one.id[-1] for one in (await database.write(_tables.claim, "me", 9, ()))[0]] == ["3"]


async def test_durable_sends_are_delivered(database_url):
    async with st.Node(database=database_url, block_threshold=None) as node:
        pid = await st.start(Recorder, name="server")
        await asyncio.gather(*(st.send_supervised("server", number, durable=True) for number in range(300)))
        await node.outbox.wait_empty()
        assert sorted(await st.call(pid, Log())) == list(range(300))
        given_up = await st.send_supervised("nobody", "hello", durable=True, ack="processed", retries=0)
        assert (await node.dead_letters.get(given_up.dead_letter_id)).message() == "hello"


async def test_two_nodes_share_the_messages_and_send_none_twice(database_url):
    await leave_behind(database_url, [stored(number) for number in range(500)], process=None)
    log: list[object] = []
    one, two = (Outbox(database_url, poll=0.05) for _ in range(2))
    async with with_outbox(one, block_threshold=None):
        await st.start(Recorder, log, name="server")
        async with with_outbox(two, block_threshold=None):
            await st.start(Recorder, log, name="server")
            await asyncio.gather(*(st.send_supervised("server", number, durable=True) for number in range(500, 600)))
            await asyncio.gather(one.wait_empty(), two.wait_empty())
            assert one.statistics().delivered + two.statistics().delivered == 600
    assert sorted(log) == list(range(600))


async def test_two_nodes_keep_the_order_of_ordered_messages(database_url):
    await leave_behind(database_url, [stored(number, ordered=True) for number in range(100)], process=None)
    log: list[object] = []
    one, two = (Outbox(database_url, poll=0.05) for _ in range(2))
    async with with_outbox(one, block_threshold=None):
        await st.start(Recorder, log, name="server")
        async with with_outbox(two, block_threshold=None):
            await st.start(Recorder, log, name="server")
            await asyncio.gather(one.wait_empty(), two.wait_empty())
    assert log == list(range(100))


async def test_two_nodes_that_both_have_ordered_messages_wait_for_neither_for_ever(database_url):
    log: list[object] = []
    one, two = (Outbox(database_url, poll=0.05) for _ in range(2))
    async with with_outbox(one, block_threshold=None) as first:
        await st.start(Recorder, log, name="server")
        async with with_outbox(two, block_threshold=None):
            await st.start(Recorder, log, name="server")

            async def send(sender: str) -> None:
                for number in range(30):
                    ack = "processed" if number % 10 == 9 else "stored"
                    assert await st.send_supervised("server", [sender, number], durable=True, ordered=True, ack=ack)

            async def send_from_the_first() -> None:
                NODE.set(first)
                await send("first")

            await asyncio.gather(asyncio.create_task(send_from_the_first()), send("second"))
            await asyncio.gather(one.wait_empty(), two.wait_empty())
    for sender in ("first", "second"):
        assert [message for message in log if sender in str(message)] == [[sender, number] for number in range(30)]


async def test_only_one_of_two_nodes_takes_over_from_a_dead_one(database_url):
    await leave_behind(database_url, [stored(number) for number in range(50)], lease=0.2)
    log: list[object] = []
    one, two = (Outbox(database_url, poll=0.05, lease=1) for _ in range(2))
    async with with_outbox(one, block_threshold=None):
        await st.start(Recorder, log, name="server")
        async with with_outbox(two, block_threshold=None):
            await st.start(Recorder, log, name="server")
            await asyncio.gather(one.wait_empty(), two.wait_empty())
            assert one.statistics().resumed + two.statistics().resumed == 50
    assert sorted(log) == list(range(50))


async def test_owners_beat_and_leave(database_url):
    async with opened(database_url) as database:
        for owner in ("one", "two"):
            await database.write(_tables.register, owner, ELSEWHERE, 30.0)
        assert await database.write(_tables.beat, "one") == {"two": _tables.Seen(ELSEWHERE, 30.0, 0)}
        assert await database.write(_tables.beat, "two") == {"one": _tables.Seen(ELSEWHERE, 30.0, 1)}
        await database.write(_tables.insert, [(stored(1), "one")])
        await database.write(_tables.leave, "one")
        assert await database.write(_tables.beat, "one") is None
        assert await database.write(_tables.claim, "two", 10, ()) == ([stored(1)], {})


async def test_owner_that_has_ended_claims_nothing(database_url):
    async with opened(database_url) as database:
        await database.write(_tables.insert, [(stored(1), None)])
        assert await database.write(_tables.claim, "gone", 10, ()) == ([], {})


async def test_only_what_was_noted_as_under_way_was_interrupted_when_its_owner_is_gone(database_url):
    async def life(owner: str, *, noted: list[str], leaves: bool = False) -> list[int | None]:
        await database.write(_tables.register, owner, ELSEWHERE, 30.0)
        claimed, _ = await database.write(_tables.claim, owner, 10, ())
        await database.write(_tables.commit, _tables.Change([], [], noted, [], []))
        if leaves:
            await database.write(_tables.leave, owner)
        else:
            await database.write(_tables.take_over, [(owner, 0)])
        return [one.interrupted for one in claimed]

    async with opened(database_url) as database:
        one, two = stored(1), stored(2)
        await database.write(_tables.insert, [(one, None), (two, None)])
        assert await life("first", noted=[]) == [None, None]
        assert await life("second", noted=[one.id]) == [0, 0]
        assert await life("third", noted=[one.id, two.id], leaves=True) == [1, 0]
        assert await life("fourth", noted=[]) == [1, 0]
        assert await life("fifth", noted=[one.id]) == [1, 0]
        assert await life("sixth", noted=[]) == [2, 0]


async def test_what_was_handled_is_known_and_forgotten(database_url):
    handled = [_tables.Handled("server", str(number), float(number)) for number in range(10)]
    async with opened(database_url) as database:
        await database.write(_tables.commit, _tables.Change([], [], [], [], handled))
        assert await database.read(_tables.was_handled, "server", "3")
        assert not await database.read(_tables.was_handled, "other", "3")
        again = stored(1, key="3")
        left_out = await database.write(
            _tables.commit, _tables.Change([(again, None), (stored(2), None)], [again], [], [], [])
        )
        assert left_out == {again.id}
        await database.write(_tables.insert, [(again, None)])
        assert await database.write(_tables.drop_handled) == 1
        assert await database.read(_tables.count) == {"server": 1}
        assert [await database.write(_tables.forget, 5.0, 3) for _ in range(3)] == [3, 2, 0]


async def test_the_revisions_make_the_tables_that_are_used(database_url):
    def differences(connection: sa.Connection) -> list[object]:
        ours = {*_tables.metadata.tables, SCHEMA.version_table}
        options = {
            "version_table": SCHEMA.version_table,
            "include_name": lambda name, kind, _: kind != "table" or name in ours,
        }
        return compare_metadata(MigrationContext.configure(connection, opts=options), _tables.metadata)

    async with opened(database_url) as database:
        assert await database.read(differences) == []


def test_the_newest_revision_is_the_one_that_is_written():
    assert ScriptDirectory(str(SCHEMA.folder)).get_current_head() == SCHEMA.head
