# SPDX-License-Identifier: MIT
"""The items of a stream: all at once from an iterable, or one after the other from an async iterable."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from enum import Enum
from typing import Generic, Protocol, TypeVar

I = TypeVar("I")  # noqa: E741  # an item
I_co = TypeVar("I_co", covariant=True)


class NoItem(Enum):
    """What there is instead of an item."""

    NOT_YET = "not yet"
    NO_MORE = "no more"


class Items(Protocol[I_co]):
    """Where a stream pulls its items from, one at a time."""

    def next(self) -> I_co | NoItem:
        """Return the next item, or what there is instead.

        Raises:
            BaseException: what the items raised.
        """
        ...

    def close(self) -> None:
        """Give no more items."""
        ...

    async def closed(self) -> None:
        """Wait until nothing is left of them."""
        ...


def items_of(items: Iterable[I] | AsyncIterable[I], woken: asyncio.Event) -> Items[I]:
    """Return what pulls these items; it sets the event when there may be one after ``NOT_YET``."""
    return _AsyncItems(items, woken) if isinstance(items, AsyncIterable) else _Items(items)


class _Items(Generic[I]):
    """Items that are there at once."""

    __slots__ = ("_iterator",)

    def __init__(self, items: Iterable[I]) -> None:
        self._iterator = iter(items)

    def next(self) -> I | NoItem:
        return next(self._iterator, NoItem.NO_MORE)

    def close(self) -> None:
        pass

    async def closed(self) -> None:
        pass


class _AsyncItems(Generic[I]):
    """Items that take time: a task of its own waits for each, and begins when it is asked for."""

    __slots__ = ("_closed", "_error", "_feeder", "_item", "_wanted", "_woken")

    def __init__(self, items: AsyncIterable[I], woken: asyncio.Event) -> None:
        self._woken = woken
        self._wanted = asyncio.Event()
        self._closed = False
        # What has come and was not taken yet.
        self._item: I | NoItem = NoItem.NOT_YET
        self._error: BaseException | None = None
        # One task for all of them, so that each step of an async generator runs in the same one.
        self._feeder = asyncio.create_task(self._feed(aiter(items)), name=f"items of a stream: {type(items).__name__}")

    def next(self) -> I | NoItem:
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None  # its traceback holds this frame, and this frame would hold it
        item = self._item
        if item is not NoItem.NO_MORE:
            self._item = NoItem.NOT_YET
        if item is NoItem.NOT_YET:
            self._wanted.set()
        return item

    def close(self) -> None:
        self._closed = True
        self._feeder.cancel()

    async def closed(self) -> None:
        await asyncio.wait([self._feeder])

    async def _feed(self, iterator: AsyncIterator[I]) -> None:
        try:
            # Items that swallow the cancellation end with the next one that they give.
            while not self._closed and self._item is not NoItem.NO_MORE and self._error is None:
                try:
                    await self._wanted.wait()
                    self._item = await anext(iterator)
                except StopAsyncIteration:
                    self._item = NoItem.NO_MORE
                except BaseException as error:  # each belongs to the consumer, a ProcessExit say; else it would hang
                    self._error = error
                # Now, and not before the wait: what was asked for meanwhile is what has come.
                self._wanted.clear()
                self._woken.set()
        finally:
            # A generator that nobody else holds is closed now, and not when the collector finds this task's cycle.
            del iterator
