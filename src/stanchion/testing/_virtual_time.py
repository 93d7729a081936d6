# SPDX-License-Identifier: MIT
"""Virtual time: an event loop whose clock jumps to the next timer when everybody waits."""

from __future__ import annotations

import asyncio
import math
import selectors
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Final, TypeVar, cast

from stanchion.kernel import TimerHandle

_T = TypeVar("_T")

_START: Final = 1_000.0
_WALL_START: Final = 1_800_000_000.0
# Real seconds.
_PATIENCE: Final = 2.0


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop on which waiting takes no time.

    When nothing is ready to run, the clock jumps to the next timer, so that a test of a ten-minute timeout runs at
    once, and in the same order each time. Real input and jobs in the loop's executor still take their real time, and
    the clock stands while a job runs. Threads that the loop does not know of are not waited for.

    Example:
        >>> import asyncio
        >>> async def main():
        ...     loop = asyncio.get_running_loop()
        ...     before = loop.time()
        ...     await asyncio.sleep(600)
        ...     return loop.time() - before
        >>> with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        ...     runner.run(main())
        600.0
    """

    # asyncio's own; the least difference of two times that counts.
    _clock_resolution: float

    def __init__(self) -> None:
        self._now = _START
        self._jobs = 0
        # Who waits until nobody can go on, and how many turns of the loop they still wait for that.
        self._quiet: dict[asyncio.Future[bool], int] = {}
        # Called when everybody waits, and for nothing that could still come; whoever sets it has somebody go on then.
        self.on_stuck: Callable[[], object] | None = None
        super().__init__(cast("selectors.BaseSelector", _JumpingSelector(self)))

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self._now

    def run_in_executor(self, executor: Executor | None, func: Callable[..., _T], *args: object) -> asyncio.Future[_T]:
        """Run a job in the executor; the clock stands until it is done."""
        future = super().run_in_executor(executor, func, *args)
        self._jobs += 1
        future.add_done_callback(lambda _: self._job_done())
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Wait for the executor's threads; the clock stands meanwhile, so they have all the time that they need."""
        self._jobs += 1
        try:
            await super().shutdown_default_executor()
        finally:
            self._jobs -= 1

    def _job_done(self) -> None:
        self._jobs -= 1

    def quiet(self, turns: int) -> asyncio.Future[bool]:
        """Return a future that becomes true when nobody can go on unless time passes or something comes from outside.

        Args:
            turns: How many turns of the loop to wait for that; after them it becomes false.
        """
        future: asyncio.Future[bool] = self.create_future()
        self._quiet[future] = turns
        return future

    def turned(self) -> None:
        """Take note of a turn in which somebody was ready; the selector calls this."""
        for future in list(self._quiet):
            self._quiet[future] -= 1
            if self._quiet[future] <= 0:
                self._settle(future, False)

    def all_wait(self) -> bool:
        """Tell those who wait for it that nobody can go on; return whether there were any. The selector calls this."""
        waiting = list(self._quiet)
        for future in waiting:
            self._settle(future, True)
        return bool(waiting)

    def _settle(self, future: asyncio.Future[bool], result: bool) -> None:
        del self._quiet[future]
        if not future.done():
            future.set_result(result)

    def jump(self, seconds: float) -> None:
        """Move the clock forward; the selector calls this when nothing is ready."""
        self._now += seconds
        # asyncio runs the timers before now plus this, which after half a year is now itself: none would ever be ready.
        self._clock_resolution = max(self._clock_resolution, math.ulp(self._now))

    @property
    def busy(self) -> bool:
        """Whether a job runs in an executor."""
        return self._jobs > 0


class _JumpingSelector:
    """A selector that jumps where another one would wait."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        self._loop = loop
        self._selector = selectors.DefaultSelector()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._selector.select(0)
        if ready or timeout == 0:
            self._loop.turned()
            return ready
        if self._loop.busy:
            return self._selector.select(timeout)
        if self._loop.all_wait():
            return ready
        if timeout is None:
            return self._wait_for_input()
        self._loop.jump(timeout)
        return []

    def _wait_for_input(self) -> list[tuple[selectors.SelectorKey, int]]:
        # Beside the pipe by which threads wake the loop, a file may bring something at any time. A thread may, too, but
        # those of a test runner stay for ever, so it is given a while.
        files = len(self._selector.get_map()) > 1
        if files or self._loop.on_stuck is None:
            return self._selector.select(None)
        ready = self._selector.select(0 if threading.active_count() == 1 else _PATIENCE)
        if not ready:
            self._loop.on_stuck()
        return ready

    def __getattr__(self, name: str) -> object:
        return getattr(self._selector, name)


class VirtualClock:
    """A ``Clock`` that shows the time of the running ``VirtualTimeLoop``: pass it as ``Node(clock=VirtualClock())``.

    Its wall clock starts on a fixed day and moves with the loop's time.
    """

    def monotonic(self) -> float:
        """See ``Clock.monotonic``."""
        return asyncio.get_running_loop().time()

    def time(self) -> float:
        """See ``Clock.time``."""
        return _WALL_START + asyncio.get_running_loop().time() - _START

    def call_at(self, when: float, callback: Callable[[], object]) -> TimerHandle:
        """See ``Clock.call_at``."""
        return asyncio.get_running_loop().call_at(when, callback)
