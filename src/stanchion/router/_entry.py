# SPDX-License-Identifier: MIT
"""One signal on its way to one subscriber, and publishers that wait until it can begin."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from stanchion.kernel import Deadline, ExitReason, Node, Postponable

if TYPE_CHECKING:
    from stanchion.router._cast import Lane
    from stanchion.router._signal import Signal
    from stanchion.router._subscription import SignalSubscription


class Entry(Postponable):
    """One signal on its way to one subscriber; in a mailbox, the token of its envelope.

    Attributes:
        subscription: Whose it is.
        signal: The signal.
        at: When it was published, by the node's monotonic clock.
        buffered: How long it was in the buffer; set as it leaves it.
        over: Whether it has come to its end, and was counted; whoever counts it sets this.
    """

    __slots__ = ("at", "buffered", "over", "signal", "subscription")

    # A signal is news: it is worth as much after the deadline of its publisher.
    deadline: Deadline | None = None

    def __init__(self, subscription: SignalSubscription, signal: Signal, at: float) -> None:
        self.subscription = subscription
        self.signal = signal
        self.at = at
        self.buffered = 0.0
        self.over = False

    def processed(self) -> None:
        """Count it, and have the next one come."""
        if not self.over:
            subscription = self.subscription
            subscription.delivered(self)
            subscription.outlet.free(self)  # type: ignore[attr-defined]  # a lane has put it into the mailbox

    def abandoned(self, reason: ExitReason, *, handled: bool, crashed: bool = False) -> None:
        """Count it as dropped, though its handler may have begun."""
        self._lose("exited", logged=False)

    def refused(self, detail: str, *, known: bool, retry: bool, handled: bool = False) -> None:
        """Count it as dropped; of one without a clause the receiver told."""
        self._lose("refused", logged=not known)

    def displaced(self) -> None:
        """Count it as dropped by the mailbox."""
        self._lose("drop_oldest", logged=False)

    def overdue(self) -> None:
        """Nothing: it has no deadline."""

    def postponed(self) -> None:
        """Have the next one come, for which this one may be kept."""
        self._free_lane()

    def _lose(self, reason: str, *, logged: bool) -> None:
        if not self.over:
            self.subscription.lost(self, reason, logged=logged)
            self._free_lane()

    def _free_lane(self) -> None:
        lane: Lane = self.subscription.outlet  # type: ignore[assignment]  # a lane has put it into the mailbox
        lane.free(self)


class InLine:
    """A signal whose publisher waits for room in a full buffer.

    Attributes:
        entry: The signal.
        waits: Whether it waits still.
        reason: Why it was not taken; None when it was, or while it waits.
    """

    __slots__ = ("_room", "entry", "reason", "waits")

    def __init__(self, entry: Entry, room: Room) -> None:
        self.entry: Final = entry
        self.waits = True
        self.reason: str | None = None
        self._room = room
        room.waits_for += 1

    def place(self, reason: str | None) -> None:
        """Take note that its turn came, and of why it was not taken all the same."""
        if reason is None:
            self._end()
        else:
            self.refuse(reason)

    def refuse(self, reason: str) -> None:
        """Take note that it will not be taken."""
        self.reason = reason
        self._end()
        self.entry.subscription.lost(self.entry, reason)

    def _end(self) -> None:
        self.waits = False
        self._room.one_less()


class Room:
    """One publication's wait for room, in however many buffers.

    Attributes:
        waits_for: How many there are that have none yet.
    """

    __slots__ = ("_future", "_node", "waits_for")

    def __init__(self, node: Node) -> None:
        self._node = node
        # Set while somebody waits.
        self._future: asyncio.Future[None] | None = None
        self.waits_for = 0

    async def wait(self, limit: float | None) -> None:
        """Return when all have it, or will not, or the time is up."""
        if not self.waits_for:
            return
        self._future = self._node.loop.create_future()
        bucket = None if limit is None else self._node.wheel.add(limit, self)
        try:
            await self._future
        finally:
            if bucket is not None:
                bucket.pop(self, None)

    def one_less(self) -> None:
        """Take note that one has it, or will not."""
        self.waits_for -= 1
        if not self.waits_for:
            self.expire()

    def expire(self) -> None:
        """End the wait; the node's wheel calls this when the time is up."""
        if self._future is not None and not self._future.done():
            self._future.set_result(None)
