# SPDX-License-Identifier: MIT
"""The table of events: every event that Stanchion emits, with what it measures and what it tells.

Event names are public and permanent. The reference page is generated from this table.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Event(NamedTuple):
    """One kind of event.

    Attributes:
        name: The permanent name, as segments.
        meaning: When it is emitted, in one sentence.
        measurements: The numbers it carries: key to unit and meaning.
        metadata: What else it carries: key to meaning.
    """

    name: tuple[str, ...]
    meaning: str
    measurements: dict[str, str]
    metadata: dict[str, str]


_PROCESS: Final = {"node": "name of the node", "pid": "the process", "name": "its registered name, or None"}

PROCESS_EXIT: Final = Event(
    ("stanchion", "process", "exit"),
    "A process ended.",
    {"unhandled": "messages left in its mailbox"},
    {
        **_PROCESS,
        "reason": "the exit reason",
        "heard": "whether anybody hears of it: by a link or a monitor, or who waits for an answer",
    },
)
PROCESS_RUNAWAY: Final = Event(
    ("stanchion", "process", "runaway"),
    "A process was told to exit and its task did not end in time; it is declared dead.",
    {"grace": "seconds it was given"},
    {**_PROCESS, "reason": "the exit reason"},
)
HANDLER_BLOCKED: Final = Event(
    ("stanchion", "handler", "blocked"),
    "A handler blocks the event loop for longer than the node's threshold.",
    {"seconds": "the threshold, which it has blocked for at least"},
    {**_PROCESS, "handler": "what runs, as text", "stack": "the stack, as text"},
)
DEAD_LETTER: Final = Event(
    ("stanchion", "message", "dead_letter"),
    "A message went to nobody: its recipient is gone or was never there.",
    {"count": "1"},
    {"node": "name of the node", "recipient": "the pid or name", "message": "the message", "reason": "why"},
)
DROPPED: Final = Event(
    ("stanchion", "message", "dropped"),
    "A live recipient's mailbox was full, and a message whose sender does not wait for an outcome was lost.",
    {"count": "1"},
    {
        "node": "name of the node",
        "recipient": "the pid or name",
        "message": "the message",
        "reason": "overflow, drop_newest, drop_oldest (this one, not the one that came), or no_credit (in time)",
    },
)
MESSAGE_UNHANDLED: Final = Event(
    ("stanchion", "message", "unhandled"),
    "A server had no clause for a message.",
    {"count": "1"},
    {**_PROCESS, "kind": "call, cast or info", "message": "the message"},
)
MESSAGE_DUPLICATE: Final = Event(
    ("stanchion", "message", "duplicate"),
    "A process was sent a message again that it had handled; it was confirmed, and not handled again.",
    {"count": "1"},
    {**_PROCESS, "message_id": "the id"},
)
MESSAGE_EXPIRED: Final = Event(
    ("stanchion", "message", "expired"),
    "A process came to a message whose deadline had passed, and did not begin with it.",
    {"count": "1", "lateness": "seconds since the deadline"},
    {**_PROCESS, "kind": "call, cast, info or system", "message": "the message"},
)
MONITOR_LEAK: Final = Event(
    ("stanchion", "monitor", "leak"),
    "The node's check found monitors that look leaked, or more of them than before.",
    {"count": "how many", "age": "seconds since the oldest one was made"},
    {
        "node": "name of the node",
        "kind": "dropped, outlived, unread, repeated or owner_gone",
        "tag": "their tag, or None",
        "site": "the file and line where they were made",
        "owner": "the process that has them; one of several",
        "target": "the process that they monitor; None when there are several",
        "why": "what is wrong, for people",
    },
)
MONITORS_CHECKED: Final = Event(
    ("stanchion", "monitor", "checked"),
    "The node has looked for leaked monitors.",
    {"monitors": "how many monitors there are", "leaks": "how many of them look leaked"},
    {"node": "name of the node"},
)
LATE_REPLY: Final = Event(
    ("stanchion", "call", "late_reply"),
    "A reply came after its caller had stopped waiting, or a second time; it was dropped.",
    {"count": "1", "lateness": "seconds since the caller stopped waiting; left out when it was answered before"},
    {
        **_PROCESS,
        "request": "what the caller had sent",
        "cause": "timeout, cancelled, exited (the server, before), or replied",
    },
)
CHILD_RESTART: Final = Event(
    ("stanchion", "supervisor", "restart"),
    "A supervisor restarts a child.",
    {
        "restarts": "restarts inside the window of the supervisor, or of the child's own budget, this one included",
        "attempt": "restarts of this child in a row, this one included",
        "delay": "seconds until it starts; 0 without a backoff",
    },
    {**_PROCESS, "child_id": "the id in the child_spec", "reason": "why it exited, or why the last try failed"},
)
GAVE_UP: Final = Event(
    ("stanchion", "supervisor", "gave_up"),
    "A child needs a restart more than is allowed.",
    {
        "restarts": "restarts inside the window of the supervisor, or of the child's own budget, with this one",
        "attempt": "restarts of this child in a row, with this one",
    },
    {
        **_PROCESS,
        "child_id": "the id in the child_spec",
        "reason": "why it exited, or why the last try failed",
        "stops": "supervisor, which exits; or child, which is left stopped, for it has a budget",
    },
)
APPLICATION_START: Final = Event(
    ("stanchion", "application", "start"),
    "An application has started: its whole tree runs.",
    {"elapsed": "seconds from the start of its tree"},
    {
        "node": "name of the node",
        "application": "its name",
        "pid": "its top supervisor",
        "type": "permanent, transient or temporary",
    },
)
APPLICATION_STOP: Final = Event(
    ("stanchion", "application", "stop"),
    "An application that had started has stopped, or has ended by itself.",
    {"elapsed": "seconds from the order, or from the end of its tree, until its stop callback was done"},
    {
        "node": "name of the node",
        "application": "its name",
        "type": "permanent, transient or temporary",
        "reason": "the exit reason of its top supervisor",
        "asked": "whether it was told to stop",
    },
)
DELIVERY_RETRY: Final = Event(
    ("stanchion", "delivery", "retry"),
    "An attempt of a supervised send failed and will be repeated.",
    {"attempt": "the attempt that failed, from 1", "delay": "seconds until the next one"},
    {"node": "name of the node", "recipient": "the pid or name", "message_id": "the id", "reason": "why it failed"},
)
DELIVERY_POISON: Final = Event(
    ("stanchion", "delivery", "poison"),
    "A message crashed its receiver as often as poison_after allows, and is sent to nobody any more.",
    {"crashes": "how many times"},
    {
        "node": "name of the node",
        "recipient": "the pid or name",
        "message_id": "the id",
        "reason": "the exit reason of the last crash",
    },
)
DELIVERY_STOP: Final = Event(
    ("stanchion", "delivery", "stop"),
    "A supervised send ended.",
    {"elapsed": "seconds from the call to the outcome", "attempts": "how many attempts were made"},
    {
        "node": "name of the node",
        "recipient": "the pid or name",
        "message_id": "the id",
        "outcome": "confirmed, rejected or unknown",
        "reason": "why it was not confirmed, or None",
        "duplicate": "whether the receiver had handled it before, and did not again",
        "dead_letter_id": "the id of the letter that keeps it, or None",
    },
)
_CIRCUIT: Final = {
    "node": "name of the node",
    "breaker": "name of the circuit breaker",
    "reason": "why, for people",
}

CIRCUIT_OPENED: Final = Event(
    ("stanchion", "circuit", "opened"),
    "A circuit opened: calls and sends through it are rejected.",
    {
        "elapsed": "seconds in the state before",
        "retry_after": "seconds until a probe is let through; left out after trip(), for then only reset() helps",
    },
    _CIRCUIT,
)
CIRCUIT_HALF_OPENED: Final = Event(
    ("stanchion", "circuit", "half_opened"),
    "A circuit that was open lets its first probe through.",
    {"elapsed": "seconds that it was open"},
    _CIRCUIT,
)
CIRCUIT_CLOSED: Final = Event(
    ("stanchion", "circuit", "closed"),
    "A circuit closed: calls and sends go through it again.",
    {"elapsed": "seconds in the state before"},
    _CIRCUIT,
)
CIRCUIT_REJECTED: Final = Event(
    ("stanchion", "circuit", "rejected"),
    "A circuit did not let a call or a send through.",
    {"count": "1"},
    {**_CIRCUIT, "state": "open, or half_open while the probe is under way"},
)
TIMEOUTS_RELOADED: Final = Event(
    ("stanchion", "timeouts", "reloaded"),
    "The file of the node's timeout policy had changed; its rules hold now.",
    {"rules": "how many rules there are now"},
    {"node": "name of the node", "file": "the file"},
)
TIMEOUTS_RELOAD_FAILED: Final = Event(
    ("stanchion", "timeouts", "reload_failed"),
    "The file of the node's timeout policy had changed, and cannot be loaded; the rules stay as they were.",
    {"count": "1"},
    {"node": "name of the node", "file": "the file", "error": "what is wrong with it, as text"},
)
LETTER_STORED: Final = Event(
    ("stanchion", "dead_letters", "stored"),
    "A dead letter was committed.",
    {"count": "1"},
    {"id": "the letter", "recipient": "to whom it was sent", "reason": "why it failed"},
)
LETTER_DELIVERED: Final = Event(
    ("stanchion", "dead_letters", "delivered"),
    "A dead letter was delivered at last.",
    {"attempts": "redeliveries, this one included"},
    {"id": "the letter", "recipient": "to whom it was sent"},
)
LETTER_EXHAUSTED: Final = Event(
    ("stanchion", "dead_letters", "exhausted"),
    "A dead letter used up its redeliveries.",
    {"attempts": "redeliveries made"},
    {"id": "the letter", "recipient": "to whom it was sent", "reason": "why the last one failed"},
)

_OUTBOX: Final = {"node": "name of the node", "recipient": "to whom it is sent", "message_id": "the id"}

OUTBOX_STORED: Final = Event(
    ("stanchion", "outbox", "stored"),
    "A durable message was committed, and will be delivered.",
    {"count": "1"},
    _OUTBOX,
)
OUTBOX_DELIVERED: Final = Event(
    ("stanchion", "outbox", "delivered"),
    "A durable message was confirmed, and removed from the outbox.",
    {"count": "1"},
    _OUTBOX,
)
OUTBOX_GIVEN_UP: Final = Event(
    ("stanchion", "outbox", "given_up"),
    "A durable message was not confirmed in all its attempts, and removed from the outbox; it is a dead letter.",
    {"count": "1"},
    _OUTBOX,
)
OUTBOX_RESUMED: Final = Event(
    ("stanchion", "outbox", "resumed"),
    "Durable messages that were left by nodes that are gone were taken over.",
    {"count": "how many"},
    {"node": "name of the node that found them"},
)

LETTERS_PURGED: Final = Event(
    ("stanchion", "dead_letters", "purged"),
    "Dead letters were deleted, by hand or for their age.",
    {"count": "how many; a large purge is several events"},
    {"store": "the store, as text"},
)
LETTERS_GROWTH: Final = Event(
    ("stanchion", "dead_letters", "growth"),
    "More dead letters were added within a time than the queue's growth alarm allows.",
    {"letters": "how many were added", "seconds": "in how many seconds"},
    {"store": "the store, as text"},
)

LEASE_LOST: Final = Event(
    ("stanchion", "lease", "lost"),
    "Another node has taken over what this one held, for this one gave no sign of life for too long.",
    {"held": "seconds that it was held"},
    {"node": "name of the node", "lease": "what was held", "owner": "who held it"},
)

_SIGNAL: Final = {"node": "name of the node", "type": "the type of the signal", "signal_id": "its id"}
_SUBSCRIBER: Final = {
    "pattern": "the pattern of the subscription",
    "subscriber": "the process, callback or stream, or the name of a durable subscription",
}

SIGNAL_ROUTED: Final = Event(
    ("stanchion", "router", "routed"),
    "A signal was published.",
    {
        "matched": "how many subscriptions it matched",
        "seconds": "how long it took to find them",
    },
    _SIGNAL,
)
SIGNAL_DELIVERED: Final = Event(
    ("stanchion", "router", "delivered"),
    "A subscriber has handled a signal.",
    {"buffered": "seconds from its publication until it left the buffer", "seconds": "seconds until it was handled"},
    {**_SIGNAL, **_SUBSCRIBER},
)
SIGNAL_DROPPED: Final = Event(
    ("stanchion", "router", "dropped"),
    "A signal did not come to a subscriber, or had none.",
    {"count": "1"},
    {
        **_SIGNAL,
        "pattern": "the pattern of the subscription; None where there was none",
        "subscriber": "whose it is; None where there was none",
        "reason": "no_subscriber, filtered (by a hook), reject, drop_newest, drop_oldest, timeout, cancelled, "
        "filter_failed, failed, refused, exited, unsubscribed, stopped or not_stored",
    },
)
SUBSCRIBER_SLOW: Final = Event(
    ("stanchion", "router", "slow"),
    "The buffer of a subscription has filled to its threshold; told again after it was half as full.",
    {"buffered": "how many signals wait in it", "buffer": "how many it takes"},
    {"node": "name of the node", **_SUBSCRIBER},
)

_SCHEDULE: Final = {"node": "name of the node", "schedule": "its id", "due": "the due time, in Unix seconds"}

SCHEDULE_STARTED: Final = Event(
    ("stanchion", "schedule", "started"),
    "A run of a schedule began.",
    {"lateness": "seconds since the due time"},
    _SCHEDULE,
)
SCHEDULE_STOPPED: Final = Event(
    ("stanchion", "schedule", "stopped"),
    "A run of a schedule ended.",
    {"elapsed": "seconds from its beginning"},
    {**_SCHEDULE, "outcome": "confirmed, rejected, unknown, failed or cancelled", "reason": "why, as text; or None"},
)
SCHEDULE_MISSED: Final = Event(
    ("stanchion", "schedule", "missed"),
    "A schedule was not run at a due time, and will not be for it.",
    {"count": "1, or how many of a long row, of which this is the first", "lateness": "seconds since the due time"},
    {
        **_SCHEDULE,
        "reason": "late, coalesced, overrun, paused or cancelled",
        "last": "the due time of the last of them",
    },
)
CLOCK_JUMPED: Final = Event(
    ("stanchion", "scheduler", "clock_jumped"),
    "The machine's clock was set, or the machine was asleep: schedules by the wall clock are looked at anew.",
    {"seconds": "how far it went, less than 0 for back"},
    {"node": "name of the node"},
)

EVENTS: Final[tuple[Event, ...]] = tuple(value for value in list(globals().values()) if isinstance(value, Event))
"""Every event, in the order of this file."""
