# SPDX-License-Identifier: MIT
"""Where faults sit: in a mailbox whose class is another one for as long as they last.

So production code has no hook for them and pays nothing.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import ClassVar, Literal, Protocol

from stanchion.kernel import PROCESS, STOP, Envelope, Mailbox, Process, Refusal, Token, defer, undeliverable

Verb = Literal["drop", "delay", "duplicate", "crash_on"]


class Hitting(Protocol):
    """A fault, as its mailbox knows it."""

    @property
    def verb(self) -> Verb:
        """What it does to a message."""
        ...

    @property
    def seconds(self) -> float:
        """How long it delays a message."""
        ...

    @property
    def error(self) -> BaseException:
        """What it makes the receiver crash with."""
        ...

    def draw(self, message: object) -> bool:
        """Take note of a message that comes; return whether it is one to hit."""
        ...

    def hit(self, message: object) -> None:
        """Take note of a message that was hit."""
        ...


class Post:
    """What stands before one mailbox: its faults, and the messages that they delay."""

    def __init__(self, process: Process) -> None:
        self.faults: list[Hitting] = []
        self._process = process
        # Messages on their way, by sender, those of each in order. What a sender sent later waits behind them, for
        # messages of one sender never overtake each other. Senders outside of processes count as one.
        self._late: dict[Process | None, deque[_Late]] = {}
        self._before: type[Mailbox] = type(process.mailbox)
        # Without __slots__ of its own, the subclass would have another layout than the mailbox.
        bases = (_FaultyMailbox, self._before)
        process.mailbox.__class__ = type("FaultyMailbox", bases, {"__slots__": (), "post": self})

    def remove(self, fault: Hitting) -> None:
        """End a fault. With the last one the mailbox becomes what it was, once all that was delayed has come."""
        self.faults.remove(fault)
        self._leave()

    def take(self, envelope: Envelope) -> Refusal | None:
        """Do with a message that is sent what the first fault says that hits it."""
        mailbox = self._process.mailbox
        if mailbox.refusal_of(1) is not None:
            return self._before.put(mailbox, envelope)
        _, message, token = envelope
        hitting = [fault for fault in self.faults if fault.draw(message)]
        if not hitting:
            self._send(envelope)
            return None
        fault = hitting[0]
        fault.hit(message)
        match fault.verb:
            case "drop":
                self._owe(token)
            case "delay":
                self._send(envelope, fault.seconds)
            case "duplicate":
                self._send(envelope)
                self._send((*envelope,))
            case _:  # crash_on
                self._send((STOP, fault.error, token))
        return None

    def withdraw(self, envelope: Envelope) -> bool:
        """Take a message back, its double and what took its place, too; return whether it was still on its way."""
        token = envelope[2]

        def other(queued: Envelope) -> bool:
            return queued is not envelope and (token is None or queued[2] is not token)

        mailbox = self._process.mailbox
        hit = [queued for queued in mailbox.queue if not other(queued)]
        for queued in hit:
            self._before.withdraw(mailbox, queued)
        found = bool(hit) or mailbox.leave_line(envelope)
        for late in self._late.values():
            for entry in late:
                if entry.envelope is not None and not other(entry.envelope):
                    entry.envelope, found = None, True
        return found

    def _send(self, envelope: Envelope, delay: float = 0.0) -> None:
        """Have a message arrive, behind those that its sender sent before."""
        sender, clock = PROCESS.get(), self._process.node.clock
        late = self._late.get(sender)
        if late is None and not delay:
            self._before.put(self._process.mailbox, envelope)
            return
        if late is None:
            late = self._late[sender] = deque()
        due = max(clock.monotonic() + delay, late[-1].due if late else 0.0)
        late.append(_Late(due, envelope))
        self._owe(envelope[2])
        clock.call_at(due, partial(self._arrive, sender))

    def _arrive(self, sender: Process | None) -> None:
        """Let the first message of a sender arrive. There is one timer for each, and they come in their order."""
        late = self._late[sender]
        envelope = late.popleft().envelope
        if not late:
            del self._late[sender]
            self._leave()
        if envelope is None:
            return
        process, token = self._process, envelope[2]
        if not process.mailbox.closed:
            if token is not None:
                (process.deferred or {}).pop(token, None)
            Mailbox.put_system(process.mailbox, envelope)  # it was taken, and keeps its place whatever came meanwhile
        elif token is None:  # else its waiter hears of the exit
            undeliverable(process.node, process.pid, envelope[1], "noproc")

    def _owe(self, token: Token | None) -> None:
        """Have the receiver's exit told to whoever waits for a message that is not in the mailbox, as OTP's call does."""
        if token is not None:
            defer(self._process, token, handled=False)

    def _leave(self) -> None:
        if not self.faults and not self._late:
            self._process.mailbox.__class__ = self._before


class _Late:
    """A message on its way; None once it was taken back."""

    __slots__ = ("due", "envelope")

    def __init__(self, due: float, envelope: Envelope) -> None:
        self.due = due
        self.envelope: Envelope | None = envelope


class _FaultyMailbox(Mailbox):
    """A mailbox with faults; each has a subclass of its own, which keeps its post."""

    __slots__ = ()
    post: ClassVar[Post]

    def put(self, envelope: Envelope) -> Refusal | None:
        return self.post.take(envelope)

    def withdraw(self, envelope: Envelope) -> bool:
        return self.post.withdraw(envelope)


def post_of(process: Process) -> Post:
    """Return what stands before a process's mailbox; it is put there when there is none."""
    mailbox = process.mailbox
    return mailbox.post if isinstance(mailbox, _FaultyMailbox) else Post(process)
