# SPDX-License-Identifier: MIT
"""A supervisor that waits for something hears the order to exit all the same."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from stanchion.kernel import INFO, STOP, Envelope, Exit, ExitReason, Pid, Process, own


class ToldToExit(Exception):  # noqa: N818  # a signal, which never leaves the supervisor
    """The supervisor was told to exit while it waited for a child's start."""

    def __init__(self, reason: ExitReason) -> None:
        super().__init__(reason)
        self.reason: ExitReason = reason


# The last envelope of each live supervisor's last look: what is in its mailbox up to there holds no order. Without this,
# a start would take the longer, the more requests and exits wait behind it.
_seen: Final[dict[Pid, Envelope]] = {}


def order_to_exit(supervisor: Process) -> ExitReason | None:
    """Return the reason of the parent's exit signal, or of a stop, that the mailbox holds: the first one's.

    Each envelope is looked at once, until one is an order. Only the supervisor's own task asks.
    """
    reason: ExitReason | None = None
    queue = supervisor.mailbox.queue
    seen = _seen.get(supervisor.pid)
    # Backwards, and not from an index on: envelopes are withdrawn meanwhile, and then what is behind them moves up. If
    # `seen` itself is gone, this looks at all of them once more.
    for envelope in reversed(queue):
        if envelope is seen:
            break
        kind, message, _ = envelope
        if kind == STOP:
            reason = message  # type: ignore[assignment]  # a STOP carries an exit reason
        elif kind == INFO and isinstance(message, Exit) and message.pid is supervisor.parent:
            reason = message.reason
    if reason is None and queue:
        if seen is None:
            own(supervisor, _Look(supervisor.pid))
        _seen[supervisor.pid] = queue[-1]
    return reason


class _Look:
    """What a supervisor owns that has looked."""

    __slots__ = ("_pid",)

    def __init__(self, pid: Pid) -> None:
        self._pid = pid

    def release(self) -> None:
        """Forget how far it has looked; the kernel calls this when it exits."""
        del _seen[self._pid]


async def done_unless_told(supervisor: Process, work: asyncio.Future[Any], limit: float | None = None) -> bool:
    """Wait until ``work`` is done, and return True; or return False when ``limit`` seconds have passed.

    Raises:
        ToldToExit: the supervisor is told to exit; the work may go on.
    """
    loop = supervisor.node.loop
    deadline = None if limit is None else loop.time() + limit
    mailbox = supervisor.mailbox
    while not work.done():
        # This code runs in the supervisor's task, the mailbox's one reader, so it may wait on the mailbox.
        waits: set[asyncio.Future[Any]] = {work, mailbox.wait()}
        left = None if deadline is None else max(0.0, deadline - loop.time())
        await asyncio.wait(waits, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        order = order_to_exit(supervisor)
        if order is not None:
            raise ToldToExit(order)
        if deadline is not None and loop.time() >= deadline:
            break
    return work.done()
