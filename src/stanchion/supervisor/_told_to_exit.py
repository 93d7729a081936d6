# SPDX-License-Identifier: MIT
"""A supervisor that waits for something hears the order to exit all the same."""

from __future__ import annotations

import asyncio
from typing import Any

from stanchion.kernel import INFO, STOP, Envelope, Exit, ExitReason, Owned, Process, own, owned_of
from stanchion.supervisor._alarm import Alarm


class ToldToExit(Exception):  # noqa: N818  # a signal, which never leaves the supervisor
    """The supervisor was told to exit while it waited for a child's start."""

    def __init__(self, reason: ExitReason) -> None:
        super().__init__(reason)
        self.reason: ExitReason = reason


class _Look(Owned):
    """What a supervisor owns that has looked into its mailbox: up to where that held no order.

    Without it, a start would take the longer, the more requests and exits wait behind it.
    """

    __slots__ = ("last",)

    def __init__(self) -> None:
        # The last envelope that it saw; None when there was none.
        self.last: Envelope | None = None


def order_to_exit(supervisor: Process) -> ExitReason | None:
    """Return the reason of the parent's exit signal, or of a stop, that the mailbox holds: the first one's.

    Each envelope is looked at once, until one is an order. Only the supervisor's own task asks.
    """
    reason: ExitReason | None = None
    queue = supervisor.mailbox.queue
    look = _look_of(supervisor)
    # Backwards, and not from an index on: envelopes are withdrawn meanwhile, and then what is behind them moves up. If
    # the last one itself is gone, this looks at all of them once more.
    for envelope in reversed(queue):
        if envelope is look.last:
            break
        kind, message, _ = envelope
        if kind == STOP:
            reason = message  # type: ignore[assignment]  # a STOP carries an exit reason
        elif kind == INFO and isinstance(message, Exit) and message.pid is supervisor.parent:
            reason = message.reason
    if reason is None:
        look.last = queue[-1] if queue else None
    return reason


def _look_of(supervisor: Process) -> _Look:
    # It is among the first things that a supervisor owns, so this takes no time.
    look = owned_of(supervisor, _Look)
    if look is None:
        look = _Look()
        own(supervisor, look)
    return look


async def done_unless_told(supervisor: Process, work: asyncio.Future[Any], limit: float | None = None) -> bool:
    """Wait until ``work`` is done, and return True; or return False when ``limit`` seconds have passed.

    Raises:
        ToldToExit: the supervisor is told to exit; the work may go on.
    """
    alarm = Alarm(supervisor.node, limit)
    try:
        while not work.done() and not alarm.rung.done():
            # This code runs in the supervisor's task, the mailbox's one reader, so it may wait on the mailbox.
            waits: set[asyncio.Future[Any]] = {work, supervisor.mailbox.wait(), alarm.rung}
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            order = order_to_exit(supervisor)
            if order is not None:
                raise ToldToExit(order)
        return work.done()
    finally:
        alarm.cancel()
