# SPDX-License-Identifier: MIT
"""Keeping a message back: its callback has returned, and it is settled later.

For servers inside the runtime that postpone messages. A callback that held or settled what is in hand returns ``HELD``,
and the loop does neither. Whoever waits for a message that is held waits on, and hears of the process's exit as for any
other. The server keeps the envelope, and later takes it up again, as if it had just come out of the mailbox.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from stanchion.kernel import defer, is_repeated
from stanchion.server._call import Sender

if TYPE_CHECKING:
    from stanchion.kernel import Envelope, Process


def hold(process: Process, *, handled: bool = True) -> Envelope:
    """Hold the message that a process handles now, and return it; nothing is in hand afterwards.

    Only the process's own callbacks call this, with a message in hand.

    Args:
        process: The running process.
        handled: Whether it was handled, and only its outcome is owed; false for one that is kept to be handled later.
            So it is told if the process exits first.
    """
    envelope = cast("Envelope", process.handling)
    process.handling = None
    token = envelope[2]
    # A caller that stopped waiting is not waited for; it would stay here until the process ends.
    if token is not None and not (isinstance(token, Sender) and not token.waiting):
        defer(process, token, handled=handled)
    return envelope


def take_up(process: Process, envelope: Envelope) -> bool:
    """Make a held message the one that the process handles now; the one in hand must be held or settled.

    Returns:
        False when its sender took it back, or it was handled before; then nothing is in hand. A call whose caller
        stopped waiting is handled, as it would be if it came out of the mailbox.
    """
    token = envelope[2]
    if token is not None:
        held = None if process.deferred is None else process.deferred.pop(token, None)
        if held is None and not isinstance(token, Sender):
            return False
        if is_repeated(process, token):  # its double was handled meanwhile
            return False
    process.handling = envelope
    return True


def settle(process: Process, outcome: object = None) -> None:
    """Settle the message in hand, which it then is not any more: reply with ``outcome``, or confirm a supervised send."""
    if process.handling is not None:
        token = process.handling[2]
        process.handling = None
        if isinstance(token, Sender):
            token.settle(outcome)
        elif token is not None:
            token.processed()
