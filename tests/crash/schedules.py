# SPDX-License-Identifier: MIT
"""Persistent schedules: processes declare them, change them and fire them, and are killed.

Each due time that is done with became one message or was counted as missed, never both and never twice: due times that
are taken come to as many as messages and missed ones. What a call had returned is so: an added schedule is there, a
cancelled one is not and fires no more, and a run that was triggered has its message.
"""

from __future__ import annotations

import asyncio
import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any, ClassVar, Final, NamedTuple

import sqlalchemy as sa

import stanchion as st
from stanchion.outbox import Outbox
from stanchion.scheduler import SchedulerManager, SendMessage
from stanchion.storage import database_of
from tests.crash.databases import ExaminedDatabase
from tests.crash.journal import Entry, Journal
from tests.crash.outbox import PATIENCE
from tests.crash.processes import Kill, any_moment
from tests.crash.target import Life, Report

INTERVAL: Final = 0.02
"""Seconds from one due time to the next: some while a process lives."""

STANDING: Final = ("a", "b", "c")
"""Schedules that every process declares when it starts, as programs do."""

BRIEF: Final = 10
"""How many schedules a process adds, triggers and cancels."""

RECEIVER: Final = "receiver"


def node(life: Life) -> st.Node:
    """Return a node that fires what is due, and delivers it."""
    from stanchion.dead_letters import DeadLetterQueue, SqlStore
    from stanchion.delivery import OutboxDelivery

    database = database_of(life.url)
    outbox = Outbox(database, poll=0.05)
    letters = DeadLetterQueue(SqlStore(database))
    services = [outbox, OutboxDelivery(outbox), SchedulerManager()]
    return st.Node(dead_letters=letters, redeliver=False, services=services, block_threshold=None)


class Receiver(st.GenServer):
    """Notes which run it handles."""

    def init(self, life: Life) -> None:
        self._life = life

    def handle_cast(self, message: object) -> None:
        info = st.message_info()
        assert info is not None
        due: Any = (info.metadata or {})["due"]
        schedule = (info.metadata or {})["schedule"]
        self._life.journal.note("handled", id=info.message_id, recipient=str(schedule), state=repr(due))


class PersistentSchedules:
    """The target; see the module."""

    rounds: ClassVar[int] = 20

    def kill(self, random: Random) -> Kill:
        """See ``Target.kill``; its calls come one after another, and schedules take their time."""
        when, value = any_moment(random)
        return Kill(when, value * 4 if when == "work" else value)

    def processes(self, random: Random) -> int:
        """Two nodes share the schedules, now and then."""
        return random.choice((1, 1, 2))

    async def prepare(self, database: ExaminedDatabase, journal: Journal, random: Random) -> None:
        """See ``Target.prepare``."""

    async def work(self, life: Life) -> None:
        """See ``Target.work``."""
        async with node(life) as running:
            await st.start(Receiver, life, name=RECEIVER)
            life.at_work()
            for id in STANDING:
                life.journal.note("add", id=id)
                await _every(running, INTERVAL, id)
                life.journal.note("added", id=id)
            await _brief(running, life)
            await asyncio.Event().wait()

    async def check(self, database: ExaminedDatabase, entries: Sequence[Entry], journal: Journal) -> Report:
        """See ``Target.check``."""
        return History(entries).compare(await _look(database))

    async def finish(self, life: Life) -> None:
        """Stop the schedules, and deliver what is left."""
        async with node(life) as running:
            await st.start(Receiver, life, name=RECEIVER)
            for info in await running.scheduler.list():
                await running.scheduler.pause(info.id)
            async with asyncio.timeout(PATIENCE):
                await running.outbox.wait_empty()
            while any(info.running for info in await running.scheduler.list()):
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.15)  # it looks again, more than once, and finds nothing


async def _every(running: st.Node, interval: float, id: str) -> None:
    # Every due time is run: then each of them must be found.
    await running.scheduler.every(
        interval, SendMessage(RECEIVER, id, on_error="dead_letter"), id=id, coalesce="all", max_running=None, persistent=True
    )  # fmt: skip


async def _brief(running: st.Node, life: Life) -> None:
    for number in itertools.islice(itertools.count(), BRIEF):
        id = f"{life.number}-{number}"
        life.journal.note("add", id=id)
        await _every(running, 3600, id)
        life.journal.note("added", id=id)
        life.journal.note("trigger", id=id)
        await running.scheduler.trigger(id)
        life.journal.note("triggered", id=id)
        if life.random.random() < 0.5:
            life.journal.note("cancel", id=id)
            await running.scheduler.cancel(id)
            life.journal.note("cancelled", id=id)
        await asyncio.sleep(0)


class Found(NamedTuple):
    """What the database has.

    Attributes:
        runs: By schedule: how many runs it says it began, how many it missed, and how many due times were taken.
        waiting: The message ids of runs in the outbox.
        letters: The message ids of dead letters.
    """

    runs: dict[str, tuple[int, int, int]]
    waiting: list[str]
    letters: list[str]


async def _look(database: ExaminedDatabase) -> Found:
    def look(connection: sa.Connection) -> Found:
        tables = set(sa.inspect(connection).get_table_names())
        runs, waiting, letters = {}, [], []
        if "stanchion_schedules" in tables:
            query = "SELECT id, runs, missed, taken, added FROM stanchion_schedules"
            for id, begun, missed, taken, added in connection.exec_driver_sql(query):
                count = 0 if math.isinf(taken) else round((taken - added) / INTERVAL)
                runs[id] = (begun, missed, count)
        if "stanchion_outbox" in tables:
            waiting = list(connection.exec_driver_sql("SELECT message_id FROM stanchion_outbox").scalars())
        if "stanchion_dead_letters" in tables:
            letters = list(connection.exec_driver_sql("SELECT message_id FROM stanchion_dead_letters").scalars())
        return Found(runs, waiting, letters)

    return await database.run(look)


class History:
    """What must be there, by the journal.

    Args:
        entries: All of them, oldest first.
    """

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._added: set[str] = set()
        self._under_way: Counter[str] = Counter()
        self._triggered: set[str] = set()
        self._cancelling: set[str] = set()
        self._cancelled: set[str] = set()
        # Each message that was handled, and how many times.
        self._handled: Counter[str] = Counter()
        for entry in entries:
            self._take(entry)

    def _take(self, entry: Entry) -> None:
        match entry:
            case Entry(what="add" | "trigger" | "cancel", id=str(id)):
                self._under_way[id] += 1
                if entry.what == "cancel":
                    self._cancelling.add(id)
            case Entry(what="added", id=str(id)):
                self._under_way[id] -= 1
                self._added.add(id)
            case Entry(what="triggered", id=str(id)):
                self._under_way[id] -= 1
                self._triggered.add(id)
            case Entry(what="cancelled", id=str(id)):
                self._under_way[id] -= 1
                self._cancelled.add(id)
            case Entry(what="handled", id=str(id)):
                self._handled[id] += 1
            case _:
                pass

    def compare(self, found: Found) -> Report:
        """Compare with what is there."""
        messages = {*self._handled, *found.waiting, *found.letters}
        return Report(
            problems=[*self._lost(found, messages), *self._twice(messages), *self._uneven(found, messages)],
            promised=len(self._added) + len(self._triggered) + len(self._cancelled) + len(messages),
            undecided=sum(count > 0 for count in self._under_way.values()),
            duplicates=sum(count - 1 for count in self._handled.values()),
        )

    def _lost(self, found: Found, messages: set[str]) -> Iterator[str]:
        for id in self._added - self._cancelling - found.runs.keys():
            yield f"schedule {id}: it was added, and is not there"
        for id in self._cancelled & found.runs.keys():
            yield f"schedule {id}: it was cancelled, and is there"
        sent = {_schedule(message) for message in messages}
        for id in self._triggered - sent:
            yield f"schedule {id}: it was triggered, and its message is neither handled nor anywhere"

    def _twice(self, messages: set[str]) -> Iterator[str]:
        due = Counter((_schedule(message), message.split(":")[2]) for message in messages)
        for (id, when), count in due.items():
            if count > 1 and id in STANDING:
                yield f"schedule {id}: {count} messages are for the due time {when}"

    def _uneven(self, found: Found, messages: set[str]) -> Iterator[str]:
        sent = Counter(_schedule(message) for message in messages)
        for id, (begun, missed, taken) in found.runs.items():
            if begun != sent[id]:
                yield f"schedule {id}: it began {begun} runs, and {sent[id]} messages are handled or somewhere"
            if id in STANDING and begun + missed != taken:
                yield f"schedule {id}: of {taken} due times, {begun} were run and {missed} missed"


def _schedule(message: str) -> str:
    """Return whose run a message is, which its id says: it has no colon in this campaign."""
    return message.split(":")[1]
