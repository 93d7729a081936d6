# SPDX-License-Identifier: MIT
"""Many writers, one commit: what comes while a commit is under way goes together into the next."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections import deque
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Final, NamedTuple

from stanchion.dead_letters._store import Store, Write
from stanchion.errors import DeadLettersClosedError, StoreError, StoreFullError, StoreRejectedError

_log = logging.getLogger("stanchion.dead_letters")

BATCH_LIMIT: Final = 1000
"""Writes in one commit, at most: it bounds how long a commit takes."""


class _Waiting(NamedTuple):
    write: Write
    verb: str
    answer: asyncio.Future[bool]


class GroupCommit:
    """Commits writes to a store in groups; each writer is answered after its commit.

    A write that was put is committed even if nobody waits for the answer any more. One that cannot be
    stored, or for which there is no room, fails alone: the group is halved until it is found. When the
    store itself fails, all fail that were waiting when it was asked, whichever group they would be in: each
    waits for a locked file at most twice, for the commit under way and for its own.

    Args:
        store: Where to write.
        committed: Called with the verb and the write after its commit, before the writer is answered.
        limit: How many writes may wait; ``room()`` waits while there are more.
    """

    __slots__ = ("_closed", "_committed", "_limit", "_room", "_store", "_task", "_waiting")

    def __init__(self, store: Store, committed: Callable[[str, Write], None], *, limit: int) -> None:
        self._store = store
        self._committed = committed
        self._limit = limit
        self._closed = False
        self._waiting: deque[_Waiting] = deque()
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
            DeadLettersClosedError: it is closed, or was closed meanwhile.
        """
        while self.full and not self._closed:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._room.append(turn)
            await turn
        if self._closed:
            raise DeadLettersClosedError(verb)

    def put(self, verb: str, write: Write) -> asyncio.Future[bool]:
        """Add a write to the next group; the answer is whether it was made (see ``Store.write``).

        Raises:
            DeadLettersClosedError: it is closed.
        """
        if self._closed:
            raise DeadLettersClosedError(verb)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bool] = loop.create_future()
        self._waiting.append(_Waiting(write, verb, answer))
        if self._task is None:
            # A context of its own: the writer works for all, not for the one who happened to start it.
            self._task = loop.create_task(self._run(), name="dead-letters-writer", context=contextvars.Context())
            self._task.add_done_callback(self._ended)
        return answer

    async def close(self) -> None:
        """Take no more, and return when everything that was put is answered."""
        self._closed = True
        self._wake_room()
        while self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        group: list[_Waiting] = []
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

    def _abandon(self, group: Iterable[_Waiting]) -> None:
        """Let the next ``put`` start anew. Nothing waits, unless the writer was cancelled, with the whole loop."""
        for item in (*group, *self._waiting):  # nobody shall wait for ever
            item.answer.cancel()
        self._waiting.clear()
        self._task = None
        self._wake_room()

    def _take(self, count: int) -> list[_Waiting]:
        return [self._waiting.popleft() for _ in range(count)]

    def _wake_room(self) -> None:
        while self._room:
            turn = self._room.popleft()
            if not turn.done():
                turn.set_result(None)

    async def _commit(self, group: list[_Waiting]) -> None:
        behind = len(self._waiting)
        parts = [group]  # what of the group is not answered, the first last
        while parts:
            part = parts.pop()
            try:
                made = await self._store.write([item.write for item in part])
            except (StoreRejectedError, StoreFullError) as error:
                if len(part) == 1:
                    _fail(part, error)
                else:
                    middle = len(part) // 2
                    parts += part[middle:], part[:middle]
            except Exception as error:  # noqa: BLE001 - a store of somebody else may raise anything
                # Whoever comes behind has waited through the same attempt, and is not to wait for another.
                return _fail(chain(part, *reversed(parts), self._take(behind)), self._failure(error))
            else:
                self._made(part, made)
        return None

    def _failure(self, error: Exception) -> StoreError:
        if isinstance(error, StoreError):
            return error
        failure = StoreError(self._store.name, expected="the write to succeed", got=f"{type(error).__name__}: {error}")
        failure.__cause__ = error
        return failure

    def _made(self, part: list[_Waiting], made: list[bool]) -> None:
        for item, done in zip(part, made, strict=True):
            if done:
                self._committed(item.verb, item.write)
            if not item.answer.done():
                item.answer.set_result(done)


def _fail(items: Iterable[_Waiting], error: StoreError) -> None:
    for item in items:
        if not item.answer.done():
            item.answer.set_exception(error)
        else:  # its writer was cancelled and does not hear of it
            _log.error("%s of dead letter %s was not stored: %s", item.verb, item.write.letter.id, error)
