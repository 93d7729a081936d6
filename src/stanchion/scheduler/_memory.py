# SPDX-License-Identifier: MIT
"""The schedules that are in memory alone: each belongs to a process or to the node, and goes with it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from stanchion.errors import ScheduleIdTakenError
from stanchion.kernel import Node, Owned, Possession, Process, Site, disown, own, place_of
from stanchion.scheduler._definition import Definition
from stanchion.scheduler._misfire import take
from stanchion.scheduler._runs import End, Run, Runs
from stanchion.scheduler._schedule import ScheduleInfo
from stanchion.scheduler._telling import tell_missed
from stanchion.scheduler._timetable import Place, Timetable
from stanchion.scheduler._wall_clock import CORRECTION

if TYPE_CHECKING:
    from stanchion.scheduler._triggers import Trigger
    from stanchion.scheduler._wall_clock import WallClock

_OWNER_GONE: Final = "its owner exited"


class Entry(Owned):
    """One schedule; only ``MemorySchedules`` changes it.

    Attributes:
        definition: What it was asked to do.
        owner: The process with which it goes; None for the node.
        paused: Whether it is paused.
    """

    __slots__ = (
        "_made",
        "_schedules",
        "_site",
        "ahead",
        "definition",
        "gone",
        "last",
        "last_end",
        "last_run",
        "missed",
        "next",
        "owner",
        "paused",
        "place",
        "running",
        "runs",
        "shift",
        "waiting",
    )

    def __init__(self, schedules: MemorySchedules, definition: Definition, owner: Process | None, site: Site) -> None:
        self._schedules = schedules
        self._made = schedules.node.monotonic()
        self._site = site
        self.definition = definition
        self.owner = owner
        self.paused = False
        # By how much the wall clock was ahead of the monotonic one when it was paused.
        self.ahead = 0.0
        # Whether it is no longer in the table; a run may be under way all the same.
        self.gone = False
        # The latest due time that was taken, and the one after it, by the trigger's clock.
        self.last = 0.0
        self.next: float | None = None
        # Set while the timetable has it: when it is not paused and has a due time. And the jitter of that.
        self.place: Place[Entry] | None = None
        self.shift = 0.0
        # Those under way, the oldest first; and the due time that is run when one of them ends, in Unix seconds.
        self.running: dict[Run, None] = {}
        self.waiting: float | None = None
        self.runs = 0
        self.missed = 0
        self.last_run: float | None = None
        self.last_end: End | None = None

    def release(self) -> None:
        """Its owner exits: it goes, and what it has under way is cancelled."""
        self._schedules.remove(self, _OWNER_GONE)

    def held(self) -> Iterable[Possession]:
        """See ``Owned.held``."""
        trigger, job = self.definition.trigger, self.definition.job
        age = self._schedules.node.monotonic() - self._made
        return [Possession("schedule", f"{self.definition.id!r}: {trigger}, {job!r}", place_of(self._site), age)]

    def __repr__(self) -> str:
        return f"<schedule {self.definition.id!r}: {self.definition.trigger}>"


class MemorySchedules(Owned):
    """The schedules of one scheduler that are in memory alone.

    It belongs to the scheduler's process, and shows an audit those that belong to the node.

    Args:
        node: The node.
        wall: Its wall clock.
        runs: Where their runs are under way.
    """

    def __init__(self, node: Node, wall: WallClock, runs: Runs) -> None:
        self.node: Final = node
        self._runs: Final = runs
        self._entries: Final[dict[str, Entry]] = {}
        # From when the scheduler's process ends; then none is added any more.
        self.closed = False
        self._by_monotonic: Final = Timetable(node, node.monotonic, self._due)
        self._by_wall: Final = wall.timetable(self._due, self._anew)

    def add(self, definition: Definition, owner: Process | None, site: Site) -> None:
        """Add a schedule.

        Raises:
            ScheduleIdTakenError: one has its id.
        """
        if definition.id in self._entries:
            raise ScheduleIdTakenError(definition.id, holder=repr(self._entries[definition.id]))
        entry = self._entries[definition.id] = Entry(self, definition, owner, site)
        if owner is not None:
            own(owner, entry)
        self._count_anew(entry)

    def find(self, id: str) -> Entry | None:
        """Return the schedule with an id, or None."""
        return self._entries.get(id)

    def infos(self) -> Iterable[ScheduleInfo]:
        """Return all of them, in the order of adding."""
        return map(self.info, self._entries.values())

    def info(self, entry: Entry) -> ScheduleInfo:
        """Return what there is to know of a schedule."""
        definition, end = entry.definition, entry.last_end
        due = None if entry.paused or entry.next is None else self._unix(definition.trigger, entry.next)
        return ScheduleInfo(
            id=definition.id,
            trigger=str(definition.trigger),
            job=repr(definition.job),
            next_run=due,
            paused=entry.paused,
            persistent=False,
            owner=None if entry.owner is None else entry.owner.pid,
            runs=entry.runs,
            missed=entry.missed,
            running=len(entry.running),
            last_run=entry.last_run,
            last_outcome=None if end is None else end.outcome,
            last_error=None if end is None else end.error,
        )

    def next_due_times(self, entry: Entry, n: int) -> list[float]:
        """Return the next ``n`` due times, in Unix seconds; none of a schedule that is paused."""
        trigger = entry.definition.trigger
        due = None if entry.paused else entry.next
        times: list[float] = []
        while due is not None and len(times) < n:
            times.append(self._unix(trigger, due))
            due = trigger.next_after(due)
        return times

    # --- changes ---------------------------------------------------------------------------------

    def pause(self, entry: Entry) -> bool:
        """Pause a schedule; return False when it was."""
        if entry.paused:
            return False
        entry.paused = True
        entry.ahead = self._ahead()
        self._take_out(entry)
        self._drop_waiting(entry, "paused")
        return True

    def resume(self, entry: Entry) -> bool:
        """End a pause; return False when there was none."""
        if not entry.paused:
            return False
        entry.paused = False
        trigger, passed = entry.definition.trigger, entry.next
        now = self._now(trigger)
        # A clock that was set back a little must not repeat a due time; see WallClock.
        set_back = max(entry.last - now, entry.ahead - self._ahead())
        entry.last = now if set_back > CORRECTION else max(now, entry.last)
        entry.next = trigger.next_after(entry.last)
        if entry.next is None and passed is not None:
            self._miss(entry, "paused", self._unix(trigger, passed))
        self._put_in(entry)
        self._end_if_over(entry)
        return True

    def reschedule(self, entry: Entry, trigger: Trigger, jitter: float) -> None:
        """Give a schedule other due times."""
        self._take_out(entry)
        entry.definition = entry.definition._replace(trigger=trigger, jitter=jitter)
        self._count_anew(entry)

    def trigger(self, entry: Entry) -> bool:
        """Run a schedule now; return whether that began."""
        return self._run(entry, self.node.clock.time())

    def remove(self, entry: Entry, why: str | None = None) -> None:
        """Take a schedule away; with a reason, cancel what it has under way, too."""
        if entry.gone:
            return
        entry.gone = True
        del self._entries[entry.definition.id]
        self._take_out(entry)
        if entry.owner is not None:
            disown(entry.owner, entry)
        self._drop_waiting(entry, "cancelled")
        if why is not None:
            for run in list(entry.running):
                run.cancel(why)

    # --- for the scheduler's process -------------------------------------------------------------

    def release(self) -> None:
        """The scheduler's process ends, and all schedules with it."""
        self.closed = True
        for entry in list(self._entries.values()):
            self.remove(entry)
        self._by_monotonic.close()

    def held(self) -> Iterable[Possession]:
        """See ``Owned.held``: those that belong to no process."""
        for entry in self._entries.values():
            if entry.owner is None:
                yield from entry.held()

    # --- due times -------------------------------------------------------------------------------

    def _due(self, entry: Entry) -> None:
        """Decide on all due times of a schedule that have come, and begin the runs."""
        entry.place = None
        if not self.node.running or entry.next is None:
            return  # a node that stops has stopped the recipients
        definition = entry.definition
        trigger = definition.trigger
        # With jitter, the whole row is late by what was drawn for its first one. Adding and taking it away may round.
        now = max(self._now(trigger) - entry.shift, entry.next)
        taken = take(trigger, entry.last, now, grace=definition.misfire_grace, coalesce=definition.coalesce)
        entry.last, entry.next = taken.last, taken.next
        self._put_in(entry)
        for missed in taken.missed:
            last = self._unix(trigger, missed.last)
            self._miss(entry, missed.reason, self._unix(trigger, missed.due), last=last, count=missed.count)
        for due in taken.run:
            # Whoever hears of one of them in this step, or is an eager run of it, may have stopped the others.
            if entry.gone or entry.paused:
                self._miss(entry, "cancelled" if entry.gone else "paused", self._unix(trigger, due))
            else:
                self._run(entry, self._unix(trigger, due))
        self._end_if_over(entry)

    def _anew(self) -> None:
        """The wall clock was set back far: count due times by it from what it shows now."""
        for entry in list(self._entries.values()):
            trigger = entry.definition.trigger
            if entry.place is None or not trigger.wall:
                continue
            now = self._now(trigger)
            due = trigger.next_after(now)
            if due is not None and entry.next is not None and due < entry.next:
                self._take_out(entry)
                entry.last, entry.next = now, due
                self._put_in(entry)

    def _run(self, entry: Entry, due: float) -> bool:
        """Begin a run, unless as many as may be are under way; return whether it began."""
        definition = entry.definition
        if definition.max_running is not None and len(entry.running) >= definition.max_running:
            self._overrun(entry, due)
            return False
        run = Run(definition.id, due, self.node.monotonic(), lambda run, end: self._ended(entry, run, end))
        entry.running[run] = None
        entry.runs += 1
        entry.last_run = self.node.clock.time()
        self._runs.begin(run, definition.job)
        return True

    def _overrun(self, entry: Entry, due: float) -> None:
        overrun = entry.definition.overrun
        if overrun == "skip":
            self._miss(entry, "overrun", due)
            return
        self._drop_waiting(entry, "overrun")
        entry.waiting = due
        # One place is all that it needs, and one run that is being cancelled makes it.
        if overrun == "cancel" and all(run.cancelled is None for run in entry.running):
            next(iter(entry.running)).cancel("the next run was due")

    def _ended(self, entry: Entry, run: Run, end: End) -> None:
        del entry.running[run]
        entry.last_end = end
        if not self.node.running:
            self._drop_waiting(entry, "cancelled")
        elif entry.waiting is not None:
            due, entry.waiting = entry.waiting, None
            self._run(entry, due)
        self._end_if_over(entry)

    def _end_if_over(self, entry: Entry) -> None:
        if entry.next is None and not entry.running:
            self.remove(entry)

    def _miss(self, entry: Entry, reason: str, due: float, *, last: float | None = None, count: int = 1) -> None:
        entry.missed += count
        tell_missed(self.node, entry.definition.id, reason, due, last=last, count=count)

    def _drop_waiting(self, entry: Entry, reason: str) -> None:
        if entry.waiting is not None:
            due, entry.waiting = entry.waiting, None
            self._miss(entry, reason, due)

    # --- times -----------------------------------------------------------------------------------

    def _count_anew(self, entry: Entry) -> None:
        trigger = entry.definition.trigger
        entry.last = trigger.counts_from(self._now(trigger))
        entry.next = trigger.next_after(entry.last)
        self._put_in(entry)

    def _put_in(self, entry: Entry) -> None:
        if entry.next is None or entry.paused:
            return
        jitter = entry.definition.jitter
        entry.shift = self.node.random.random() * jitter if jitter else 0.0
        table = self._by_wall if entry.definition.trigger.wall else self._by_monotonic
        entry.place = table.add(entry.next + entry.shift, entry)

    def _take_out(self, entry: Entry) -> None:
        place, entry.place = entry.place, None
        if place is not None:
            (self._by_wall if entry.definition.trigger.wall else self._by_monotonic).remove(place)

    def _now(self, trigger: Trigger) -> float:
        return self.node.clock.time() if trigger.wall else self.node.monotonic()

    def _ahead(self) -> float:
        return self.node.clock.time() - self.node.monotonic()

    def _unix(self, trigger: Trigger, time: float) -> float:
        return time if trigger.wall else self.node.clock.time() - (self.node.monotonic() - time)
