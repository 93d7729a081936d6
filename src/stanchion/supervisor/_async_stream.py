# SPDX-License-Identifier: MIT
"""The stream: a function that is run on each item by a task of its own, so many at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Coroutine, Iterable
from enum import Enum
from typing import Final, Generic, Literal, NamedTuple, TypeVar

from stanchion.errors import TaskTimeoutError
from stanchion.kernel import Bucket, Process, Ref, disown, own
from stanchion.server import Policy
from stanchion.supervisor._outcomes import TaskExit, TaskOk
from stanchion.supervisor._start_task import start_task
from stanchion.supervisor._task import Task, kill_task

I = TypeVar("I")  # noqa: E741  # an item
T = TypeVar("T")

OnTimeout = Literal["exit", "kill_task"]
"""What a task of a stream whose time is up does: the stream raises; or it is killed, and that is its result."""


class StreamOptions(NamedTuple):
    """The options of ``async_stream``, checked."""

    max_concurrency: int
    ordered: bool
    timeout: float | Policy | None
    on_timeout: OnTimeout
    shutdown: float | Literal["brutal_kill"] | None
    linked: bool


async def stream(
    operation: str,
    supervisor: Ref,
    function: Callable[[I], Coroutine[object, object, T]],
    items: Iterable[I] | AsyncIterable[I],
    owner: Process | None,
    options: StreamOptions,
) -> AsyncGenerator[TaskOk[T] | TaskExit, None]:
    """Yield the outcome of each item; see ``TaskSupervisor.async_stream``."""
    running = _Stream(operation, supervisor, function, owner, options)
    running.begin(items)
    try:
        while (outcome := await running.next()) is not None:
            yield outcome
    finally:
        await running.close()


class _NoItem(Enum):
    """What a source has instead of an item."""

    NOT_YET = "not yet"
    NO_MORE = "no more"


class _Stream(Generic[I, T]):
    """One stream that is being consumed. It is owned by the consumer's process, and so ends with it."""

    def __init__(
        self,
        operation: str,
        supervisor: Ref,
        function: Callable[[I], Coroutine[object, object, T]],
        owner: Process | None,
        options: StreamOptions,
    ) -> None:
        self._operation: Final = operation
        self._supervisor: Final = supervisor
        self._function: Final = function
        self._owner: Final = owner
        self._options: Final = options
        self._source: _Items[I] | _AsyncItems[I]
        # Set when there may be something to do: a task ended, or the source has an item.
        self.woken: Final = asyncio.Event()
        # True from the last item on.
        self._no_more = False
        # How many tasks were started, and how many outcomes were given to the consumer.
        self._started = 0
        self._taken = 0
        # Each started task is in the first, then in the second, until its outcome is taken. By the item's position; the
        # second in the order in which they ended.
        self._running: Final[dict[int, _Run[I, T]]] = {}
        self._ended: Final[dict[int, TaskOk[T] | TaskExit]] = {}
        # The first one whose time was up, where the consumer is to be told by an error.
        self._late: _Run[I, T] | None = None

    def begin(self, items: Iterable[I] | AsyncIterable[I]) -> None:
        self._source = _AsyncItems(items, self.woken) if isinstance(items, AsyncIterable) else _Items(items)
        if self._owner is not None:
            own(self._owner, self)

    async def next(self) -> TaskOk[T] | TaskExit | None:
        """Return the next outcome, or None behind the last one."""
        while True:
            self.woken.clear()
            await self._start_tasks()
            if self._late is not None:
                fix = "pass a longer timeout=, or on_timeout='kill_task' to have TaskExit('timeout', item) instead."
                raise TaskTimeoutError(repr(self._late.task), timeout=self._late.limit or 0.0, fix=fix)
            position = self._taken if self._options.ordered else next(iter(self._ended), None)
            if position in self._ended:
                self._taken += 1
                return self._ended.pop(position)
            if self._no_more and not self._running:
                return None
            await self.woken.wait()

    async def close(self) -> None:
        """Kill the tasks that run, and wait for their ends, but not where the consumer's process itself is exiting."""
        self.release()
        if self._owner is not None:
            disown(self._owner, self)
            if self._owner.exiting is not None:
                return
        if self._running:
            await asyncio.wait([run.task._future for run in self._running.values()])
        await self._source.closed()

    def release(self) -> None:
        """Kill the tasks that run; the kernel calls this when the consumer's process exits."""
        self._source.close()
        for run in self._running.values():
            run.cancel()
            kill_task(run.task)

    def ended(self, run: _Run[I, T], outcome: TaskOk[T] | TaskExit) -> None:
        """Take the outcome of a task that ended."""
        del self._running[run.position]
        self._ended[run.position] = outcome
        self.woken.set()

    def late(self, run: _Run[I, T]) -> None:
        """Take note that the time of a task was up, and that it was killed."""
        if self._options.on_timeout == "exit" and self._late is None:
            self._late = run
            self.woken.set()

    async def _start_tasks(self) -> None:
        while not self._no_more and len(self._running) < self._options.max_concurrency:
            item = self._source.next()
            if item is _NoItem.NOT_YET:
                return
            if item is _NoItem.NO_MORE:
                self._no_more = True
                return
            await self._start(item)

    async def _start(self, item: I) -> None:
        options, owner = self._options, self._owner
        # One that traps exits is told by the outcomes alone: it would find an Exit for each task in its mailbox.
        linked = options.linked and owner is not None and not owner.trap_exit
        task = await start_task(
            self._operation,
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

    __slots__ = ("_bucket", "_item", "_stream", "_timed_out", "limit", "position", "task")

    def __init__(
        self, stream: _Stream[I, T], position: int, item: I, task: Task[T], timeout: float | Policy | None
    ) -> None:
        self._stream = stream
        self._item = item
        self._timed_out = False
        self.position = position
        self.task = task
        self.limit = task._call_timeout if isinstance(timeout, Policy) else timeout
        self._bucket: Bucket | None = None
        process = task.pid._process
        if self.limit is not None and process is not None:
            self._bucket = process.node.deadlines.add(self.limit, self)

    def expire(self) -> None:
        """Kill the task; the deadline calls this."""
        self._timed_out = True
        kill_task(self.task)
        self._stream.late(self)

    def down(self, ended: asyncio.Future[TaskOk[T] | TaskExit]) -> None:
        """Pass the outcome on."""
        self.cancel()
        outcome = ended.result()
        if isinstance(outcome, TaskExit):
            outcome = TaskExit("timeout" if self._timed_out else outcome.reason, self._item)
        self._stream.ended(self, outcome)

    def cancel(self) -> None:
        """End the task's time."""
        if self._bucket is not None:
            self._bucket.pop(self, None)


class _Items(Generic[I]):
    """A source that has its items at once."""

    __slots__ = ("_iterator",)

    def __init__(self, items: Iterable[I]) -> None:
        self._iterator = iter(items)

    def next(self) -> I | _NoItem:
        """Return the next item, or what there is instead."""
        return next(self._iterator, _NoItem.NO_MORE)

    def close(self) -> None:
        """Give no more items."""

    async def closed(self) -> None:
        """Wait until nothing is left of it."""


class _AsyncItems(Generic[I]):
    """A source whose items take time: a task of its own waits for each, and begins when it is asked for."""

    __slots__ = ("_error", "_feeder", "_item", "_wanted", "_woken")

    def __init__(self, items: AsyncIterable[I], woken: asyncio.Event) -> None:
        self._woken = woken
        self._wanted = asyncio.Event()
        # What has come and was not taken yet.
        self._item: I | _NoItem = _NoItem.NOT_YET
        self._error: BaseException | None = None
        # One task for all of them, so that each step of an async generator runs in the same one.
        self._feeder = asyncio.create_task(self._feed(aiter(items)), name=f"items of a stream: {type(items).__name__}")

    def next(self) -> I | _NoItem:
        """See ``_Items.next``.

        Raises:
            BaseException: what the items raised.
        """
        if self._error is not None:
            raise self._error
        item = self._item
        if item is not _NoItem.NO_MORE:
            self._item = _NoItem.NOT_YET
        if item is _NoItem.NOT_YET:
            self._wanted.set()
        return item

    def close(self) -> None:
        """See ``_Items.close``."""
        self._feeder.cancel()

    async def closed(self) -> None:
        """See ``_Items.closed``."""
        await asyncio.wait([self._feeder])

    async def _feed(self, iterator: AsyncIterator[I]) -> None:
        try:
            while self._item is not _NoItem.NO_MORE and self._error is None:
                await self._wanted.wait()
                try:
                    self._item = await anext(iterator)
                except StopAsyncIteration:
                    self._item = _NoItem.NO_MORE
                except Exception as error:
                    self._error = error
                # Now, and not before the wait: what was asked for meanwhile is what has come.
                self._wanted.clear()
                self._woken.set()
        finally:
            # A generator that nobody else holds is closed now, and not when the collector finds this task's cycle.
            del iterator
