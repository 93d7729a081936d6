# SPDX-License-Identifier: MIT
"""Handling a message once: a process remembers what it has handled of what may be sent to it again.

A sender whose ack was lost sends the same message again. Such a message comes with the kind ONCE, and is looked up here
when the process takes it in hand; the ordinary first attempt of a message is neither looked up nor remembered.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final, TypeGuard

from stanchion._validate import Seconds, seconds_or_none, whole_number
from stanchion.kernel._context import PROCESS
from stanchion.kernel._mailbox import ONCE, Token
from stanchion.telemetry import MESSAGE_DUPLICATE

if TYPE_CHECKING:
    from stanchion.kernel._process import Process


class DedupWindow:
    """How many handled messages each process remembers, and for how long.

    What it remembers is the message id of a supervised send that has an ``idempotency_key``, that came a second time, or
    whose sender had stopped waiting for its ack; no other message costs anything. It forgets when it exits.

    Args:
        size: How many ids; beyond that, the oldest are forgotten. 0 remembers none, so nothing is ever a duplicate. One
            takes some 200 bytes.
        age: Seconds for which an id is remembered; None for as long as there is room. 0 remembers none.

    Raises:
        InvalidOptionError: an argument is wrong.
    """

    __slots__ = ("age", "size")

    def __init__(self, size: int = 10_000, age: Seconds | None = 3600.0) -> None:
        self.size: Final = whole_number("DedupWindow(size)", size)
        self.age: Final = seconds_or_none("DedupWindow(age)", age)

    def __repr__(self) -> str:
        return f"DedupWindow(size={self.size}, age={self.age})"


DEFAULT_DEDUP: Final = DedupWindow()


class Once(ABC):
    """What the token of a message with an id is besides: it may have come before."""

    __slots__ = ()
    message_id: str

    @abstractmethod
    def repeated(self) -> None:
        """Take note that the receiver has handled this message before, and does not again."""


class Handled:
    """The ids of the messages that one process has handled, and remembers."""

    __slots__ = ("_at", "_process")

    def __init__(self, process: Process) -> None:
        self._process = process
        # When each was handled, the oldest first.
        self._at: dict[str, float] = {}

    def __contains__(self, message_id: str) -> bool:
        at = self._at.get(message_id)
        return at is not None and not self._is_old(at)

    def add(self, message_id: str) -> None:
        """Remember a message, and forget those that there is no room for, or that are too old."""
        at = self._at
        at.pop(message_id, None)
        at[message_id] = self._process.node.clock.monotonic()
        while at and (len(at) > self._process.node.dedup.size or self._is_old(next(iter(at.values())))):
            del at[next(iter(at))]

    def _is_old(self, at: float) -> bool:
        node = self._process.node
        return node.dedup.age is not None and node.clock.monotonic() - at >= node.dedup.age


def remember(message_id: str) -> None:
    """Have the running process remember that it has handled a message."""
    process = PROCESS.get()
    if process is not None:
        if process.handled is None:
            process.handled = Handled(process)
        process.handled.add(message_id)


def is_repeated(process: Process, token: Token | None) -> bool:
    """Return whether a message that was taken in hand was handled before; its sender is told if so."""
    if not _was_handled(token, process):
        return False
    _tell(process, token)
    return True


def skip_repeated(process: Process) -> bool:
    """Take the messages that were handled before off the head of the mailbox; return whether there were any."""
    mailbox, skipped = process.mailbox, False
    while mailbox.queue:
        kind, _, token = mailbox.queue[0]
        if kind != ONCE or not _was_handled(token, process):
            break
        # Before it is told: whoever hears of it may send, and then something else may be at the head.
        mailbox.queue.popleft()
        _tell(process, token)
        skipped = True
    return skipped


def _was_handled(token: Token | None, process: Process) -> TypeGuard[Once]:
    return process.handled is not None and isinstance(token, Once) and token.message_id in process.handled


def _tell(process: Process, token: Once) -> None:
    node = process.node
    if node.telemetry.attached:
        about = {"node": node.name, "pid": process.pid, "name": process.pid.name, "message_id": token.message_id}
        node.telemetry.emit(MESSAGE_DUPLICATE, {"count": 1}, about)
    token.repeated()
