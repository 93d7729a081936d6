# SPDX-License-Identifier: MIT
"""The stream: a function that is run on each item by a task of its own, so many at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Coroutine, Iterable
from typing import Final, Generic, Literal, NamedTuple, TypeVar, cast

from stanchion.kernel import PROCESS, Bucket, Owned, Possession, Ref, current_process, disown, label_of, own, stuck_at
from stanchion.supervisor._child_spec import Shutdown
from stanchion.supervisor._outcomes import TaskExit, TaskOk
from stanchion.supervisor._start_task import start_task
from stanchion.supervisor._stream_items import NoItem, items_of
from stanchion.supervisor._task import Task
from stanchion.supervisor._task_run import kill_task
from stanchion.timeouts import STREAM, Policy

I = TypeVar("I")  # noqa: E741  # an item
T = TypeVar("T")

OnTimeout = Literal["exit", "kill_task"]
"""What the kill of a task of a stream whose time was up comes to: an error of the stream, or the task's outcome."""


class StreamOptions(NamedTuple):
    """The options of ``async_stream``, checked."""

    max_concurrency: int
    ordered: bool
    timeout: float | Policy | None
    on_timeout: OnTimeout
    shutdown: Shutdown
    linked: bool


async def stream(
    operation: str,
    supervisor: Ref,
    function: Callable[[I], Coroutine[object, object, T]],
    items: Iterable[I] | AsyncIterable[I],
    options: StreamOptions,
) -> AsyncGenerator[TaskOk[T] | TaskExit, None]:
    """Yield the outcome of each item; see ``TaskSupervisor.async_stream``."""
    running = _Stream(operation, supervisor, function, items, options)
    try:
        while (outcome := await running.next()) is not None:
            yield outcome
    finally:
        await running.close()


class _Stream(Owned, Generic[I, T]):
    """One stream that is being consumed. It is owned by the consumer's process, and so ends with it."""

    def __init__(
        self,
        operation: str,
        supervisor: Ref,
        function: Callable[[I], Coroutine[object, object, T]],
        items: Iterable[I] | AsyncIterable[I],
        options: StreamOptions,
    ) -> None:
        self.operation: Final = operation
        self._supervisor: Final = supervisor
        self._function: Final = function
        self._options: Final = options
        self._owner: Final = current_process(f"{operation}()") if options.linked else PROCESS.get()
        # Set when there may be something to do: a task ended, or there is an item.
        self._woken: Final = asyncio.Event()
        self._items: Final = items_of(items, self._woken)
        # True from the last item on.
        self._no_more = False
        # How many tasks were started, and how many outcomes were given to the consumer.
        self._started = 0
        self._taken = 0
        # Each started task is in the first, then in the second, until its outcome is taken. By the item's position; the
        # second in the order in which they ended.
        self._running: Final[dict[int, _Run[I, T]]] = {}
        self._ended: Final[dict[int, _Run[I, T]]] = {}
        if self._owner is not None:
            own(self._owner, self)

    async def next(self) -> TaskOk[T] | TaskExit | None:
        """Return the next outcome, or None behind the last one.

        Raises:
            TaskTimeoutError: it is that of a task whose time was up, and these are to be errors.
        """
        while True:
            self._woken.clear()
            await self._start_tasks()
            if not self._ready and (self._running or not self._no_more):
                await self._woken.wait()
            # An outcome that was waited for is given before another task is started, which might crash.
            if self._ready:
                return self._take()
            if self._no_more and not self._running:
                return None

    async def close(self) -> None:
        """Kill the tasks that run, and wait for their ends, but not where the consumer's process itself is exiting."""
        self.release()
        if self._owner is not None:
            disown(self._owner, self)
            if self._owner.exiting is not None:
                return
        if self._running:
            await asyncio.wait([run.task._future for run in self._running.values()])
        await self._items.closed()

    def release(self) -> None:
        """Kill the tasks that run; the kernel calls this when the consumer's process exits."""
        self._items.close()
        for run in self._running.values():
            run.cancel()
            kill_task(run.task)

    def held(self) -> Iterable[Possession]:
        """See ``Owned.held``."""
        return [Possession("stream", f"of {label_of(self._function)}, {len(self._running)} tasks run")]

    def ended(self, run: _Run[I, T]) -> None:
        """Take note that a task ended."""
        self._ended[run.position] = self._running.pop(run.position)
        self._woken.set()

    @property
    def _position(self) -> int | None:
        """Whose turn it is; None when it is that of the first one to end."""
        return self._taken if self._options.ordered else next(iter(self._ended), None)

    @property
    def _ready(self) -> bool:
        return self._position in self._ended

    def _take(self) -> TaskOk[T] | TaskExit:
        run = self._ended.pop(cast("int", self._position))
        self._taken += 1
        if run.timed_out and self._options.on_timeout == "exit":
            raise run.task._too_late(STREAM, self._options.timeout, run.limit or 0.0, killed=run.was_at)
        return run.outcome

    async def _start_tasks(self) -> None:
        """Start tasks while there are places and items."""
        while not self._no_more and self._places_taken() < self._options.max_concurrency:
            item = self._items.next()
            if item is NoItem.NOT_YET:
                return
            if item is NoItem.NO_MORE:
                self._no_more = True
                return
            await self._start(item)

    def _places_taken(self) -> int:
        """Return how many places are taken: by those that run, and by those that have ended and wait to be taken.

        Otherwise all tasks would run ahead of a consumer that is slower than they are. Those that wait for the outcome
        of an earlier one that still runs take none, as nobody can take them.
        """
        return len(self._running) + (len(self._ended) if self._ready else 0)

    async def _start(self, item: I) -> None:
        options, owner = self._options, self._owner
        # One that traps exits is told by the outcomes alone: it would find an Exit for each task in its mailbox.
        linked = options.linked and owner is not None and not owner.trap_exit
        task = await start_task(
            self.operation,
            self._supervisor,
            self._function,
            (item,),
            owner=owner,
            linked=linked,
            tell=False,
            shutdown=options.shutdown,
        )
        run = self._running[self._started] = _Run(self, self._started, item, task, options.timeout)
        self._started += 1
        task._future.add_done_callback(run.down)


class _Run(Generic[I, T]):
    """One task of a stream, and its time."""

    __slots__ = ("_bucket", "_item", "_stream", "limit", "outcome", "position", "task", "timed_out", "was_at")

    # Set when it has ended.
    outcome: TaskOk[T] | TaskExit

    def __init__(
        self, stream: _Stream[I, T], position: int, item: I, task: Task[T], timeout: float | Policy | None
    ) -> None:
        self._stream = stream
        self._item = item
        self.position = position
        self.task = task
        self.limit = task._limit(f"{stream.operation}(timeout)", STREAM, timeout)
        # True from when it was killed because its time was up; False again if it came to a result all the same.
        self.timed_out = False
        # Where in its code it was then.
        self.was_at = ""
        self._bucket: Bucket | None = None
        process = task.pid._process
        if self.limit is not None and process is not None:
            self._bucket = process.node.wheel.add(self.limit, self)

    def expire(self) -> None:
        """Kill the task; the deadline calls this."""
        if not self.task._future.done():  # else it ended by itself, in this very step
            self.timed_out = True
            process = self.task.pid._process
            self.was_at = "" if process is None else stuck_at(process.task)
            kill_task(self.task)

    def down(self, ended: asyncio.Future[TaskOk[T] | TaskExit]) -> None:
        """Pass the outcome on."""
        self.cancel()
        outcome = ended.result()
        if isinstance(outcome, TaskExit):
            self.outcome = TaskExit("timeout" if self.timed_out else outcome.reason, self._item)
        else:
            self.outcome = outcome
            self.timed_out = False
        self._stream.ended(self)

    def cancel(self) -> None:
        """End the task's time."""
        if self._bucket is not None:
            self._bucket.pop(self, None)
