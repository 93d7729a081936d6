# SPDX-License-Identifier: MIT
"""What one node leaves behind, and who delivers it then."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from typing import Any

import pytest

import stanchion as st
from stanchion import telemetry
from stanchion.dead_letters import DeadLetterQueue, MemoryStore
from stanchion.delivery import OutboxDelivery
from stanchion.errors import StoreError
from stanchion.outbox import Outbox, _tables
from stanchion.storage import Owner, SqliteDatabase, is_gone, this_process
from stanchion.testing import VirtualClock
from tests.delivery.servers import Flaky, Log, Recorder, Seen
from tests.outbox.support import ELSEWHERE, leave_behind, opened, stored, with_outbox


async def test_what_a_node_did_not_deliver_is_delivered_by_the_next_one(new_node):
    async with new_node():
        await st.start(Recorder, name="server")
        await st.send_supervised("server", ("sleep", 3), durable=True)
        await asyncio.sleep(1)
        for number in range(3):
            await st.send_supervised("server", number, durable=True)
    async with new_node() as node:
        pid = await st.start(Recorder, name="server")
        await node.outbox.wait_empty()
        assert sorted(await st.call(pid, Log()), key=repr) == [("sleep", 3), 0, 1, 2]
        assert node.outbox.statistics().resumed == 0  # the first node had left it in order


async def test_node_that_stops_gives_nothing_up_for_that(new_node, caplog):
    async with new_node() as node:
        await st.start(Flaky, 1000, name="server")
        await st.send_supervised("server", "hello", durable=True, retries=1, backoff=st.Backoff(initial=5, jitter=0))
        await asyncio.sleep(1)
    assert caplog.text == ""
    async with new_node() as node:
        pid = await st.start(Flaky, 0, name="server")
        await node.outbox.wait_empty()
        assert len(await st.call(pid, Seen())) == 1
        assert (await node.dead_letters.list()).entries == ()


class SlowToStop(Recorder):
    async def init(self, log: list[object] | None = None) -> None:
        st.trap_exit()
        await super().init(log)

    async def terminate(self, reason: st.ExitReason) -> None:
        await asyncio.sleep(10)


async def test_message_whose_attempts_end_while_the_node_stops_is_left_to_the_next_one(new_node):
    async with new_node():
        await st.start(SlowToStop)
        backoff = st.Backoff(initial=3, factor=1, jitter=0)
        await st.send_supervised("server", "hello", durable=True, retries=1, backoff=backoff)
        await asyncio.sleep(2)
    async with new_node() as node:
        pid = await st.start(Recorder, name="server")
        assert (await node.dead_letters.list()).entries == ()
        await node.outbox.wait_empty()
        assert await st.call(pid, Log()) == ["hello"]


async def test_recovering_twice_changes_nothing(new_node, url):
    await leave_behind(url, [stored(1), stored(2)], process=None)
    log: list[object] = []
    for _ in range(3):
        async with new_node() as node:
            await st.start(Recorder, log, name="server")
            await node.outbox.wait_empty()
            await asyncio.sleep(100)
    assert log == [1, 2]


async def test_message_that_was_taken_over_may_have_been_sent_before(new_node, url):
    await leave_behind(url, [stored(1, "crash")], process=None)
    async with new_node() as node:
        await st.start(Recorder, name="server")
        await node.outbox.wait_empty()
        (letter,) = (await node.dead_letters.list()).entries
        assert letter.message_id == "00000000-0001"


# --- owners that are gone ------------------------------------------------------------------------


@pytest.mark.allow_blocking("it starts another OS process")
async def test_what_a_killed_process_of_this_machine_had_is_taken_over_at_once(new_node, url, caplog):
    child = another_process()
    process = Owner(this_process().host, child.pid, str(start_of(child.pid)))
    assert not is_gone(process, this_process())
    child.kill()
    await leave_behind(url, [stored(1), stored(2)], process=process)
    resumed: list[object] = []
    async with new_node() as node:
        node.telemetry.attach(telemetry.OUTBOX_RESUMED, lambda _, measured, about: resumed.append((measured, about)))
        pid = await st.start(Recorder, name="server")
        await asyncio.sleep(2)
        assert await st.call(pid, Log()) == [1, 2]
        assert node.outbox.statistics().resumed == 2
    assert resumed == [({"count": 2}, {"node": "node"})]
    assert "2 messages of the outbox were left by nodes that are gone" in caplog.text
    child.communicate()


async def test_what_a_node_of_another_machine_had_is_taken_over_when_its_lease_is_over(new_node, url):
    await leave_behind(url, [stored(1)], lease=60)
    async with new_node() as node:
        pid = await st.start(Recorder, name="server")
        await asyncio.sleep(55)
        assert await st.call(pid, Log()) == []
        await asyncio.sleep(20)
        assert await st.call(pid, Log()) == [1]
        assert await node.outbox.count() == {}


async def test_what_a_node_has_that_lives_is_left_to_it(new_node, url):
    await leave_behind(url, [stored(1)])
    async with new_node() as node:
        pid = await st.start(Recorder, name="server")
        async with opened(url) as database:
            for _ in range(20):
                await asyncio.sleep(10)
                await database.write(_tables.beat, f"owner {ELSEWHERE.pid}")
        assert await st.call(pid, Log()) == []
        assert await node.outbox.count() == {"server": 1}


async def test_message_that_was_stored_just_when_its_owner_was_taken_for_dead_is_found(new_node, url):
    await leave_behind(url, [stored(1)])
    async with opened(url) as database:
        await database.write(_tables.take_over, [(f"owner {ELSEWHERE.pid}", 0)])
        await database.write(_tables.insert, [(stored(2), f"owner {ELSEWHERE.pid}")])
    async with new_node() as node:
        pid = await st.start(Recorder, name="server")
        await node.outbox.wait_empty()
        assert await st.call(pid, Log()) == [1, 2]


async def test_message_of_an_owner_that_nobody_knows_is_found_by_a_node_that_lives(new_node, url):
    async with new_node() as node:
        pid = await st.start(Recorder, name="server")
        await asyncio.sleep(5)
        async with opened(url) as database:
            await database.write(_tables.insert, [(stored(1), "it was taken for dead, stored this, and died")])
        await node.outbox.wait_empty()
        assert await st.call(pid, Log()) == [1]


async def test_owner_that_has_lived_on_is_not_taken_over(url):
    await leave_behind(url, [stored(1)])
    async with opened(url) as database:
        await database.write(_tables.beat, f"owner {ELSEWHERE.pid}")
        assert await database.write(_tables.take_over, [(f"owner {ELSEWHERE.pid}", 0)]) == 0
        assert await database.write(_tables.claim, "me", 10, ()) == ([], {})


async def test_node_that_was_taken_for_dead_begins_anew_and_loses_nothing(new_node, url, caplog):
    async with new_node() as node:
        pid = await st.start(Recorder, name="server")
        for number in range(65):
            await st.send_supervised("server", ("sleep", 1 + number / 100), durable=True, timeout=None, deadline=None)
        await asyncio.sleep(5)
        async with opened(url) as database:
            others = await database.write(_tables.beat, "")
            assert others is None
            await database.write(lambda connection: connection.execute(_tables.owners.delete()))
        await node.outbox.wait_empty()
        assert len({repr(message) for message in await st.call(pid, Log(), timeout=None)}) == 65
    assert "gave no sign of life for 30 s: others deliver what it held of the outbox" in caplog.text


async def test_who_waits_for_a_message_that_another_node_has_delivered_does_not_wait_for_ever(url):
    async with with_outbox(Outbox(url, concurrency=1), clock=VirtualClock(), block_threshold=None):
        await st.start(Recorder, name="server")
        await st.send_supervised("server", ("sleep", 1000), durable=True, timeout=None, deadline=None)
        waiting = asyncio.create_task(
            st.send_supervised("server", "hello", durable=True, ack="processed", deadline=None)
        )
        await asyncio.sleep(40)
        assert not waiting.done()
        async with opened(url) as database:  # as another node does it that takes this one for dead
            await database.write(lambda connection: connection.execute(_tables.owners.delete()))
            await database.write(lambda connection: connection.execute(_tables.messages.delete()))
        delivery = await waiting
        assert (delivery.outcome, delivery.reason_text) == (
            "unknown",
            "timeout: it is stored, and the outbox goes on with it",
        )


async def test_node_that_stood_still_for_longer_than_its_lease_sends_nothing_that_it_held(new_node, url, monkeypatch):
    database = SqliteDatabase(url)
    async with new_node(database=database) as node:
        pid = await st.start(Recorder, name="server")
        await asyncio.sleep(2)
        real: Any = database.write

        async def fails(work: object, *arguments: object) -> object:
            if work is _tables.beat:
                raise StoreError(url, expected="the database to work", got="a test")
            return await real(work, *arguments)

        monkeypatch.setattr(database, "write", fails)
        await asyncio.sleep(60)
        await st.send_supervised("server", "stored", durable=True)
        unknown = await st.send_supervised("server", "waited for", durable=True, ack="processed", deadline=5)
        assert (unknown.outcome, unknown.reason) == ("unknown", "timeout")
        assert await st.call(pid, Log()) == []
        monkeypatch.setattr(database, "write", real)
        await node.outbox.wait_empty()
        assert await st.call(pid, Log()) == ["stored", "waited for"]


# --- when the database fails ---------------------------------------------------------------------


async def test_message_that_cannot_be_removed_yet_is_removed_later_and_not_sent_again(
    new_node, url, monkeypatch, caplog
):
    database = SqliteDatabase(url)
    async with new_node(database=database) as node:
        pid = await st.start(Recorder, name="server")
        await st.send_supervised("server", ("sleep", 1), durable=True)
        real: Any = database.write

        async def fails(work: object, *arguments: object) -> object:
            if work is _tables.commit:
                raise StoreError(url, expected="the database to work", got="a test")
            return await real(work, *arguments)

        monkeypatch.setattr(database, "write", fails)
        await asyncio.sleep(3)
        assert await node.outbox.count() == {"server": 1}
        monkeypatch.setattr(database, "write", real)
        await node.outbox.wait_empty()
        assert await st.call(pid, Log()) == [("sleep", 1)]
    assert "is done, and could not be removed from the outbox yet" in caplog.text


@pytest.mark.parametrize("work", ["commit", "claim"])
async def test_commit_of_which_nobody_knows_whether_it_was_made_loses_nothing(new_node, url, monkeypatch, work):
    database = SqliteDatabase(url)
    async with new_node(database=database) as node:
        pid = await st.start(Recorder, name="server")
        await asyncio.sleep(2)
        real: Any = database.write
        failed = asyncio.Event()

        async def cut(asked: object, *arguments: object) -> object:
            made = await real(asked, *arguments)
            if asked is getattr(_tables, work) and (work == "commit" or made[0]):
                failed.set()
                raise StoreError(url, expected="to know whether it was committed", got="a connection that was cut")
            return made

        monkeypatch.setattr(database, "write", cut)
        if work == "claim":
            await leave_behind(url, [stored(1)], process=None)
        else:
            with pytest.raises(StoreError):
                await st.send_supervised("server", 1, durable=True)
        await failed.wait()
        monkeypatch.setattr(database, "write", real)
        await node.outbox.wait_empty()
        assert await st.call(pid, Log()) == [1]


class Failing(MemoryStore):
    """Keeps no letter while it is told not to."""

    broken = True

    async def write(self, writes):
        if self.broken:
            raise StoreError("memory:", expected="room", got="none")
        return await super().write(writes)


async def test_message_that_cannot_become_a_dead_letter_yet_is_sent_again(new_node, url, caplog):
    letters = Failing()
    await leave_behind(
        url, [stored(1, recipient="nobody"), stored(2)._replace(message_type="gone.Class")], process=None
    )
    async with new_node(dead_letters=DeadLetterQueue(letters)) as node:
        await asyncio.sleep(5)
        assert await node.outbox.count() == {"nobody": 1, "server": 1}
        assert node.outbox.statistics().given_up == 0
        letters.broken = False
        await node.outbox.wait_empty()
        assert (await node.dead_letters.stats()).waiting == 1
    assert "could not be stored as a dead letter, and stays in the outbox" in caplog.text


async def test_message_that_was_put_back_and_then_lost_is_not_sent_by_the_loser(new_node, url):
    letters = Failing()
    await leave_behind(url, [stored(1, recipient="nobody")._replace(options='{"retries":0}')], process=None)
    async with new_node(dead_letters=DeadLetterQueue(letters)) as node:
        await asyncio.sleep(5)
        async with opened(url) as database:
            await database.write(lambda connection: connection.execute(_tables.owners.delete()))
            await database.write(_tables.register, "another", ELSEWHERE, 1000.0)
            await database.write(
                lambda connection: connection.execute(_tables.messages.update().values(owner="another"))
            )
        await asyncio.sleep(10)
        letters.broken = False
        await asyncio.sleep(10)
        assert (node.outbox.statistics().held, node.outbox.statistics().under_way) == (0, 0)
        assert (await node.dead_letters.list()).entries == ()
        assert await node.outbox.count() == {"nobody": 1}


async def test_message_that_this_program_does_not_know_rests_in_the_dead_letters(new_node, url, caplog):
    await leave_behind(
        url,
        [stored(1)._replace(message_type="gone.Class"), stored(2)._replace(options='{"retries": "many"}')],
        process=None,
    )
    async with new_node() as node:
        await node.outbox.wait_empty()
        first, second = (await node.dead_letters.list()).entries
        assert (first.state, first.reason, first.message_id) == ("exhausted", "invalid", "00000000-0001")
        assert "stored message of type gone.Class version 1: expected a class" in first.error
        assert "Expected `int`, got `str`" in second.error
    assert "message 00000000-0001 to server cannot be sent" in caplog.text


async def test_outbox_that_cannot_be_read_is_looked_at_again(new_node, url, monkeypatch, caplog):
    database = SqliteDatabase(url)
    async with new_node(database=database) as node:
        pid = await st.start(Recorder, name="server")
        real: Any = database.write

        async def fails(*_: object) -> object:
            raise RuntimeError("no such database")

        monkeypatch.setattr(database, "write", fails)
        await asyncio.sleep(3)
        monkeypatch.setattr(database, "write", real)
        await leave_behind(url, [stored(1)], process=None)
        await node.outbox.wait_empty()
        assert await st.call(pid, Log()) == [1]
    assert "the outbox cannot be read; looking again in 1 s" in caplog.text


async def test_outbox_that_cannot_say_that_it_leaves_is_taken_over_later(new_node, url, monkeypatch, caplog):
    database = SqliteDatabase(url)
    async with new_node(database=database):
        real: Any = database.write

        async def fails(work: object, *arguments: object) -> object:
            if work is _tables.leave:
                raise StoreError(url, expected="the database to work", got="a test")
            return await real(work, *arguments)

        monkeypatch.setattr(database, "write", fails)
    assert "what this node holds of the outbox is taken over when its lease is over" in caplog.text


async def test_send_that_was_cancelled_and_not_stored_is_logged(new_node, url, monkeypatch, caplog):
    database = SqliteDatabase(url)
    async with new_node(database=database) as node:
        entered = asyncio.Event()
        real: Any = database.write

        async def fails(work: object, *arguments: object) -> object:
            if work is not _tables.commit:
                return await real(work, *arguments)
            entered.set()
            await asyncio.sleep(0.5)
            raise StoreError(url, expected="the database to work", got="a test")

        monkeypatch.setattr(database, "write", fails)
        send = asyncio.create_task(st.send_supervised("server", "hello", durable=True))
        remembering = asyncio.create_task(node.outbox.remember("server", "key", 1.0))
        await entered.wait()
        send.cancel()
        remembering.cancel()
        await asyncio.wait([send, remembering])
        await asyncio.sleep(1)
        monkeypatch.setattr(database, "write", real)
    assert "to server was not stored: store sqlite:" in caplog.text


async def test_caller_who_waits_when_the_node_stops_hears_that_the_message_is_stored(new_node):
    async with new_node() as node:
        await st.start(Recorder, name="server")
        send = asyncio.create_task(
            st.send_supervised("server", ("sleep", 1000), durable=True, ack="processed", timeout=None, deadline=None)
        )
        await asyncio.sleep(1)
    delivery = await send
    assert (delivery.outcome, delivery.reason_text) == (
        "unknown", "timeout: it is stored, and the outbox goes on with it"
    )  # fmt: skip
    del node


async def test_outbox_that_is_closed_under_its_delivery_ends_it(new_node, url, caplog):
    caplog.set_level(logging.ERROR)
    outbox = Outbox(url)
    delivery = OutboxDelivery(outbox)
    async with new_node(database=None, dead_letters="memory:", services=[outbox, delivery]) as node:
        labels = [process.label for process in node.processes.values()]
        assert "OutboxDelivery" in labels
        await st.start(Recorder, name="server")
        await st.send_supervised("server", ("sleep", 4), durable=True)
        await st.send_supervised("nobody", "hello", durable=True)
        await asyncio.sleep(0.5)
        await outbox.close()
        await asyncio.sleep(5)
        assert "OutboxDelivery" not in [process.label for process in node.processes.values()]
        assert outbox.next() is None
    assert caplog.text == ""


async def test_outbox_that_is_closed_before_its_first_look_ends_its_delivery(new_node, url):
    outbox = Outbox(url)
    async with new_node(database=None, dead_letters="memory:", services=[outbox, OutboxDelivery(outbox)]) as node:
        await asyncio.sleep(0)
        await outbox.close()
        await asyncio.sleep(1)
        assert [process.label for process in node.processes.values()] == ["Redelivery"]


# --- who is gone ---------------------------------------------------------------------------------


def another_process() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)


def start_of(pid: int) -> str:
    from stanchion.storage import _owner

    return _owner._start_of(pid) or ""


@pytest.mark.allow_blocking("it looks at other OS processes")
async def test_process_that_has_ended_is_gone_and_so_is_one_that_was_not_waited_for():
    here = this_process()
    assert not is_gone(here, here)
    assert is_gone(here._replace(started="another start"), here)
    assert not is_gone(Owner("another machine", 1, "1"), here)
    assert not is_gone(Owner(None, 1, "1"), here._replace(host=None))
    child = another_process()
    process = Owner(here.host, child.pid, start_of(child.pid))
    child.kill()
    await asyncio.sleep(0.2)
    while not is_gone(process, here):  # dead, and not waited for
        await asyncio.sleep(0.01)
    child.communicate()
    assert is_gone(process, here)


@pytest.mark.allow_blocking("it looks at other OS processes")
async def test_process_that_belongs_to_somebody_else_is_there(monkeypatch):
    def not_allowed(*_: object) -> None:
        raise PermissionError

    here = this_process()
    monkeypatch.setattr("os.kill", not_allowed)
    assert not is_gone(here, here)
    monkeypatch.setattr("pathlib.Path.read_text", lambda *_, **__: (_ for _ in ()).throw(OSError))
    assert not is_gone(here, here)
    assert this_process() == Owner(None, here.pid, "")
