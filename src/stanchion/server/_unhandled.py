# SPDX-License-Identifier: MIT
"""Messages that a server does not take: it has no clause for them, or rejects them."""

from __future__ import annotations

from stanchion.kernel import Envelope, Process, log_lost, undeliverable
from stanchion.server._call import Sender
from stanchion.server._directives import Reject
from stanchion.telemetry import MESSAGE_UNHANDLED


def tell_unhandled(process: Process, envelope: Envelope, callback: str) -> None:
    """Tell of a message for which a callback has no clause, and whoever waits for it."""
    kind, message, token = envelope
    node, where = process.node, f"{process.label}.{callback}"
    if node.telemetry.attached:
        details = {"node": node.name, "pid": process.pid, "name": process.pid.name, "kind": kind, "message": message}
        node.telemetry.emit(MESSAGE_UNHANDLED, {"count": 1}, details)
    if not isinstance(token, Sender):  # a caller gets an error, which says enough
        log_lost(node, process.pid, message, f"{where}() has no clause for it")
    if token is not None:
        token.refused(where, known=False, retry=False)


def tell_rejected(process: Process, envelope: Envelope, rejection: Reject) -> None:
    """Tell of a cast that a callback refused, or whoever waits for it."""
    _, message, token = envelope
    if token is None:
        undeliverable(process.node, process.pid, message, f"rejected: {rejection.detail}")
    else:
        token.refused(rejection.detail, known=True, retry=rejection.retry, handled=rejection.handled)
