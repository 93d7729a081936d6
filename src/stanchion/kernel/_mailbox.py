# SPDX-License-Identifier: MIT
"""The mailbox: where a message waits for its process. One with a limit is a LimitedMailbox (_limited_mailbox.py).

An envelope is a plain tuple ``(kind, message, token)``, the cheapest record that Python has: one is made per
message. Only the functions that send make them and only the receiving loops take them apart.
"""

from __future__ import annotations

from abc import ABC
from asyncio import AbstractEventLoop, Future
from collections import deque
from collections.abc import Callable
from itertools import chain
from typing import TYPE_CHECKING, Final, Literal, Protocol

from stanchion.kernel._exit_reasons import ExitReason
from stanchion.kernel._indexed_queue import IndexedQueue

if TYPE_CHECKING:
    from stanchion.kernel._deadline import Deadline

CAST: Final = "cast"  # handled by handle_cast
CALL: Final = "call"  # handled by handle_call; the token is the caller's
INFO: Final = "info"  # handled by handle_info: plain sends, DOWN, EXIT, timers
SYSTEM: Final = "system"  # a request of sys to a server's loop; the token is the asker's
ONCE: Final = "once"  # a CAST that may have come before, and is then not handled again (_once.py)
STOP: Final = "stop"  # an order to end, in its place among the messages; the message is the exit reason

Kind = Literal["cast", "call", "info", "system", "once", "stop"]
Refusal = Literal["noproc", "overflow", "drop_newest"]
"""Why a mailbox does not take a message: it is closed; it is full; it is full and drops what comes then."""


class Token(Protocol):
    """What somebody holds who waits for the outcome of one message, or what bounds the message.

    Attributes:
        deadline: What was in force where the message was sent: after it the message is not begun, and while it is handled
            this is in force again. None for no deadline.
    """

    deadline: Deadline | None

    def abandoned(self, reason: ExitReason, *, handled: bool, crashed: bool = False) -> None:
        """Take note that the receiver is gone.

        Args:
            reason: Its exit reason.
            handled: True when its handler had begun with the message, False when it never saw it.
            crashed: True when it was this message that it was handling as it crashed, by itself and not by a signal.
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

    def displaced(self) -> None:
        """Take note that a full mailbox gave the message's place to a newer one, before anybody saw it."""
        ...

    def overdue(self) -> None:
        """Take note that the message was not begun, since its deadline had passed."""
        ...


class Notification(ABC):  # noqa: B024  # nothing is asked of it
    """What a process is told because it asked for it: of interest to it alone, and unread, settled with its exit.

    A class becomes one by ``@Notification.register``; a NamedTuple cannot have a base.
    """

    __slots__ = ()


Envelope = tuple[Kind, object, Token | None]

# To be in an index costs an envelope as much as to be passed in some forty searches.
_SEARCHES: Final = 32


class Mailbox:
    """A queue of envelopes with one reader, and with no limit.

    Being open and accepting a message are one step: ``put`` either appends or refuses, and there is no await
    between the two.
    """

    __slots__ = ("_loop", "_searches", "_waiter", "closed", "queue")

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        # Not None only while the reader sleeps in wait(); whoever wakes it takes it away.
        self._waiter: Future[None] | None = None
        # Once True it stays True; only the process's own exit sets it.
        self.closed = False
        # An IndexedQueue for as long as more is asked of it than a deque does well; withdrawing changes one for the
        # other, and so does reading. So nobody keeps it over either, nor where others may run: over an await, or while
        # telemetry is told.
        self.queue: deque[Envelope] | IndexedQueue = deque()
        # How many withdrawals have searched a deque since the last one that made an index.
        self._searches = 0

    def put(self, envelope: Envelope) -> Refusal | None:
        """Append an envelope and wake the reader; return why not, when it is not taken."""
        if self.closed:
            return "noproc"
        self.queue.append(envelope)
        if self._waiter is not None:
            self.wake()
        return None

    def put_system(self, envelope: Envelope) -> None:
        """Append what must not be lost to a limit: notifications, SYSTEM and STOP. A closed mailbox takes nothing."""
        if not self.closed:
            self.queue.append(envelope)
            if self._waiter is not None:
                self.wake()

    def line_up(self, envelope: Envelope, placed: Callable[[], None] | None = None) -> bool:
        """Have an envelope that was refused for want of room wait in line for it, if senders wait here.

        It comes in by itself once it is the first in line and there is room. If the process exits before, its token is
        told as if it had been in the mailbox.

        Args:
            envelope: It has a token.
            placed: Called in the step in which it comes in; None where nobody waits for that.

        Returns:
            Whether it waits now.
        """
        return False

    def leave_line(self, envelope: Envelope) -> bool:
        """Take an envelope out of the line; return whether it was still there."""
        return isinstance(self.queue, IndexedQueue) and self.queue.line.pop(id(envelope), None) is not None

    def close_line(self) -> list[Token]:
        """Take all envelopes out of the line, and return their tokens in order."""
        if not isinstance(self.queue, IndexedQueue):
            return []
        tokens = [token for (_, _, token), _ in self.queue.line.values() if token is not None]
        self.queue = deque(self.queue)
        return tokens

    def wake(self) -> None:
        """Have the reader look again, if it sleeps."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def envelopes(self) -> list[Envelope]:
        """Return what is in the queue, in no particular order: for who looks through it and lets others run meanwhile."""
        if isinstance(self.queue, IndexedQueue):
            return [envelope for _, envelope in chain(self.queue.system.values(), self.queue.ordinary.values())]
        return list(self.queue)

    def refusal_of(self, count: int) -> Refusal | None:
        """Return None when the next ``count`` puts of this same step will be accepted, else why not."""
        return "noproc" if self.closed else None

    @property
    def waited_on(self) -> bool:
        """Whether a reader sleeps in ``wait``."""
        return self._waiter is not None and not self._waiter.done()

    def wait(self) -> Future[None]:
        """Return a future that is done when something was put. Only the reader calls it."""
        waiter = self._waiter = self._loop.create_future()
        return waiter

    def withdraw(self, envelope: Envelope) -> bool:
        """Take an envelope back before its reader saw it, or out of the line; return whether it was still there.

        Now and then one is, when a sender's time is up, and to search for it is cheap. When a crowd of senders is
        cancelled it is thousands at once: after some searches an index is made.
        """
        queue = self.queue
        if not isinstance(queue, IndexedQueue) and self._searches < _SEARCHES:
            self._searches += 1
            for index, queued in enumerate(queue):
                if queued is envelope:
                    del queue[index]
                    return True
            return False
        self._searches = 0
        return self._indexed().remove(envelope)

    def _indexed(self) -> IndexedQueue:
        """Have the queue be an indexed one, and return it."""
        queue = self.queue
        if not isinstance(queue, IndexedQueue):
            queue = self.queue = IndexedQueue(self)
        return queue


class _ClosedMailbox(Mailbox):
    """The mailbox of everybody who is gone."""

    __slots__ = ()

    def __init__(self) -> None:
        # No loop: nothing ever waits here.
        self._waiter = None
        self.closed = True
        self.queue = deque()
        self._searches = 0


CLOSED_MAILBOX: Final[Mailbox] = _ClosedMailbox()
