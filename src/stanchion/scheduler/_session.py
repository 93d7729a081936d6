# SPDX-License-Identifier: MIT
"""A scheduler while it is open: its process, its clock, its schedules and what they have under way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stanchion._ids import TimeIds
from stanchion.delivery import OutboxDelivery
from stanchion.kernel import Node, Process, own, run_process
from stanchion.scheduler._memory import MemorySchedules
from stanchion.scheduler._runs import Runs
from stanchion.scheduler._wall_clock import WallClock

if TYPE_CHECKING:
    from stanchion.scheduler._persistent import PersistentSchedules


class Session:
    """One node's use of a scheduler.

    Attributes:
        node: The node.
        begun: Whether its process was started.
        runs: What is under way.
        memory: The schedules that are in memory alone; closed from when the scheduler's process ends.
        persistent: Those that are kept in the node's database; None on a node without.
    """

    # Set by begin().
    runs: Runs
    memory: MemorySchedules

    def __init__(self, node: Node, clock_check: float | None) -> None:
        self.node: Final = node
        self.begun = False
        self.persistent: PersistentSchedules | None = None
        self._wall: Final = WallClock(node, clock_check)
        self._ids: Final = TimeIds()

    async def begin(self) -> None:
        """Start the process, which ends with the node's others."""
        delivery = self.node.service(OutboxDelivery)
        if delivery is not None:
            from stanchion.scheduler._persistent import PersistentSchedules  # heavy; only who has a database pays

            persistent = PersistentSchedules(self.node, delivery, self._wall)
            await persistent.open()
            self.persistent = persistent
        process = run_process(self.node, self._run, code="SchedulerManager")
        self.runs = Runs(self.node, process)
        self.memory = MemorySchedules(self.node, self._wall, self.runs)
        own(process, self.memory)
        self.begun = True

    async def end(self) -> None:
        """Leave what is persistent to the next node; the process has ended."""
        if self.persistent is not None:
            await self.persistent.close()

    def new_id(self) -> str:
        """Return an id that no other schedule has."""
        return self._ids.next(self.node.clock.time())

    async def _run(self, process: Process) -> None:
        try:
            if self.persistent is None:
                await self.node.loop.create_future()  # what is due comes by timers; the process has what they begin
            else:
                await self.persistent.work()
        finally:
            self.memory.release()
            self._wall.close()
            await self.runs.stop("the scheduler stopped")
