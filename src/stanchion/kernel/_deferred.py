# SPDX-License-Identifier: MIT
"""What a process owes: messages whose callback has returned, and whose outcome comes later."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from stanchion.kernel._mailbox import Token
    from stanchion.kernel._process import Process


class Deferred(NamedTuple):
    """How one message stands whose outcome was put off.

    Attributes:
        handled: Whether it was handled, and only the outcome is owed; false for one that is kept to be handled later.
        since: From when on, on the node's monotonic clock.
    """

    handled: bool
    since: float


class Postponable:
    """A token whose sender holds other messages back until this one is handled, and not if it is kept for later.

    What it is kept for may be one of those others.
    """

    __slots__ = ()

    def postponed(self) -> None:
        """Take note that the receiver keeps the message to handle it later; its outcome is told then."""


def defer(process: Process, token: Token, *, handled: bool) -> None:
    """Have whoever waits for a message wait on; if the process exits first, it is told so as for any other."""
    if process.deferred is None:
        process.deferred = {}
    process.deferred[token] = Deferred(handled, process.node.clock.monotonic())
    if not handled and isinstance(token, Postponable):
        token.postponed()
