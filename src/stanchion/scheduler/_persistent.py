# SPDX-License-Identifier: MIT
"""The schedules that are kept in the node's database: of all nodes that have it, one fires them at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Final, TypeAlias, cast

from stanchion.dead_letters import storable
from stanchion.delivery import Delivery, OutboxDelivery
from stanchion.errors import LeaseLostError, ScheduleNotFoundError, StoreError
from stanchion.kernel import Node
from stanchion.outbox import OutboxMessage
from stanchion.scheduler import _firing, _tables
from stanchion.scheduler._definition import Definition
from stanchion.scheduler._firing import CHANNEL, Happened, Now, run_of, trigger_of
from stanchion.scheduler._jobs import SendMessage
from stanchion.scheduler._misfire import Missed
from stanchion.scheduler._schedule import ScheduleInfo
from stanchion.scheduler._stored import info_of, problem_of, row_of, with_message_of
from stanchion.scheduler._tables import End, Row
from stanchion.scheduler._telling import tell_missed, tell_started, tell_stopped
from stanchion.scheduler._timetable import Place
from stanchion.scheduler._triggers import Trigger
from stanchion.scheduler._wall_clock import CORRECTION, WallClock, WallTimetable
from stanchion.scheduler.migrations import SCHEMA
from stanchion.storage import Lease

_Infos: TypeAlias = list[ScheduleInfo]  # the class below has a method called list
_Times: TypeAlias = list[float]

_log = logging.getLogger("stanchion.scheduler")

POLL: Final = 1.0
"""Seconds from one look to the next, when nothing tells of what other nodes do."""

# Between two looks, so that a storm of wake-ups is not a storm of queries.
_SHORTEST_PAUSE: Final = 0.01
# Schedules that one transaction fires at most: it holds up every other writer of an SQLite file.
_BATCH: Final = 100
_BEATS_PER_LEASE: Final = 3
# What is over is kept for so long, to tell how it ended, and so that the same time is not set anew.
_KEEP: Final = 30 * 86_400.0
_ERROR_LIMIT: Final = 2000
_LOST: Final = "the node that had it ended before it noted how"


class PersistentSchedules:
    """The persistent schedules of one node, as the manager uses them; made when it opens on a node with an outbox.

    A due time is taken and its message put into the outbox in one transaction, which is made only while the lease is
    ours. Everything else is done by any node, in its own transaction. ``operation`` is who asks, for texts.

    Args:
        node: The node.
        delivery: What delivers its messages; its outbox, open, has the database, and says how long the lease is.
        wall: Its wall clock.
    """

    def __init__(self, node: Node, delivery: OutboxDelivery, wall: WallClock) -> None:
        self._node: Final = node
        self._delivery: Final = delivery
        self._database: Final = delivery.outbox.database
        self._wall: Final = wall
        self._lease: Final = Lease(self._database, "scheduler", node=node, seconds=delivery.outbox.lease)
        self._wake: Final = asyncio.Event()
        # One item: when the next schedule is due, as far as we know.
        self._timetable: Final[WallTimetable[str]] = wall.timetable(lambda _: self._wake.set(), self._look_at_all)
        self._next: Place[str] | None = None
        # When to ask for the lease again, on the monotonic clock.
        self._next_hold = 0.0
        # Runs that this node delivered or gave up, and whose end is not noted yet, by the ids of their messages.
        self._ends: dict[str, End] = {}
        # Runs that were not in the outbox at the last beat, and whose end nobody noted.
        self._missing: frozenset[str] = frozenset()
        # Schedules that this program cannot run, and why; they are looked at anew at each beat.
        self._aside: dict[str, str] = {}
        self._told: dict[str, str] = {}
        self._failing = False
        self._endings: list[Callable[[], None]] = []

    # --- beginning and end -----------------------------------------------------------------------

    async def open(self) -> None:
        """Make the tables, and hear of what concerns them.

        Raises:
            StoreError: the database failed; nothing is open.
        """
        await self._database.open(SCHEMA)
        try:
            await self._lease.open()
        except BaseException:
            await self._database.close()
            raise
        self._endings.append(self._delivery.on_end(self._ended))
        self._endings.append(self._database.listen(CHANNEL, self._wake.set))
        self._endings.append(self._lease.listen(self._look_at_all))

    def _look_at_all(self) -> None:
        """Have the lease, and what is done with it now and then, looked at now."""
        self._next_hold = 0.0
        self._wake.set()

    async def close(self) -> None:
        """Note what has ended, and give the lease up; the process has ended."""
        for end in self._endings:
            end()
        self._endings.clear()
        try:
            await self._note_ends()
        except StoreError as error:
            _log.error("how %d runs of schedules ended could not be noted: %s", len(self._ends), error)
        finally:
            try:
                await self._lease.close()
            finally:
                await self._database.close()

    # --- verbs -----------------------------------------------------------------------------------

    async def add(self, definition: Definition, operation: str) -> None:
        """Store a schedule; its trigger is by the wall clock. Nothing changes when the same is stored."""
        now = self._now()  # before anything is waited for: due times count from here
        row = row_of(definition, now.time, operation)
        found = await self._database.read(_tables.find, row.id)
        if found is not None:
            row = with_message_of(row, found, cast("SendMessage", definition.job).message)
        await self._database.write(_firing.put, row, definition.trigger, now)
        self._wake.set()

    async def pause(self, id: str, operation: str) -> bool:
        """See ``SchedulerManager.pause``; raises ScheduleNotFoundError, and so do the others."""
        return await self._changed(id, operation, _firing.pause)

    async def resume(self, id: str, operation: str) -> bool:
        """See ``SchedulerManager.resume``."""
        now = self._now()
        return await self._changed(id, operation, lambda row: _firing.resume(row, now))

    async def trigger(self, id: str, operation: str) -> bool:
        """See ``SchedulerManager.trigger``."""
        found = await self._database.write(_firing.trigger, id, self._now())
        if found is None:
            raise ScheduleNotFoundError(id, operation=operation)
        began, happened = found
        self._tell(happened)
        self._wake.set()
        return began

    async def reschedule(self, id: str, trigger: Trigger, jitter: float, operation: str) -> None:
        """See ``SchedulerManager.reschedule``; the trigger is by the wall clock."""
        now = self._now()
        await self._changed(
            id, operation, lambda row: (_firing.set_anew(row._replace(jitter=jitter), trigger, now), None)
        )

    async def cancel(self, id: str) -> bool:
        """See ``SchedulerManager.cancel``."""
        try:
            return await self._changed(id, "", _firing.remove)
        except ScheduleNotFoundError:
            return False

    async def list(self) -> _Infos:
        """Return all of them, in the order of adding."""
        rows, running = await self._database.read(_tables.all_rows)
        return [info_of(row, running[row.id]) for row in rows]

    async def info(self, id: str) -> ScheduleInfo | None:
        """Return one of them, or None."""
        found = await self._database.read(_tables.one_row, id)
        return None if found is None else info_of(*found)

    async def next_due_times(self, id: str, n: int, operation: str) -> tuple[Trigger, _Times]:
        """Return its trigger, and the next ``n`` due times in Unix seconds."""
        row = await self._database.read(_tables.find, id)
        if row is None:
            raise ScheduleNotFoundError(id, operation=operation)
        trigger, due = trigger_of(row), None if row.paused else row.next_due
        times: _Times = []
        while due is not None and len(times) < n:
            times.append(due)
            due = trigger.next_after(due)
        return trigger, times

    async def _changed(self, id: str, operation: str, how: Callable[[Row], tuple[Row | None, Missed | None]]) -> bool:
        change = await self._database.write(_firing.change, id, how)
        if change is None:
            raise ScheduleNotFoundError(id, operation=operation)
        if change.missed is not None:
            self._tell(Happened([], [(id, change.missed)]))
        self._wake.set()
        return change.made

    # --- the work --------------------------------------------------------------------------------

    async def work(self) -> None:
        """Hold the lease and fire, in the manager's process and until that is cancelled."""
        while True:
            if self._node.running:  # one that stops begins nothing
                await self._try(self._look())
            await asyncio.sleep(_SHORTEST_PAUSE)
            timer = asyncio.get_running_loop().call_later(POLL, self._wake.set)
            try:
                await self._wake.wait()
            finally:
                timer.cancel()
            self._wake.clear()

    async def _try(self, look: Coroutine[object, object, None]) -> None:
        """Look, and tell once when that begins to fail."""
        try:
            await look
        except LeaseLostError:
            self._next_hold = 0.0
        except Exception as error:  # noqa: BLE001 - whatever a database raises, no due time is to be forgotten
            expected = isinstance(error, StoreError)
            if not self._failing or not expected:
                _log.error(
                    "the persistent schedules cannot be looked at, and are again in %g s: %s", POLL, error,
                    exc_info=not expected,
                )  # fmt: skip
            self._failing = True
        else:
            self._failing = False

    async def _look(self) -> None:
        """Note what has ended; take or keep the lease; and if it is ours, fire of what is due."""
        await self._note_ends()
        monotonic = self._node.monotonic()
        if monotonic >= self._next_hold:
            held = await self._lease.hold()
            self._next_hold = monotonic + (self._lease.seconds / _BEATS_PER_LEASE if held else POLL)
            if held:
                await self._beat()
        if not self._lease.held:
            return
        # One batch each time: a lease must be kept however many there are, and other writers have their turn.
        rows, later = await self._database.read(_tables.ready, self._wall.time(), _BATCH, list(self._aside))
        able = [row.id for row in rows if not self._put_aside(row)]
        if able:
            self._tell(await self._lease.write(_firing.fire, able, self._now()))
        if rows:
            self._wake.set()
        else:
            self._set_timer(later)

    async def _beat(self) -> None:
        """Do what is done now and then."""
        self._aside.clear()
        now = self._now()
        early = await self._database.read(_tables.counted_after, now.time + CORRECTION)
        if early:
            await self._lease.write(_firing.count_anew, early, now)
        await self._database.write(_tables.forget, now.time - _KEEP)
        # A node notes an end when it can; what is still not noted at the next beat will never be.
        missing = await self._database.read(_tables.ended)
        if lost := missing & self._missing:
            await self._database.write(_tables.note_ends, [End(id, "unknown", _LOST) for id in lost])
        self._missing = missing

    def _put_aside(self, row: Row) -> bool:
        problem = problem_of(row)
        if problem is None:
            self._told.pop(row.id, None)
            return False
        self._aside[row.id] = problem
        if self._told.get(row.id) != problem:
            self._told[row.id] = problem
            _log.error("schedule %r is due, and this program cannot run it; it is kept: %s", row.id, problem)
        return True

    def _set_timer(self, when: float | None) -> None:
        old = self._next
        if old is not None and old.item is not None and old.when == when:
            return
        # In this order: the wall clock is watched while there is something in the table.
        self._next = None if when is None else self._timetable.add(when, "the next schedule")
        if old is not None:
            self._timetable.remove(old)

    def _now(self) -> Now:
        return Now(self._wall.time(), self._node.random)

    # --- ends, and telling -----------------------------------------------------------------------

    def _ended(self, message: OutboxMessage, delivery: Delivery) -> None:
        run = run_of(message)
        if run is not None:
            outcome, reason = str(delivery.outcome), delivery.reason_text or None
            # A receiver may say anything, and an end that no database can keep would be in the way of all others.
            kept = None if reason is None else storable(reason, _ERROR_LIMIT)
            self._ends[message.id] = End(message.id, outcome, kept)
            tell_stopped(self._node, *run, delivery.elapsed, outcome, reason)
            self._wake.set()

    async def _note_ends(self) -> None:
        ends = list(self._ends.values())
        if ends:
            await self._database.write(_tables.note_ends, ends)
            for end in ends:
                del self._ends[end.message]

    def _tell(self, happened: Happened) -> None:
        for id, due in happened.started:
            tell_started(self._node, id, due)
        for id, missed in happened.missed:
            tell_missed(self._node, id, missed.reason, missed.due, last=missed.last, count=missed.count)
        if happened.started:
            self._delivery.outbox.wake()
