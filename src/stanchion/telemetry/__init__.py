# SPDX-License-Identifier: MIT
"""What happens is told here: named events, to whoever attached to them, per node.

The kinds of events are constants of this module (``PROCESS_EXIT``, ``DROPPED``, …), all of them in
``EVENTS``. Attach with ``node.telemetry.attach(event, handler)``.
"""

from __future__ import annotations

from stanchion._public import show_public_path
from stanchion.telemetry._events import (
    APPLICATION_START,
    APPLICATION_STOP,
    CHILD_RESTART,
    CIRCUIT_CLOSED,
    CIRCUIT_HALF_OPENED,
    CIRCUIT_OPENED,
    CIRCUIT_REJECTED,
    DEAD_LETTER,
    DELIVERY_POISON,
    DELIVERY_RETRY,
    DELIVERY_STOP,
    DROPPED,
    EVENTS,
    GAVE_UP,
    HANDLER_BLOCKED,
    LATE_REPLY,
    LETTER_DELIVERED,
    LETTER_EXHAUSTED,
    LETTER_STORED,
    LETTERS_GROWTH,
    LETTERS_PURGED,
    MESSAGE_DUPLICATE,
    MESSAGE_EXPIRED,
    MESSAGE_UNHANDLED,
    MONITOR_LEAK,
    MONITORS_CHECKED,
    OUTBOX_DELIVERED,
    OUTBOX_GIVEN_UP,
    OUTBOX_RESUMED,
    OUTBOX_STORED,
    PROCESS_EXIT,
    PROCESS_RUNAWAY,
    TIMEOUTS_RELOAD_FAILED,
    TIMEOUTS_RELOADED,
    Event,
)
from stanchion.telemetry._telemetry import Handler, Telemetry

__all__ = [
    "APPLICATION_START",
    "APPLICATION_STOP",
    "CHILD_RESTART",
    "CIRCUIT_CLOSED",
    "CIRCUIT_HALF_OPENED",
    "CIRCUIT_OPENED",
    "CIRCUIT_REJECTED",
    "DEAD_LETTER",
    "DELIVERY_POISON",
    "DELIVERY_RETRY",
    "DELIVERY_STOP",
    "DROPPED",
    "EVENTS",
    "GAVE_UP",
    "HANDLER_BLOCKED",
    "LATE_REPLY",
    "LETTERS_GROWTH",
    "LETTERS_PURGED",
    "LETTER_DELIVERED",
    "LETTER_EXHAUSTED",
    "LETTER_STORED",
    "MESSAGE_DUPLICATE",
    "MESSAGE_EXPIRED",
    "MESSAGE_UNHANDLED",
    "MONITORS_CHECKED",
    "MONITOR_LEAK",
    "OUTBOX_DELIVERED",
    "OUTBOX_GIVEN_UP",
    "OUTBOX_RESUMED",
    "OUTBOX_STORED",
    "PROCESS_EXIT",
    "PROCESS_RUNAWAY",
    "TIMEOUTS_RELOADED",
    "TIMEOUTS_RELOAD_FAILED",
    "Event",
    "Handler",
    "Telemetry",
]

show_public_path(globals())
