# SPDX-License-Identifier: MIT
"""The subscription: one pattern of one subscriber, and the buffer in which its signals wait."""

from __future__ import annotations

import logging
import math
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable
from types import CoroutineType
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, cast

from stanchion.kernel import Overflow, Owned, Pid, Possession, Process, Site, disown, own, place_of
from stanchion.router._entry import Entry, InLine, Room
from stanchion.router._statistics import Counts, SubscriptionInfo
from stanchion.telemetry import SIGNAL_DELIVERED, SUBSCRIBER_SLOW

if TYPE_CHECKING:
    from stanchion.router._session import Session
    from stanchion.router._signal import Signal

_log = logging.getLogger("stanchion.router")

FULL: Final = "full"
"""What ``SignalSubscription.offer`` returns where the publisher may wait in line."""

# Where no threshold is given: from here on publishers let others run.
_MARK: Final = 0.8


class Outlet(Protocol):
    """How the signals of a subscription come to its target."""

    def put(self, entry: Entry) -> str | None:
        """Deliver a signal, or put it into the buffer, which has room; return why neither, if the target is going."""
        ...

    def discard(self, entry: Entry) -> None:
        """Take note that a signal was taken out of the buffer, which will not be delivered."""
        ...

    def is_running(self) -> bool:
        """Return whether the running code is what would empty the buffer, so that it must not wait for that."""
        ...

    def drains(self, reason: str) -> bool:
        """Return whether what waits in the buffer is delivered although the subscription ends for this reason."""
        ...

    def end(self, subscription: SignalSubscription, reason: str) -> None:
        """Take note that a subscription has ended, and that its buffer was emptied unless this drains it."""
        ...


class Wish(NamedTuple):
    """What a subscription is for, whoever has it.

    Attributes:
        pattern: The pattern.
        segments: Its segments.
        filter: Which of the signals that match; None for all.
        buffer: How many may wait.
        overflow: What becomes of one that finds the buffer full.
        warn_at: From which part of the buffer on it counts as slow; None for never.
        site: Where it was made.
    """

    pattern: str
    segments: tuple[str, ...]
    filter: Callable[[Signal], object] | None
    buffer: int
    overflow: Overflow
    warn_at: float | None
    site: Site


class SignalSubscription(Owned):
    """One pattern of one subscriber; what ``SignalRouter.subscribe`` returns.

    Attributes:
        pattern: Its pattern.
        subscriber: The pid of a process; else what gets the signals, as text.
        mode: ``"cast"``, ``"supervised"``, ``"callback"`` or ``"stream"``.
    """

    __slots__ = (
        "_limit",
        "_made",
        "_mark",
        "_overflow",
        "_owner",
        "_session",
        "_site",
        "_slow",
        "_warns",
        "active",
        "counts",
        "filter",
        "key",
        "line",
        "mode",
        "outlet",
        "pattern",
        "segments",
        "subscriber",
        "waiting",
    )

    def __init__(
        self, session: Session, wish: Wish, subscriber: Pid | str, mode: str, *, key: Hashable, owner: Process
    ) -> None:
        """Make a subscription; it begins with ``begin``.

        Args:
            session: Where it will be.
            wish: What it is for.
            subscriber: The pid of a process; else what gets the signals, as text.
            mode: How they come there.
            key: What is the same for all subscriptions of one target.
            owner: The process with which it ends; the router's own for one that ends with the node.
        """
        self.pattern: Final = wish.pattern
        self.segments: Final = wish.segments
        self.subscriber: Final = subscriber
        self.mode: Final = mode
        # What follows is the router's.
        self.key: Final = key
        self.filter: Final = wish.filter
        self.active = True
        self.counts: Final = Counts()
        # The buffer; and the publishers that wait for room in it, None for nobody. Nobody waits while there is room.
        self.waiting: Final[deque[Entry]] = deque()
        self.line: OrderedDict[InLine, None] | None = None
        self._session: Final = session
        self._owner: Final = owner
        self._limit: Final = wish.buffer
        self._overflow: Final = wish.overflow
        self._warns: Final = wish.warn_at is not None
        part = _MARK if wish.warn_at is None else wish.warn_at
        # How many signals in the buffer are many.
        self._mark: Final = max(1, math.ceil(wish.buffer * part))
        self._slow = False
        self._site: Final = wish.site
        self._made: Final = session.node.clock.monotonic()
        # Set by begin().
        self.outlet: Outlet

    def unsubscribe(self) -> bool:
        """End it; see ``SignalRouter.unsubscribe``."""
        return self.end("unsubscribed")

    def is_in(self, session: Session) -> bool:
        """Return whether it is one of a router's, or was."""
        return self._session is session

    def info(self) -> SubscriptionInfo:
        """Return how it stands at this moment."""
        owner = None if self._owner is self._session.process else self._owner.pid
        return SubscriptionInfo(
            self.pattern,
            self.subscriber,
            owner,
            self.mode,
            len(self.waiting),
            self._limit,
            0 if self.line is None else len(self.line),
            self.counts.delivered,
            dict(self.counts.dropped),
            self._session.node.clock.monotonic() - self._made,
        )

    def __repr__(self) -> str:
        return f"<subscription of {self.subscriber} to {self.pattern!r}>"

    # --- beginning and end -----------------------------------------------------------------------

    def begin(self, outlet: Outlet) -> SignalSubscription:
        """Get signals from now on; return itself."""
        self.outlet = outlet
        self._session.add(self)
        own(self._owner, self)
        return self

    def release(self) -> None:
        """End: its process exits; the kernel calls this."""
        self.end("stopped" if self._owner is self._session.process else "exited")

    def held(self) -> Iterable[Possession]:
        """See ``Owned.held``."""
        text = f"of {self.subscriber} to {self.pattern!r}, {len(self.waiting)} of {self._limit} signals buffered"
        age = self._session.node.clock.monotonic() - self._made
        return [Possession("subscription", text, place_of(self._site), age)]

    def end(self, reason: str) -> bool:
        """Get no more signals; return whether it had not ended before."""
        if not self.active:
            return False
        self.active = False
        disown(self._owner, self)
        self._session.remove(self)
        line, self.line = self.line, None
        for one in line or ():
            one.refuse(reason)
        if not self.outlet.drains(reason):
            self.drop_all(reason)
        self.outlet.end(self, reason)
        self._session.settled(self)
        return True

    def drop_all(self, reason: str) -> None:
        """Drop all that waits in the buffer."""
        left = list(self.waiting)
        self.waiting.clear()
        if left and reason != "unsubscribed":
            _log.warning("%d signals for %r were dropped: %s", len(left), self, reason)
        for entry in left:
            self.outlet.discard(entry)
            entry.over = True
            self.drop(entry.signal, reason)

    # --- into the buffer -------------------------------------------------------------------------

    def passes(self, signal: Signal) -> bool | None:
        """Return whether the filter, which there is, wants a signal; None when it failed."""
        try:
            wanted = self.filter(signal)  # type: ignore[misc]  # there is one
            if type(wanted) is CoroutineType:
                wanted.close()
                raise TypeError(f"a filter must answer at once, and this one returned {wanted!r}")
        except Exception:  # noqa: BLE001 - the filter is users' code
            _log.exception("the filter of %r failed for signal %s, which is dropped", self, signal.id)
            self.counts.routed += 1
            self.drop(signal, "filter_failed")
            return None
        return bool(wanted)

    def offer(self, signal: Signal, at: float, *, may_wait: bool) -> str | None:
        """Take a signal; return why not: ``FULL`` when the publisher may wait in line, else what was told.

        Args:
            signal: The signal.
            at: When it was published, by the node's monotonic clock.
            may_wait: Whether the publisher can wait.
        """
        self.counts.routed += 1
        if len(self.waiting) < self._limit and self.line is None:
            reason = self.outlet.put(Entry(self, signal, at))
        elif self._overflow == "drop_oldest":
            oldest = self.waiting.popleft()
            self.outlet.discard(oldest)
            reason = self.outlet.put(Entry(self, signal, at))
            self.lost(oldest, "drop_oldest")
        elif self._overflow == "block" and may_wait and not self.outlet.is_running():
            return FULL
        else:
            reason = "drop_newest" if self._overflow == "drop_newest" else "reject"
        if reason is not None:
            self._lose(signal, reason)
        return reason

    def line_up(self, signal: Signal, at: float, room: Room) -> InLine:
        """Have a publisher wait for room for its signal, behind those that wait already."""
        one = InLine(Entry(self, signal, at), room)
        if self.line is None:
            self.line = OrderedDict()
        self.line[one] = None
        return one

    def leave_line(self, one: InLine) -> None:
        """Have a publisher that waits do so no more."""
        line = cast("OrderedDict[InLine, None]", self.line)
        del line[one]
        if not line:
            self.line = None

    def push(self, entry: Entry) -> None:
        """Append to the buffer; for outlets."""
        self.waiting.append(entry)
        if len(self.waiting) >= self._mark:
            self._session.crowded = True
            if self._warns and not self._slow:
                self._slow = True
                self._tell_slow()

    # --- out of the buffer -----------------------------------------------------------------------

    def take(self) -> Entry:
        """Take the first signal out of the buffer, which is not empty; for outlets."""
        entry = self.waiting.popleft()
        # On the path of each signal: calls are spelled out.
        entry.buffered = buffered = self._session.node.monotonic() - entry.at
        counts = self.counts
        counts.buffered += buffered
        if buffered > counts.longest:
            counts.longest = buffered
        if self._slow and len(self.waiting) * 2 < self._mark:
            self._slow = False
        while self.line is not None and len(self.waiting) < self._limit:
            one, _ = self.line.popitem(last=False)
            if not self.line:
                self.line = None
            one.place(self.outlet.put(one.entry))
        return entry

    def delivered(self, entry: Entry) -> None:
        """Count and tell a signal that was handled."""
        entry.over = True
        self.counts.delivered += 1
        telemetry = self._session.node.telemetry
        if telemetry.attached:
            signal = entry.signal
            seconds = self._session.node.clock.monotonic() - entry.at
            about = {"node": self._session.node.name, "type": signal.type, "signal_id": signal.id}
            details = {**about, "pattern": self.pattern, "subscriber": self.subscriber}
            telemetry.emit(SIGNAL_DELIVERED, {"buffered": entry.buffered, "seconds": seconds}, details)
        if not self.active:
            self._session.settled(self)

    def lost(self, entry: Entry, reason: str, *, logged: bool = False) -> None:
        """Count and tell a signal that was accepted, and will not be handled; ``logged`` when the log says so already."""
        entry.over = True
        if logged:
            self.drop(entry.signal, reason)
        else:
            self._lose(entry.signal, reason)

    def drop(self, signal: Signal, reason: str) -> None:
        """Count and tell a signal that will not be handled."""
        self.counts.drop(reason)
        self._session.tell_dropped(signal, reason, self.pattern, self.subscriber)
        if not self.active:
            self._session.settled(self)

    def _lose(self, signal: Signal, reason: str) -> None:
        """Count, tell and log such a signal."""
        self._session.log_dropped(self, signal, reason)
        self.drop(signal, reason)

    def _tell_slow(self) -> None:
        node = self._session.node
        if node.telemetry.attached:
            details = {"node": node.name, "pattern": self.pattern, "subscriber": self.subscriber}
            measured = {"buffered": len(self.waiting), "buffer": self._limit}
            node.telemetry.emit(SUBSCRIBER_SLOW, measured, details)
        if node.storm_guard.admit("subscribers are slow", _log):
            _log.warning("%r is slow: %d of %d signals wait", self, len(self.waiting), self._limit)
