# SPDX-License-Identifier: MIT
"""The scheduler: the service of a node that has something done at its time.

It is one piece since each verb is a few lines; two thirds of the file are their docstrings. The schedules that are in
memory alone are in ``_memory.py``, those that are kept in the database in ``_persistent.py``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypeAlias

from stanchion._validate import Seconds, cut, instance, seconds_or_none, whole_number
from stanchion.errors import InvalidOptionError, ScheduleIdTakenError, ScheduleNotFoundError, SchedulerClosedError
from stanchion.kernel import PROCESS, Node, Site, caller, current_process
from stanchion.scheduler._definition import Definition, Overrun, checked_jitter, checked_trigger, defined
from stanchion.scheduler._jobs import Job, SendMessage
from stanchion.scheduler._memory import Entry, MemorySchedules
from stanchion.scheduler._misfire import Coalesce
from stanchion.scheduler._schedule import Schedule, ScheduleInfo
from stanchion.scheduler._session import Session
from stanchion.scheduler._triggers import END, After, At, Cron, Every, Trigger
from stanchion.scheduler._zones import named, read_zone

if TYPE_CHECKING:
    from stanchion.scheduler._persistent import PersistentSchedules

_Infos: TypeAlias = list[ScheduleInfo]  # the class below has a method called list
_Times: TypeAlias = list[datetime]


class SchedulerManager:
    """Has a message sent, or a function run, at a time, after a while, at intervals, or by the calendar.

    A service of a node: ``Node(services=[st.SchedulerManager()])``, and then ``node.scheduler``. Its verbs may be called
    in processes and outside of them. Where ``send_after`` sends a plain message once and takes no note of what became
    of it, this sends supervised, with retries and dead letters, tells of each run, and can be paused.

    A schedule belongs to the process that adds it, and is gone with it; what it has under way then is cancelled. One
    that code outside of processes adds belongs to the node. With ``persistent=True`` it is kept in the node's database,
    and outlives both.

    Times come from the node's clock. ``after``, and ``every`` without ``align``, go by its monotonic clock, which nobody
    sets; ``at``, ``cron`` and ``every`` with ``align`` by its wall clock, which is looked at every ``clock_check``
    seconds. When that was set, or the machine was asleep, the event ``CLOCK_JUMPED`` tells it, and what became due by
    it runs. Set back by up to three hours, nothing is repeated: the next due time is after the last one. Set back
    farther, the schedules begin anew from the time that it shows.

    Several due times may pass together, while the loop was blocked or the machine asleep. Those later than
    ``misfire_grace`` are missed; of the others ``coalesce`` says which are run. Each due time that is not run is counted
    in ``ScheduleInfo.missed`` and told by ``SCHEDULE_MISSED``.

    Args:
        clock_check: Seconds from one look at the wall clock to the next; None for none but when something is due.

    Raises:
        InvalidOptionError: an argument is wrong.

    Example:
        >>> import asyncio
        >>> import stanchion as st
        >>> from stanchion.scheduler import SendMessage
        >>> class Report(st.GenServer):
        ...     async def init(self):
        ...         self.lines = []
        ...     async def handle_cast(self, message):
        ...         self.lines.append(message)
        ...     async def handle_call(self, request, sender):
        ...         return self.lines
        >>> async def main():
        ...     async with st.Node(services=[st.SchedulerManager()]) as node:
        ...         await st.start(Report, name="report")
        ...         await node.scheduler.every(0.01, SendMessage("report", "tick"))
        ...         await asyncio.sleep(0.1)
        ...         return (await st.call("report", "lines"))[:2]
        >>> asyncio.run(main())
        ['tick', 'tick']

    Source: none in OTP, whose timer and cron-like libraries do not say what became of a run; the words are those of
    Quantum and of APScheduler.
    """

    def __init__(self, *, clock_check: Seconds | None = 10.0) -> None:
        self._clock_check: Final = seconds_or_none("SchedulerManager(clock_check)", clock_check)
        if self._clock_check == 0:
            raise InvalidOptionError(
                "SchedulerManager(clock_check)", expected="seconds > 0", got="0", fix="pass None for no looks."
            )
        # Set while it is open.
        self._session: Session | None = None

    async def open(self, node: Node) -> None:
        """Begin: a process of the node does the work.

        Raises:
            InvalidOptionError: it is open, in this node or in another.
            StoreError: the node's database cannot be opened; the subclass says why.
        """
        if self._session is not None:
            raise InvalidOptionError(
                "SchedulerManager.open()",
                expected="a closed scheduler",
                got=f"an open one, of node {self._session.node.name}",
                fix="make one for each node: Node(services=[SchedulerManager()]).",
            )
        self._session = session = Session(node, self._clock_check)
        try:
            await session.begin()
        except BaseException:
            self._session = None
            raise

    async def close(self) -> None:
        """End; the process ended with the others, and what is persistent waits for the next node."""
        session, self._session = self._session, None
        if session is not None:
            await session.end()

    # --- adding ----------------------------------------------------------------------------------

    async def at(
        self,
        when: datetime,
        job: Job,
        *,
        id: str | None = None,
        misfire_grace: Seconds | None = None,
        coalesce: Coalesce = "latest",
        max_running: int | None = 1,
        overrun: Overrun = "skip",
        persistent: bool = False,
    ) -> Schedule:
        """Do something once, at a time of the wall clock.

        Args:
            when: The time, with its zone. One that has passed is due at once.
            job: What to do: ``SendMessage(ref, message)`` or ``StartTask(supervisor, function, *args)``.
            id: What to call the schedule, 1 to 200 characters; None for an id that no other has.
            misfire_grace: Seconds that a run may be late; what is later is missed. None for no limit.
            coalesce: Which of several due times that passed together are run: the ``"latest"``, the ``"earliest"`` or
                ``"all"``, the first thousand of them at most; as many at the same time as ``max_running`` lets.
            max_running: How many of its runs may be under way at the same time; None for no limit.
            overrun: What becomes of a due time when so many are: ``"skip"``, it is missed; ``"wait"``, it is run when one
                of them ends, and the latest one if several wait; ``"cancel"``, the oldest run is cancelled, and this one
                begins when it has ended.
            persistent: Whether to keep it in the node's database: it is there until it is over or cancelled, whoever adds
                it and whatever crashes, and each due time is sent for once, by one of the nodes that have the database.
                It takes an ``id``, and a ``SendMessage`` with a name or a registry's key as its ref and a message that can
                become data. Adding it again as it is changes nothing, so a program can do so at each start; adding it
                with something else changes it to that. One that is over is kept for 30 days: till then the same time is
                not set anew, while a delay, once over, begins again. ``overrun="cancel"`` is refused: what is in the
                outbox is not taken back.

        Returns:
            The schedule; it may be dropped.

        Raises:
            InvalidOptionError: an argument is wrong; or ``persistent`` on a node without a database.
            ScheduleIdTakenError: another schedule has the id.
            MessageEncodeError: the message of a persistent schedule cannot become data.
            SchedulerClosedError: the scheduler is not open.
            NotInProcessError: the running process has ended, and this code outlived it.
            StoreError: a persistent schedule could not be stored.
        """
        return await self._add(
            "at", At(when), job, id, 0.0, misfire_grace, coalesce, max_running, overrun, persistent, caller()
        )

    async def after(
        self,
        delay: Seconds,
        job: Job,
        *,
        id: str | None = None,
        misfire_grace: Seconds | None = None,
        coalesce: Coalesce = "latest",
        max_running: int | None = 1,
        overrun: Overrun = "skip",
        persistent: bool = False,
    ) -> Schedule:
        """Do something once, in a while; see ``at``.

        Args:
            delay: Seconds from now by the monotonic clock; by the wall clock when it is persistent.
            job: As in ``at``, and so are the others.
            id: What to call it.
            misfire_grace: Seconds that it may be late.
            coalesce: Of no use here, since it has one due time.
            max_running: How many of its runs may be under way; ``trigger`` makes others.
            overrun: What becomes of a due time when so many are.
            persistent: Whether to keep it in the node's database.
        """
        return await self._add(
            "after", After(delay), job, id, 0.0, misfire_grace, coalesce, max_running, overrun, persistent, caller()
        )

    async def every(
        self,
        interval: Seconds,
        job: Job,
        *,
        jitter: Seconds = 0.0,
        align: bool = False,
        id: str | None = None,
        misfire_grace: Seconds | None = None,
        coalesce: Coalesce = "latest",
        max_running: int | None = 1,
        overrun: Overrun = "skip",
        persistent: bool = False,
    ) -> Schedule:
        """Do something at intervals, which do not drift: due time n is the beginning plus n times the interval.

        Args:
            interval: Seconds from one due time to the next, more than 0; the first one is so long from now.
            job: As in ``at``, and so are the others.
            jitter: Each run begins up to so many seconds after its due time, drawn anew each time; the due times stay.
            align: Whether due times are the whole multiples of the interval since 1970, UTC, by the wall clock: with an
                hour, each full hour. Else they count from now, by the monotonic clock; by the wall clock when it is
                persistent.
            id: What to call it.
            misfire_grace: Seconds that a run may be late.
            coalesce: Which of several due times that passed together are run.
            max_running: How many of its runs may be under way.
            overrun: What becomes of a due time when so many are.
            persistent: Whether to keep it in the node's database.
        """
        trigger = Every(interval, align)
        return await self._add(
            "every", trigger, job, id, jitter, misfire_grace, coalesce, max_running, overrun, persistent, caller()
        )

    async def cron(
        self,
        line: str,
        job: Job,
        *,
        tz: str = "UTC",
        jitter: Seconds = 0.0,
        id: str | None = None,
        misfire_grace: Seconds | None = None,
        coalesce: Coalesce = "latest",
        max_running: int | None = 1,
        overrun: Overrun = "skip",
        persistent: bool = False,
    ) -> Schedule:
        """Do something by the calendar.

        Args:
            line: A cron line: minute, hour, day of month, month and day of week, ``"0 3 * * mon"`` say; six fields begin
                with the second. ``"@hourly"``, ``"@daily"``, ``"@midnight"``, ``"@weekly"``, ``"@monthly"``,
                ``"@yearly"`` and ``"@annually"`` stand for lines.
            job: As in ``at``, and so are the others.
            tz: The zone whose wall clock the line speaks of, ``"Europe/Berlin"`` say. Where its clock is set forward, a
                job in the gap runs right after it; where it is set back, one in the hour that comes twice runs once.
            jitter: Each run begins up to so many seconds after its due time, drawn anew each time; the due times stay.
            id: What to call it.
            misfire_grace: Seconds that a run may be late.
            coalesce: Which of several due times that passed together are run.
            max_running: How many of its runs may be under way.
            overrun: What becomes of a due time when so many are.
            persistent: Whether to keep it in the node's database.

        Raises:
            CronError: the line is malformed; the error says where, and what was expected.
        """
        await read_zone("Cron(tz)", tz)
        trigger = Cron(line, tz)
        return await self._add(
            "cron", trigger, job, id, jitter, misfire_grace, coalesce, max_running, overrun, persistent, caller()
        )

    # --- by id -----------------------------------------------------------------------------------

    async def pause(self, id: str) -> bool:
        """Have a schedule do nothing until ``resume``: it has no due times meanwhile. Runs that are under way go on.

        A due time that waited for a run to end is missed.

        Returns:
            False when it was paused before.

        Raises:
            InvalidOptionError: ``id`` is no text.
            ScheduleNotFoundError: no schedule has this id.
            SchedulerClosedError: the scheduler is not open.
            StoreError: the database failed.
        """
        memory, entry = self._find("pause", id)
        return await self._stored("pause", id).pause(id, "pause()") if entry is None else memory.pause(entry)

    async def resume(self, id: str) -> bool:
        """End a pause: the schedule goes on with its first due time from now on.

        One whose only due time passed meanwhile is over; that due time is missed.

        Returns:
            False when it was not paused.

        Raises:
            InvalidOptionError: ``id`` is no text.
            ScheduleNotFoundError: no schedule has this id.
            SchedulerClosedError: the scheduler is not open.
            StoreError: the database failed.
        """
        memory, entry = self._find("resume", id)
        return await self._stored("resume", id).resume(id, "resume()") if entry is None else memory.resume(entry)

    async def trigger(self, id: str) -> bool:
        """Run a schedule once now, also one that is paused; its due times stay as they are.

        Returns:
            Whether the run began; False when ``max_running`` runs are under way, and ``overrun`` says what becomes of it.

        Raises:
            InvalidOptionError: ``id`` is no text.
            ScheduleNotFoundError: no schedule has this id.
            SchedulerClosedError: the scheduler is not open.
            StoreError: the database failed.
        """
        memory, entry = self._find("trigger", id)
        return await self._stored("trigger", id).trigger(id, "trigger()") if entry is None else memory.trigger(entry)

    async def reschedule(self, id: str, trigger: Trigger, *, jitter: Seconds = 0.0) -> None:
        """Give a schedule other due times, from now on. What else it has stays: its counts, a pause, runs under way.

        Args:
            id: Which one.
            trigger: When it is due: ``At(when)``, ``After(delay)``, ``Every(interval)`` or ``Cron(line)``.
            jitter: Each run begins up to so many seconds after its due time.

        Raises:
            InvalidOptionError: an argument is wrong.
            ScheduleNotFoundError: no schedule has this id.
            SchedulerClosedError: the scheduler is not open.
            StoreError: the database failed.
        """
        memory, entry = self._find("reschedule", id)
        subject, clock = "SchedulerManager.reschedule", memory.node.clock
        begun = checked_trigger(f"{subject}(trigger)", trigger).begun(
            clock.monotonic(), clock.time(), persistent=entry is None
        )
        spread = checked_jitter(f"{subject}(jitter)", jitter, begun)
        if entry is None:
            await self._stored("reschedule", id).reschedule(id, begun, spread, "reschedule()")
        else:
            memory.reschedule(entry, begun, spread)

    async def cancel(self, id: str) -> bool:
        """Remove a schedule. Runs that are under way go on to their end; a due time that waited for one is missed.

        Returns:
            False when no schedule has this id.

        Raises:
            InvalidOptionError: ``id`` is no text.
            SchedulerClosedError: the scheduler is not open.
            StoreError: the database failed.
        """
        memory, entry = self._find("cancel", id)
        if entry is not None:
            memory.remove(entry)
            return True
        persistent = self._opened("cancel").persistent
        return persistent is not None and await persistent.cancel(id)

    async def list(self) -> _Infos:
        """Return every schedule, in the order of adding, those that are kept in the database last.

        Raises:
            SchedulerClosedError: the scheduler is not open.
            StoreError: the database failed.
        """
        session = self._opened("list")
        kept = [] if session.persistent is None else await session.persistent.list()
        return [*session.memory.infos(), *kept]

    async def info(self, id: str) -> ScheduleInfo:
        """Return what there is to know of one schedule now.

        Raises:
            InvalidOptionError: ``id`` is no text.
            ScheduleNotFoundError: no schedule has this id.
            SchedulerClosedError: the scheduler is not open.
            StoreError: the database failed.
        """
        memory, entry = self._find("info", id)
        info = await self._stored("info", id).info(id) if entry is None else memory.info(entry)
        if info is None:
            raise ScheduleNotFoundError(id, operation="info()")
        return info

    async def next_run_times(self, id: str, n: int = 1) -> _Times:
        """Return the next ``n`` due times, without jitter, in the zone of the trigger; fewer when there are no more.

        Raises:
            InvalidOptionError: ``n`` is no whole number from 0, or ``id`` no text.
            ScheduleNotFoundError: no schedule has this id.
            SchedulerClosedError: the scheduler is not open.
            StoreError: the database failed.
        """
        whole_number("SchedulerManager.next_run_times(n)", n)
        memory, entry = self._find("next_run_times", id)
        if entry is not None:
            trigger, times = entry.definition.trigger, memory.next_due_times(entry, n)
        else:
            trigger, times = await self._stored("next_run_times", id).next_due_times(id, n, "next_run_times()")
        zone = named(trigger.tz) if isinstance(trigger, Cron) else UTC
        return [datetime.fromtimestamp(time, zone) for time in times if time < END]

    # --- inside ----------------------------------------------------------------------------------

    async def _add(
        self,
        name: str,
        trigger: Trigger,
        job: Job,
        id: str | None,
        jitter: Seconds,
        misfire_grace: Seconds | None,
        coalesce: Coalesce,
        max_running: int | None,
        overrun: Overrun,
        persistent: bool,
        site: Site,
    ) -> Schedule:
        session, operation = self._opened(name), f"SchedulerManager.{name}"
        instance(f"{operation}(persistent)", persistent, bool)
        clock = session.node.clock
        begun = trigger.begun(clock.monotonic(), clock.time(), persistent=persistent)
        definition = defined(
            operation, begun, job, id, session.new_id, jitter, misfire_grace, coalesce, max_running, overrun
        )
        session.runs.check(job)
        if persistent:
            await self._keep(operation, session, definition, given=id)
            return Schedule(self, definition.id)
        if id is not None and session.persistent is not None:
            info = await session.persistent.info(id)
            if info is not None:
                raise ScheduleIdTakenError(id, holder=f"the persistent schedule {info.trigger}")
            session = self._opened(name)
        owner = None if PROCESS.get() is None else current_process(f"{operation}()")
        session.memory.add(definition, owner, site)
        return Schedule(self, definition.id)

    async def _keep(self, operation: str, session: Session, definition: Definition, *, given: str | None) -> None:
        """Add a persistent schedule."""
        if session.persistent is None:
            raise InvalidOptionError(
                f"{operation}(persistent)",
                expected="a node with a database for persistent=True",
                got=f"{session.node!r}, which has none",
                fix="make the node with Node(database='sqlite:///app.db').",
            )
        if given is None:
            raise InvalidOptionError(
                f"{operation}(id)",
                expected="an id for persistent=True",
                got="None",
                fix="name it, id='nightly report' say: adding it again at the next start is to change nothing.",
            )
        if not isinstance(definition.job, SendMessage):
            raise InvalidOptionError(
                f"{operation}(job)",
                expected="a SendMessage for persistent=True",
                got=repr(definition.job),
                fix="send a message to a process that starts the task; functions cannot be stored.",
            )
        entry = session.memory.find(definition.id)
        if entry is not None:
            raise ScheduleIdTakenError(definition.id, holder=repr(entry))
        await session.persistent.add(definition, operation)

    def _opened(self, name: str) -> Session:
        session = self._session
        # It is not begun while its database is being opened.
        if session is None or not session.begun or session.memory.closed:
            raise SchedulerClosedError(f"SchedulerManager.{name}()")
        return session

    def _find(self, name: str, id: str) -> tuple[MemorySchedules, Entry | None]:
        memory = self._opened(name).memory
        if not isinstance(id, str):
            raise InvalidOptionError(
                f"SchedulerManager.{name}(id)",
                expected="the id of a schedule, as text",
                got=cut(id),
                fix=f"write schedule.{name}(), or pass schedule.id." if isinstance(id, Schedule) else None,
            )
        return memory, memory.find(id)

    def _stored(self, name: str, id: str) -> PersistentSchedules:
        """Return where a schedule must be that is not in memory.

        Raises:
            ScheduleNotFoundError: it cannot be there.
        """
        persistent = self._opened(name).persistent
        if persistent is None:
            raise ScheduleNotFoundError(id, operation=f"{name}()")
        return persistent
