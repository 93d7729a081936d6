# SPDX-License-Identifier: MIT
"""Signals that are cast: the lane by which they come to one process."""

from __future__ import annotations

from collections import deque
from typing import Final

from stanchion.kernel import CAST, Bucket, Envelope, Process, is_self
from stanchion.router._entry import Entry
from stanchion.router._session import Session
from stanchion.router._subscription import SignalSubscription

_AGAIN: Final = 0.05
"""Seconds until a mailbox that was full, and has nobody wait in line, is tried again."""


class Lane:
    """How signals come to one process, for all of its subscriptions that have them cast.

    One at a time is in the mailbox; when it was handled, the next one is put there in the same step. So no task runs, a
    process answers calls although thousands of signals wait, and those of one publisher come in their order, whichever
    subscription they come by.
    """

    # The router's timer is no limit that a debugger should put off.
    is_limit = False

    __slots__ = ("_again", "_busy", "_gone", "_process", "_queue", "_session", "_users")

    def __init__(self, session: Session, process: Process) -> None:
        self._session: Final = session
        self._process: Final = process
        # How many subscriptions have it.
        self._users = 0
        # What is in the mailbox, in line for a place in it, or in hand; None for nothing. Not what was postponed.
        self._busy: Envelope | None = None
        # What is in the buffers, in order; the first one is not over, and fewer than half of the others are.
        self._queue: deque[Entry] = deque()
        # How many those are: what was discarded behind others.
        self._gone = 0
        # Set while the mailbox has no room.
        self._again: Bucket | None = None

    @staticmethod
    def to(session: Session, process: Process) -> Lane:
        """Return the lane to a process, for one subscription more."""
        lane = session.lanes.get(process.pid)
        if lane is None:
            lane = session.lanes[process.pid] = Lane(session, process)
        lane._users += 1
        return lane

    def put(self, entry: Entry) -> str | None:
        """See ``Outlet.put``."""
        mailbox = self._process.mailbox
        if self._busy is None and self._again is None and not self._queue:
            envelope: Envelope = (CAST, entry.signal, entry)
            self._busy = envelope
            if mailbox.put(envelope) is None or self._lines_up(envelope):
                return None
        if mailbox.closed:
            return "exited"
        self._queue.append(entry)
        entry.subscription.push(entry)
        return None

    def free(self, entry: Entry) -> None:
        """Have the next one come, if it is this one that holds it up."""
        if self._busy is not None and self._busy[2] is entry:
            self._busy = None
            if self._queue:
                self._next()

    def expire(self) -> None:
        """Try again; the node's wheel calls this."""
        self._again = None
        # Others that expire in this same step may have emptied it, or have used it since.
        if self._queue and self._busy is None:
            self._next()

    def discard(self, entry: Entry) -> None:
        """See ``Outlet.discard``."""
        entry.over = True
        self._gone += 1
        self._trim()
        if self._gone * 2 > len(self._queue):
            self._queue = deque(one for one in self._queue if not one.over)
            self._gone = 0

    def is_running(self) -> bool:
        """See ``Outlet.is_running``."""
        return is_self(self._process)

    def drains(self, reason: str) -> bool:
        """See ``Outlet.drains``."""
        return False

    def end(self, subscription: SignalSubscription, reason: str) -> None:
        """See ``Outlet.end``."""
        self._users -= 1
        if not self._users:
            del self._session.lanes[self._process.pid]
        if not self._process.finished:  # else the kernel tells of what it left
            for entry in self._taken_back(subscription):
                subscription.lost(entry, reason, logged=reason == "unsubscribed")
                self.free(entry)
        if not self._queue and self._again is not None:
            self._again.pop(self, None)
            self._again = None

    def _next(self) -> None:
        """Put the first of the queue, which has one, into the mailbox, which has none of ours."""
        entry = self._queue[0]
        envelope: Envelope = (CAST, entry.signal, entry)
        self._busy = envelope
        if self._process.mailbox.put(envelope) is not None and not self._lines_up(envelope):
            return
        self._queue.popleft()
        if self._gone:
            self._trim()
        entry.subscription.take()

    def _trim(self) -> None:
        """Have the first of the queue be one that is not over."""
        queue = self._queue
        while queue and queue[0].over:
            queue.popleft()
            self._gone -= 1

    def _lines_up(self, envelope: Envelope) -> bool:
        """Have a signal that the mailbox did not take wait in line for it; else try again later, and return False."""
        mailbox = self._process.mailbox
        if mailbox.line_up(envelope):
            return True
        self._busy = None
        if not mailbox.closed:
            self._again = self._session.node.wheel.add(_AGAIN, self)
        return False

    def _taken_back(self, subscription: SignalSubscription) -> list[Entry]:
        """Return the signals of a subscription that the process has not seen or has postponed, and that it will not see."""
        process, back = self._process, list[Entry]()
        for token, (handled, _) in list((process.deferred or {}).items()):
            if isinstance(token, Entry) and token.subscription is subscription and not handled:
                del process.deferred[token]  # type: ignore[union-attr]  # it has some
                back.append(token)
        busy = self._busy
        if busy is not None:
            entry = busy[2]
            if isinstance(entry, Entry) and entry.subscription is subscription and process.mailbox.withdraw(busy):
                back.append(entry)
        return back
