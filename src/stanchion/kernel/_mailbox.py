# SPDX-License-Identifier: MIT
"""The mailbox: where a message waits for its process.

An envelope is a plain tuple ``(kind, message, token)``, the cheapest record that Python has: one is made per
message. Only the functions that send make them and only the receiving loops take them apart.
"""

from __future__ import annotations

import sys
from abc import ABC
from asyncio import AbstractEventLoop, Future
from collections import deque
from typing import Final, Literal, Protocol

from stanchion.kernel._exit_reasons import ExitReason

CAST: Final = "cast"  # handled by handle_cast
CALL: Final = "call"  # handled by handle_call; the token is the caller's
INFO: Final = "info"  # handled by handle_info: plain sends, DOWN, EXIT, timers
SYSTEM: Final = "system"  # a request of sys to a server's loop; the token is the asker's
STOP: Final = "stop"  # an order to end, in its place among the messages; the message is the exit reason

Kind = Literal["cast", "call", "info", "system", "stop"]
Refusal = Literal["noproc", "overflow"]


class Token(Protocol):
    """What somebody holds who waits for the outcome of one message."""

    def abandoned(self, reason: ExitReason, *, handled: bool) -> None:
        """Take note that the receiver is gone.

        Args:
            reason: Its exit reason.
            handled: True when its handler had begun with the message, False when it never saw it.
        """
        ...

    def processed(self) -> None:
        """Take note that the handler returned, or that a plain process asked for its next message."""
        ...

    def refused(self, detail: str, *, known: bool, retry: bool, handled: bool = False) -> None:
        """Take note that the receiver did not take the message.

        Args:
            detail: Why, for people; of one without a clause, the callback that lacks it, as "Class.method".
            known: False when the receiver has no clause for such a message, true when it declined this one.
            retry: Whether a later attempt may succeed.
            handled: Whether it may have been processed all the same.
        """
        ...


class Notification(ABC):  # noqa: B024  # nothing is asked of it
    """What a process is told because it asked for it: of interest to it alone, and unread, settled with its exit.

    A class becomes one by ``@Notification.register``; a NamedTuple cannot have a base.
    """

    __slots__ = ()


Envelope = tuple[Kind, object, Token | None]

UNBOUNDED: Final = sys.maxsize


class Mailbox:
    """A queue of envelopes with one reader.

    Being open and accepting a message are one step: ``put`` either appends or refuses, and there is no await
    between the two.
    """

    __slots__ = ("_loop", "_waiter", "closed", "limit", "queue")

    def __init__(self, loop: AbstractEventLoop, limit: int) -> None:
        self._loop = loop
        # Not None only while the reader sleeps in wait(); whoever wakes it takes it away.
        self._waiter: Future[None] | None = None
        # Once True it stays True; only the process's own exit sets it.
        self.closed = False
        self.limit = limit
        self.queue: deque[Envelope] = deque()

    def put(self, envelope: Envelope) -> Refusal | None:
        """Append an envelope and wake the reader; return why not, when it is closed or full."""
        if self.closed:
            return "noproc"
        queue = self.queue
        if len(queue) >= self.limit:
            return "overflow"
        queue.append(envelope)
        if self._waiter is not None:
            self.wake()
        return None

    def put_system(self, envelope: Envelope) -> None:
        """Append what must not be lost to a limit: notifications, SYSTEM and STOP. A closed mailbox takes nothing."""
        if not self.closed:
            self.queue.append(envelope)
            if self._waiter is not None:
                self.wake()

    def wake(self) -> None:
        """Have the reader look again, if it sleeps."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def refusal_of(self, count: int) -> Refusal | None:
        """Return None when the next ``count`` puts of this same step will be accepted, else why not."""
        if self.closed:
            return "noproc"
        return "overflow" if len(self.queue) + count > self.limit else None

    @property
    def waited_on(self) -> bool:
        """Whether a reader sleeps in ``wait``."""
        return self._waiter is not None and not self._waiter.done()

    def wait(self) -> Future[None]:
        """Return a future that is done when there is something to read. Only the reader calls it, when empty."""
        waiter = self._waiter = self._loop.create_future()
        return waiter

    def withdraw(self, envelope: Envelope) -> bool:
        """Take an envelope back before its reader saw it; return whether it was still there."""
        queue = self.queue
        for index, queued in enumerate(queue):
            if queued is envelope:
                del queue[index]
                return True
        return False


class _ClosedMailbox(Mailbox):
    """The mailbox of everybody who is gone."""

    __slots__ = ()

    def __init__(self) -> None:
        # No loop: nothing ever waits here.
        self._waiter = None
        self.closed = True
        self.limit = 0
        self.queue = deque()


CLOSED_MAILBOX: Final[Mailbox] = _ClosedMailbox()
