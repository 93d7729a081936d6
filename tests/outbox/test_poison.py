# SPDX-License-Identifier: MIT
"""Messages that end the whole OS process: what they do to others, and their own end."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import pytest

import stanchion as st
from stanchion import telemetry
from stanchion.errors import StoreError
from stanchion.outbox import OutboxMessage, _tables
from stanchion.storage import SqliteDatabase
from tests.delivery.servers import Log, Recorder
from tests.outbox.support import ELSEWHERE, leave_behind, opened, stored

KILLER = """
import asyncio, os, sys
import stanchion as st
from stanchion.delivery import OutboxDelivery
from stanchion.dead_letters import DeadLetterQueue, SqlStore
from stanchion.outbox import Outbox
from stanchion.storage import SqliteDatabase

class Fragile(st.GenServer):
    async def handle_cast(self, message):
        if message == "kill":
            await asyncio.sleep(0.02)  # the others are under way
            os._exit(7)
        await asyncio.sleep(0.2)

async def main():
    database = SqliteDatabase(sys.argv[1])
    outbox = Outbox(database, poll=0.01)
    services = [DeadLetterQueue(SqlStore(database)), outbox, OutboxDelivery(outbox)]
    async with st.Node(services=services) as node:
        for name in "abcd":
            await st.start(Fragile, name=name)
        if sys.argv[2] == "send":
            await asyncio.gather(*(st.send_supervised(name, "be careful", durable=True) for name in "bcd"))
            await st.send_supervised("a", "kill", durable=True, poison_after=1)
        await outbox.wait_empty()
        for letter in (await node.dead_letters.list()).entries:
            print(letter.recipient, letter.state, letter.reason, letter.error, outbox.statistics().delivered)

asyncio.run(main())
"""


def interrupted(times: int | None, number: int = 1, options: str = "{}") -> OutboxMessage:
    return stored(number)._replace(interrupted=times, options=options)


@pytest.mark.allow_blocking("it runs other OS processes")
async def test_message_that_ends_its_process_each_time_is_poison_in_the_end_and_the_others_are_delivered(url):
    def live(what: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", KILLER, url, what], capture_output=True, text=True, check=False)

    assert live("send").returncode == 7  # not noted: nobody knew of it
    assert live("resume").returncode == 7
    last = live("resume")
    assert last.stdout == (
        "a exhausted poison poison: its receiver crashed once while it handled it, "
        "at last by RuntimeError('its OS process ended') 3\n"
    )


async def test_message_that_was_interrupted_too_often_is_not_sent_and_rests_in_the_dead_letters(new_node, url):
    await leave_behind(url, [interrupted(3), interrupted(2, 2)], process=None)
    told: list[Any] = []
    async with new_node() as node:
        node.telemetry.attach(telemetry.DELIVERY_POISON, lambda _, measured, about: told.append(measured))
        pid = await st.start(Recorder, name="server")
        await node.outbox.wait_empty()
        assert await st.call(pid, Log()) == [2]
        (letter,) = (await node.dead_letters.list()).entries
        assert (letter.state, letter.reason, letter.message_id) == ("exhausted", "poison", "00000000-0001")
        assert [attempt.traceback for attempt in letter.attempts] == ["RuntimeError: its OS process ended\n"]
    assert told == [{"crashes": 3}]


@pytest.mark.parametrize(
    "options", ['{"poison_after":null}', '{"poison_after":4}'], ids=["never poison", "not often enough"]
)
async def test_message_that_was_not_interrupted_too_often_is_sent(new_node, url, options):
    await leave_behind(url, [interrupted(3, options=options)], process=None)
    async with new_node() as node:
        pid = await st.start(Recorder, name="server")
        await node.outbox.wait_empty()
        assert await st.call(pid, Log()) == [1]


@pytest.mark.parametrize(("before", "after"), [(None, [0, 0]), (0, [1, 1]), (2, [3, 2])])
async def test_what_was_under_way_was_interrupted_and_before_the_last_time_only_one_is(new_node, url, before, after):
    async with new_node():
        await st.start(Recorder, name="server")
        await st.start(Recorder, name="other")
        sleepy = [interrupted(before)._replace(payload=stored(1, ("sleep", 9.5)).payload, recipient="server")]
        sleepy += [sleepy[0]._replace(id="00000000-0002", recipient="other")]
        await leave_behind(url, sleepy, process=None)
        await asyncio.sleep(5)
        async with opened(url) as database:
            await database.write(lambda connection: connection.execute(_tables.owners.delete()))
            await database.write(_tables.take_over, [])
            await database.write(_tables.register, "me", ELSEWHERE, 30.0)
            found, _ = await database.write(_tables.claim, "me", 10, ())
            assert [message.interrupted for message in found] == after


async def test_message_that_cannot_be_noted_is_sent_later(new_node, url, monkeypatch, caplog):
    await leave_behind(url, [interrupted(0), interrupted(2, 2)], process=None)
    database = SqliteDatabase(url)
    async with new_node(database=database) as node:
        pid = await st.start(Recorder, name="server")
        real: Any = database.write

        async def fails(work: object, *arguments: object) -> object:
            if work is _tables.commit:
                raise StoreError(url, expected="the database to work", got="a test")
            return await real(work, *arguments)

        monkeypatch.setattr(database, "write", fails)
        await asyncio.sleep(3)
        assert await st.call(pid, Log()) == []
        monkeypatch.setattr(database, "write", real)
        await node.outbox.wait_empty()
        assert await st.call(pid, Log()) == [1, 2]
    assert "message 00000000-0002 is sent later, for it cannot be noted that it is: store sqlite:" in caplog.text
