# SPDX-License-Identifier: MIT
"""The mailbox that takes so many messages and no more, and what it does with those that come when it is full.

System messages are taken all the same, and take up no place: an exit signal or a DOWN is not lost to a limit, and a
crowd of them does not keep ordinary messages out.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Literal

from stanchion._validate import cut, one_of, whole_number
from stanchion.errors import InvalidOptionError
from stanchion.kernel._dropped import undeliverable
from stanchion.kernel._indexed_queue import IndexedQueue
from stanchion.kernel._mailbox import Envelope, Mailbox, Refusal

if TYPE_CHECKING:
    from stanchion.kernel._node import Node
    from stanchion.kernel._pid import Pid

Overflow = Literal["reject", "drop_newest", "drop_oldest", "block"]
"""What a full mailbox does with the next message; see ``MailboxPolicy``."""

_OVERFLOWS: Final = ("reject", "drop_newest", "drop_oldest", "block")


class MailboxPolicy:
    """How many messages a process's mailbox takes, and what becomes of those that come when it is full.

    Give it as ``mailbox=`` where the process is started. A number there is a policy with that limit, which rejects.
    Overflow is an outcome for those who wait for one, and for others a Dropped event; never an exception in a sender
    that only sends.

    System messages (``Down``, ``Exit``, the timers of a process to itself, the requests of ``sys``, the order to stop)
    are always taken, and take up no place.

    Args:
        limit: How many ordinary messages wait at most, at least 1; None for no limit.
        overflow: What a full mailbox does. ``"reject"`` refuses the new message: a supervised send tries again later, a
            call raises ``CallOverflowError``, a cast is dropped. ``"drop_newest"`` refuses it for good: a supervised send
            does not try again. ``"drop_oldest"`` takes it, and drops the ordinary message that has waited longest, whose
            sender is told at once as with ``"drop_newest"``. ``"block"`` has those senders wait that can, supervised sends
            and calls: in line, first come first served, within their timeout; a cast is dropped.
        system_first: Whether system messages are handled before ordinary ones, and not in their turn. Then a ``Down`` may
            overtake what its process had sent, and ``stop`` does not wait for the messages that are there.

    Raises:
        InvalidOptionError: an argument is wrong.

    Source: OTP has no limits; its ranks are the priority messages of OTP 28. The policies are what Akka Streams calls
        fail, dropNew, dropHead and backpressure.
    """

    __slots__ = ("limit", "overflow", "system_first")

    def __init__(self, limit: int | None = None, overflow: Overflow = "reject", *, system_first: bool = False) -> None:
        if limit is not None:
            whole_number("MailboxPolicy(limit)", limit, at_least=1)
        one_of("MailboxPolicy(overflow)", overflow, _OVERFLOWS)
        if limit is None and overflow != "reject":
            raise InvalidOptionError(
                "MailboxPolicy(limit)",
                expected=f"a whole number >= 1 with overflow={overflow!r}",
                got="None, with which no mailbox is ever full",
                fix=f"write MailboxPolicy(100, {overflow!r}), say.",
            )
        if not isinstance(system_first, bool):
            raise InvalidOptionError("MailboxPolicy(system_first)", expected="True or False", got=cut(system_first))
        self.limit: Final = limit
        self.overflow: Final[Overflow] = overflow
        self.system_first: Final = system_first

    def __repr__(self) -> str:
        return f"MailboxPolicy({self.limit}, {self.overflow!r}, system_first={self.system_first})"


def mailbox_policy(subject: str, value: object) -> MailboxPolicy | None:
    """Return the policy that an option ``mailbox`` means; None for no limit.

    Raises:
        InvalidOptionError: it means none.
    """
    if value is None or isinstance(value, MailboxPolicy):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return MailboxPolicy(value)
    raise InvalidOptionError(subject, expected="a whole number >= 1, a MailboxPolicy or None", got=cut(value))


class LimitedMailbox(Mailbox):
    """A mailbox with a policy.

    Its queue is a deque, as that of any mailbox, as long as it holds nothing but ordinary messages and nobody stands in
    line for it.
    """

    __slots__ = ("_limit", "_node", "overflows", "owner", "policy")

    def __init__(self, node: Node, policy: MailboxPolicy) -> None:
        super().__init__(node.loop)
        self._node = node
        self.policy = policy
        self._limit = sys.maxsize if policy.limit is None else policy.limit
        # How many messages found it full.
        self.overflows = 0
        # Whose it is; set in the step that makes the process.
        self.owner: Pid

    @property
    def in_line(self) -> int:
        """How many senders wait for a place."""
        return len(self.queue.line) if isinstance(self.queue, IndexedQueue) else 0

    def put(self, envelope: Envelope) -> Refusal | None:
        """Append an envelope and wake the reader; return why not, when it is not taken."""
        if self.closed:
            return "noproc"
        if len(self.queue) >= self._limit and self._free() <= 0:
            return self._overflow(envelope)
        self.queue.append(envelope)
        if self._waiter is not None:
            self.wake()
        return None

    def put_system(self, envelope: Envelope) -> None:
        """Add what takes up no place. A closed mailbox takes nothing."""
        if not self.closed:
            self._indexed().append_system(envelope)
            if self._waiter is not None:
                self.wake()

    def line_up(self, envelope: Envelope, placed: Callable[[], None] | None = None) -> bool:
        """Have an envelope that was refused for want of room wait in line for it, if senders wait here."""
        if self.policy.overflow != "block" or self.closed:
            return False
        self._indexed().line[id(envelope)] = (envelope, placed)
        return True

    def refusal_of(self, count: int) -> Refusal | None:
        """Return None when the next ``count`` puts of this same step will be accepted, else why not."""
        if self.closed:
            return "noproc"
        overflow = self.policy.overflow
        # Of what comes in one step, nothing may displace the other.
        if count <= (self._limit if overflow == "drop_oldest" else self._free()):
            return None
        return "drop_newest" if overflow == "drop_newest" else "overflow"

    def _free(self) -> int:
        """Return how many places are free."""
        queue = self.queue
        return self._limit - len(queue.ordinary if isinstance(queue, IndexedQueue) else queue)

    def _overflow(self, envelope: Envelope) -> Refusal | None:
        """Do with a message that finds no room what the policy says."""
        self.overflows += 1
        if self.policy.overflow == "drop_newest":
            return "drop_newest"
        if self.policy.overflow != "drop_oldest":
            return "overflow"
        queue = self.queue
        oldest = queue.pop_ordinary() if isinstance(queue, IndexedQueue) else queue.popleft()
        queue.append(envelope)
        # Not in this step, in which a broadcast may be about to fill more mailboxes that had room: whoever hears of it
        # may send.
        self._loop.call_soon(self._tell_displaced, oldest)
        return None

    def _tell_displaced(self, envelope: Envelope) -> None:
        _, message, token = envelope
        if token is not None:
            token.displaced()
        else:
            undeliverable(self._node, self.owner, message, "drop_oldest")

    def _indexed(self) -> IndexedQueue:
        queue = self.queue
        if not isinstance(queue, IndexedQueue):
            queue = self.queue = IndexedQueue(self, system_first=self.policy.system_first)
        return queue
