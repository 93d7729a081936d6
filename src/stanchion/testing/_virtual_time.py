# SPDX-License-Identifier: MIT
"""Virtual time: an event loop whose clock jumps to the next timer when everybody waits."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Final, TypeVar, cast

from stanchion.kernel import TimerHandle

_T = TypeVar("_T")

_START: Final = 1_000.0
_WALL_START: Final = 1_800_000_000.0


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

    def __init__(self) -> None:
        self._now = _START
        self._jobs = 0
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

    def _job_done(self) -> None:
        self._jobs -= 1

    def jump(self, seconds: float) -> None:
        """Move the clock forward; the selector calls this when nothing is ready."""
        self._now += seconds

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
            return ready
        if timeout is None or self._loop.busy:
            return self._selector.select(timeout)
        self._loop.jump(timeout)
        return []

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
