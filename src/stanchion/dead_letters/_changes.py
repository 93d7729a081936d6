# SPDX-License-Identifier: MIT
"""Telling others that letters have changed."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import NamedTuple, Self

from stanchion.dead_letters._letter import DeadLetter
from stanchion.errors import DeadLettersClosedError


class Change(NamedTuple):
    """One change of a letter that is committed.

    Attributes:
        verb: What was done: ``"add"``, ``"import"``, ``"retry"``, ``"replay"``, ``"discard"``, ``"claim"``,
            ``"delivered"``, ``"failed"`` or ``"release"``.
        letter: The letter as it is stored since.
    """

    verb: str
    letter: DeadLetter


class Subscription:
    """The changes from one moment on, in the order of their commits: ``async for change in subscription``.

    It ends when the queue closes, after the changes so far. Leave its ``with`` block to end it yourself.

    Attributes:
        missed: How many changes were dropped, oldest first, because the reader was slower than the buffer.
    """

    __slots__ = ("_buffer", "_ended", "_feed", "_wakeup", "missed")

    def __init__(self, feed: ChangeFeed, buffer: int) -> None:
        self.missed = 0
        self._feed = feed
        self._buffer: deque[Change] = deque(maxlen=buffer)
        self._ended = False
        # The reader waits here while the buffer is empty; at most one reader.
        self._wakeup: asyncio.Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Change:
        while not self._buffer:
            if self._ended:
                raise StopAsyncIteration
            self._wakeup = asyncio.get_running_loop().create_future()
            await self._wakeup
        return self._buffer.popleft()

    def end(self) -> None:
        """Take no more changes; harmless when it has ended."""
        self._ended = True
        self._feed.forget(self)
        self._wake()

    def take(self, change: Change) -> None:
        """Keep a change for the reader; called by the feed."""
        if len(self._buffer) == self._buffer.maxlen:
            self.missed += 1
        self._buffer.append(change)
        self._wake()

    def _wake(self) -> None:
        if self._wakeup is not None and not self._wakeup.done():
            self._wakeup.set_result(None)


class ChangeFeed:
    """Hands changes to subscriptions, and wakes those who wait for any."""

    __slots__ = ("_closed", "_subscriptions", "_waiters", "count")

    def __init__(self) -> None:
        self.count = 0  # only grows; lets a waiter see what happened before it began to wait
        self._closed = False
        self._subscriptions: dict[Subscription, None] = {}
        self._waiters: set[asyncio.Future[None]] = set()

    def subscribe(self, buffer: int) -> Subscription:
        """Return a subscription to the changes from now on."""
        subscription = Subscription(self, buffer)
        self._subscriptions[subscription] = None
        return subscription

    def forget(self, subscription: Subscription) -> None:
        """Hand no more to a subscription."""
        self._subscriptions.pop(subscription, None)

    def publish(self, verb: str, letter: DeadLetter) -> None:
        """Hand a change to all."""
        self.count += 1
        if self._subscriptions:
            change = Change(verb, letter)
            for subscription in self._subscriptions:
                subscription.take(change)
        if self._waiters:
            self._wake()

    def heard(self) -> None:
        """Wake those who wait: another queue on the same store changed something."""
        self.count += 1
        self._wake()

    async def wait(self, seen: int) -> int:
        """Return ``count`` when it is no longer ``seen``: at once when it is not.

        Raises:
            DeadLettersClosedError: the queue closed.
        """
        while self.count == seen and not self._closed:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.add(waiter)
            try:
                await waiter
            finally:
                self._waiters.discard(waiter)
        if self._closed:
            raise DeadLettersClosedError("wait_changed")
        return self.count

    def close(self) -> None:
        """End every subscription and answer every waiter."""
        self._closed = True
        for subscription in list(self._subscriptions):
            subscription.end()
        self._wake()

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
