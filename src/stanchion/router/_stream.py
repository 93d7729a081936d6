# SPDX-License-Identifier: MIT
"""Signals for code outside of processes: an iterator over them."""

from __future__ import annotations

import asyncio
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

from stanchion.router._entry import Entry
from stanchion.router._session import Session
from stanchion.router._subscription import SignalSubscription

if TYPE_CHECKING:
    from stanchion.router._signal import Signal


class Reader:
    """How signals come to a stream: it takes them out of the buffer itself."""

    __slots__ = ("_loop", "_stream", "_wakeups", "missed")

    def __init__(self, session: Session) -> None:
        self._loop: Final = session.node.loop
        # Who waits for a signal; all of them look when one comes.
        self._wakeups: dict[asyncio.Future[None], None] = {}
        # How many left the buffer and were not read.
        self.missed = 0
        # The subscription does not keep its stream: one that nobody holds is one that nobody reads.
        self._stream: weakref.ref[SignalStream]

    def read_by(self, stream: SignalStream, subscription: SignalSubscription) -> None:
        """Belong to a stream, and have the subscription end when nobody holds that any more."""

        def dropped(_: object) -> None:
            # It may be collected in any thread, and after the loop has closed.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(subscription.unsubscribe)

        self._stream = weakref.ref(stream, dropped)

    def put(self, entry: Entry) -> str | None:
        """See ``Outlet.put``."""
        entry.subscription.push(entry)
        self._wake()
        return None

    def discard(self, entry: Entry) -> None:
        """Count it: see ``Outlet.discard``."""
        self.missed += 1

    def is_running(self) -> bool:
        """See ``Outlet.is_running``; who reads is not known."""
        return False

    def drains(self, reason: str) -> bool:
        """See ``Outlet.drains``."""
        return False

    def end(self, subscription: SignalSubscription, reason: str) -> None:
        """See ``Outlet.end``."""
        self._wake()

    async def wait(self) -> None:
        """Return when a signal has come, or will not."""
        wakeup: asyncio.Future[None] = self._loop.create_future()
        self._wakeups[wakeup] = None
        try:
            await wakeup
        finally:
            self._wakeups.pop(wakeup, None)

    def _wake(self) -> None:
        wakeups, self._wakeups = self._wakeups, {}
        for wakeup in wakeups:
            if not wakeup.done():
                wakeup.set_result(None)


class SignalStream:
    """Signals as they come: ``async for signal in stream``; what ``SignalRouter.stream`` returns.

    It has a subscription until it is closed, or dropped: leave an ``async with`` block around it, or call ``aclose``.
    It ends with the process that made it, and with the router.

    Attributes:
        missed: How many signals left the buffer and were not read, for it was full, or was closed.
    """

    __slots__ = ("__weakref__", "_reader", "_subscription")

    def __init__(self, subscription: SignalSubscription, reader: Reader) -> None:
        self._subscription: Final = subscription
        self._reader: Final = reader
        reader.read_by(self, subscription)

    @property
    def subscription(self) -> SignalSubscription:
        """Its subscription."""
        return self._subscription

    @property
    def missed(self) -> int:
        """See the class."""
        return self._reader.missed

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Signal:
        """Return the next signal, when it has come.

        Raises:
            StopAsyncIteration: none will come.

        Cancellation: no signal is lost.
        """
        subscription = self._subscription
        while not subscription.waiting:
            if not subscription.active:
                raise StopAsyncIteration
            await self._reader.wait()
        entry = subscription.take()
        subscription.delivered(entry)
        return entry.signal

    async def aclose(self) -> None:
        """Take no more signals, and drop those that wait; harmless when it is closed."""
        self._subscription.unsubscribe()

    def __repr__(self) -> str:
        return f"<stream of {self._subscription.pattern!r}, {len(self._subscription.waiting)} signals wait>"
