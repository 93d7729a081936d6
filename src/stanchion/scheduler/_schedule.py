# SPDX-License-Identifier: MIT
"""A schedule as people see it: what became of it so far, and the handle of whoever added it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from stanchion._validate import Seconds
from stanchion.kernel import Pid

if TYPE_CHECKING:
    from datetime import datetime

    from stanchion.scheduler._scheduler import SchedulerManager
    from stanchion.scheduler._triggers import Trigger


class ScheduleInfo(NamedTuple):
    """A schedule as it is at one moment; what ``SchedulerManager.list`` returns.

    Times are Unix seconds.

    Attributes:
        id: What it is called.
        trigger: When it is due, as text.
        job: What it does then, as text.
        next_run: The next due time, without jitter; None when it is paused, or has none.
        paused: Whether it is paused.
        persistent: Whether it is kept in the database.
        owner: The process with which it ends; None when that is the node, or when it is persistent.
        runs: How many of its runs began.
        missed: How many of its due times were not run; see ``SCHEDULE_MISSED``.
        running: How many of its runs are under way.
        last_run: When the latest run began; None before the first one.
        last_outcome: How the latest run that ended did: ``"confirmed"`` (a function returned), ``"rejected"`` or
            ``"unknown"`` as a supervised send says, ``"failed"`` of a function, or ``"cancelled"``; None before that.
        last_error: Why, for people; None when it was confirmed.
    """

    id: str
    trigger: str
    job: str
    next_run: float | None
    paused: bool
    persistent: bool
    owner: Pid | None
    runs: int
    missed: int
    running: int
    last_run: float | None
    last_outcome: str | None
    last_error: str | None


class Schedule:
    """One schedule, for whoever added it; each method is the one of the manager with this id.

    It may be dropped: the schedule is the owner's, not the handle's.

    Attributes:
        id: What the schedule is called.
    """

    __slots__ = ("_manager", "id")

    def __init__(self, manager: SchedulerManager, id: str) -> None:
        self._manager = manager
        self.id = id

    async def info(self) -> ScheduleInfo:
        """See ``SchedulerManager.info``."""
        return await self._manager.info(self.id)

    async def next_run_times(self, n: int = 1) -> list[datetime]:
        """See ``SchedulerManager.next_run_times``."""
        return await self._manager.next_run_times(self.id, n)

    async def pause(self) -> bool:
        """See ``SchedulerManager.pause``."""
        return await self._manager.pause(self.id)

    async def resume(self) -> bool:
        """See ``SchedulerManager.resume``."""
        return await self._manager.resume(self.id)

    async def trigger(self) -> bool:
        """See ``SchedulerManager.trigger``."""
        return await self._manager.trigger(self.id)

    async def reschedule(self, trigger: Trigger, *, jitter: Seconds = 0.0) -> None:
        """See ``SchedulerManager.reschedule``."""
        await self._manager.reschedule(self.id, trigger, jitter=jitter)

    async def cancel(self) -> bool:
        """See ``SchedulerManager.cancel``."""
        return await self._manager.cancel(self.id)

    def __repr__(self) -> str:
        return f"<schedule {self.id!r}>"
