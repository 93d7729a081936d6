# SPDX-License-Identifier: MIT
"""Many writers, one commit: what comes while a commit is under way goes together into the next."""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import chain
from typing import Final, Generic, NamedTuple, TypeVar

from stanchion.errors import StoreError, StoreFullError, StoreRejectedError, StoreUncertainError

_W = TypeVar("_W")
_R = TypeVar("_R")

BATCH_LIMIT: Final = 1000
"""Writes in one commit, at most: it bounds how long a commit takes."""


class _Waiting(NamedTuple, Generic[_W, _R]):
    write: _W
    verb: str
    answer: asyncio.Future[_R]


class GroupCommit(Generic[_W, _R]):
    """Commits writes in groups; each writer is answered after its commit.

    A write that was put is committed even if nobody waits for the answer any more. One that cannot be
    stored, or for which there is no room, fails alone: the group is halved until it is found. When the
    database itself fails, all fail that were waiting when it was asked, whichever group they would be in: each
    waits for a locked file at most twice, for the commit under way and for its own.

    Args:
        write: Commits writes together, and returns what each is answered. When it raises, none is made.
        name: What is written to, for error messages.
        label: What is written, for the name of the task.
        limit: How many writes may wait; ``room()`` waits while there are more.
        committed: Called with the verb, the write and its answer after its commit, before the writer is answered.
        lost: Called with the verb, the write and the error of a write that failed when nobody waited any more.
        closed: Makes the error of a verb that comes after ``close()``.
    """

    __slots__ = ("_closed", "_committed", "_error", "_label", "_limit", "_lost", "_name", "_room", "_task", "_waiting",
                 "_write")  # fmt: skip

    def __init__(
        self,
        write: Callable[[Sequence[_W]], Awaitable[Sequence[_R]]],
        *,
        name: str,
        label: str,
        limit: int,
        committed: Callable[[str, _W, _R], None],
        lost: Callable[[str, _W, StoreError], None],
        closed: Callable[[str], Exception],
    ) -> None:
        self._write = write
        self._name = name
        self._label = label
        self._limit = limit
        self._committed = committed
        self._lost = lost
        self._error = closed
        self._closed = False
        self._waiting: deque[_Waiting[_W, _R]] = deque()
        # Those who wait for room, oldest first; each is woken once, when the writer has taken a group.
        self._room: deque[asyncio.Future[None]] = deque()
        # Runs while anything waits: whoever puts into an idle queue starts it.
        self._task: asyncio.Task[None] | None = None

    @property
    def full(self) -> bool:
        """Whether no more should be put before ``room()`` returned."""
        return len(self._waiting) >= self._limit

    async def room(self, verb: str) -> None:
        """Return when there is room for one more write. Cancelled meanwhile: nothing was put.

        Raises:
            Exception: the error of ``closed``; it is closed, or was closed meanwhile.
        """
        while self.full and not self._closed:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._room.append(turn)
            await turn
        if self._closed:
            raise self._error(verb)

    def put(self, verb: str, write: _W) -> asyncio.Future[_R]:
        """Add a write to the next group; the answer comes after its commit.

        Raises:
            Exception: the error of ``closed``.
        """
        if self._closed:
            raise self._error(verb)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[_R] = loop.create_future()
        self._waiting.append(_Waiting(write, verb, answer))
        if self._task is None:
            # A context of its own: the writer works for all, not for the one who happened to start it.
            self._task = loop.create_task(self._run(), name=f"{self._label}-writer", context=contextvars.Context())
            self._task.add_done_callback(self._ended)
        return answer

    async def close(self) -> None:
        """Take no more, and return when everything that was put is answered."""
        self._closed = True
        self._wake_room()
        while self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        group: list[_Waiting[_W, _R]] = []
        try:
            while self._waiting:
                group = self._take(min(BATCH_LIMIT, len(self._waiting)))
                self._wake_room()
                await self._commit(group)
        finally:
            self._abandon(group)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if self._task is task:  # it was cancelled before it began
            self._abandon(())

    def _abandon(self, group: Iterable[_Waiting[_W, _R]]) -> None:
        """Let the next ``put`` start anew. Nothing waits, unless the writer was cancelled, with the whole loop."""
        for item in (*group, *self._waiting):  # nobody shall wait for ever
            item.answer.cancel()
        self._waiting.clear()
        self._task = None
        self._wake_room()

    def _take(self, count: int) -> list[_Waiting[_W, _R]]:
        return [self._waiting.popleft() for _ in range(count)]

    def _wake_room(self) -> None:
        while self._room:
            turn = self._room.popleft()
            if not turn.done():
                turn.set_result(None)

    async def _commit(self, group: list[_Waiting[_W, _R]]) -> None:
        behind = len(self._waiting)
        parts = [group]  # what of the group is not answered, the first last
        while parts:
            part = parts.pop()
            try:
                answers = await self._write([item.write for item in part])
            except (StoreRejectedError, StoreFullError) as error:
                if len(part) == 1:
                    self._fail(part, error)
                else:
                    middle = len(part) // 2
                    parts += part[middle:], part[:middle]
            except StoreUncertainError as error:
                self._fail(part, error)  # these alone: nothing of the others was under way
            except Exception as error:  # noqa: BLE001 - a store of somebody else may raise anything
                # Whoever comes behind has waited through the same attempt, and is not to wait for another.
                return self._fail(chain(part, *reversed(parts), self._take(behind)), self._failure(error))
            else:
                self._made(part, answers)
        return None

    def _failure(self, error: Exception) -> StoreError:
        if isinstance(error, StoreError):
            return error
        failure = StoreError(self._name, expected="the write to succeed", got=f"{type(error).__name__}: {error}")
        failure.__cause__ = error
        return failure

    def _made(self, part: list[_Waiting[_W, _R]], answers: Sequence[_R]) -> None:
        for item, answer in zip(part, answers, strict=True):
            self._committed(item.verb, item.write, answer)
            if not item.answer.done():
                item.answer.set_result(answer)

    def _fail(self, items: Iterable[_Waiting[_W, _R]], error: StoreError) -> None:
        for item in items:
            if not item.answer.done():
                item.answer.set_exception(error)
            else:  # its writer was cancelled and does not hear of it
                self._lost(item.verb, item.write, error)
