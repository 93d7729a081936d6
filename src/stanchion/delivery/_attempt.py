# SPDX-License-Identifier: MIT
"""One attempt: put the message into the recipient's mailbox, and wait for the ack."""

from __future__ import annotations

import asyncio
from typing import Final

from stanchion.delivery._delivery import Ack, Failure, Reason
from stanchion.delivery._options import Options
from stanchion.delivery._receipt import DROPPED, TIMED_OUT, Notice, OnceNotice, OnceReceipt, Receipt
from stanchion.delivery._timed_out import explained
from stanchion.errors import InvalidOptionError
from stanchion.kernel import CAST, ONCE, PROCESS, Deadline, Envelope, Node, Pid, Process, Ref, Refusal, find

_ENQUEUED: Final = Ack.ENQUEUED
_NEVER_BEGUN: Final = TIMED_OUT._replace(handled=False)

REFUSALS: Final[dict[Refusal, Failure]] = {
    "noproc": Failure(Reason.NOPROC, handled=False, retry=True),
    "overflow": Failure(Reason.OVERFLOW, handled=False, retry=True),
    "drop_newest": DROPPED,
}
"""What an attempt ends with when no mailbox takes the message."""


def recipient(ref: Ref, ack: Ack, operation: str = "send_supervised") -> Process | None:
    """Return the process that a ref means now, or None.

    Raises:
        InvalidOptionError: the ref is none; or a process would wait for itself to process the message.
        NoNodeError: a name, outside of every node.
    """
    pid = ref if type(ref) is Pid else find(ref, f"{operation}(ref)")
    process = None if pid is None else pid._process
    if (
        process is not None
        and process is PROCESS.get()
        and process.task is asyncio.current_task()
        and ack is not _ENQUEUED
    ):
        raise InvalidOptionError(
            f"{operation}(ref)",
            expected="another process, since a process cannot handle a message while it waits for that",
            got=f"the sending process itself, {process!r}",
            fix="pass ack='enqueued', or cast to yourself.",
        )
    return process


def enqueue(
    node: Node,
    process: Process,
    message: object,
    options: Options,
    message_id: str,
    number: int,
    until: float | None,
    deadline: Deadline | None = None,
    once: bool = False,
) -> tuple[Envelope, Refusal | None]:
    """Put a message into a mailbox; return its envelope, and why it was not taken.

    Args:
        node: The node.
        process: The recipient.
        message: The message.
        options: How it is sent.
        message_id: What all its attempts carry.
        number: Which attempt this is.
        until: When its sender gives up, by the node's monotonic clock; None for never.
        deadline: What is in force for its sender.
        once: Whether it may have come before; if it was handled then, it is not again.
    """
    token: Notice | Receipt
    if options.ack is _ENQUEUED:
        token = (OnceNotice if once else Notice)(process, message, message_id, number, options, until, deadline)
    else:
        token = (OnceReceipt if once else Receipt)(
            node.loop.create_future(), message_id, number, options, until, deadline
        )
    envelope: Envelope = (ONCE if once else CAST, message, token)
    refusal = process.mailbox.put(envelope)
    if refusal == "overflow" and process.mailbox.line_up(envelope, token.placed):
        refusal = None
        if isinstance(token, Notice):
            token.future = node.loop.create_future()
    return envelope, refusal


async def acknowledged(node: Node, process: Process, envelope: Envelope, limit: float | None) -> Failure | None:
    """Wait ``limit`` seconds at most for the ack of an envelope that was taken, or stands in line for a place.

    Returns why it did not come.

    A message that was not handled yet then, or when this is cancelled, is taken back.
    """
    token: Notice | Receipt = envelope[2]  # type: ignore[assignment]  # what enqueue() made
    if token.future is None:
        return None  # its place in the mailbox was all that was asked for
    bucket = None if limit is None else node.wheel.add(limit, token)
    try:
        failure = await token.future
    except asyncio.CancelledError:
        take_back(process, envelope)
        raise
    finally:
        if bucket is not None:
            bucket.pop(token, None)
    if failure is not TIMED_OUT:
        return failure
    if process.mailbox.leave_line(envelope):
        late = REFUSALS["overflow"]
    else:
        late = _NEVER_BEGUN if take_back(process, envelope) else TIMED_OUT
    return explained(process, envelope, limit or 0.0, late)


def take_back(process: Process, envelope: Envelope) -> bool:
    """Take a message back that waits in the mailbox or was postponed; return whether it did."""
    taken = process.mailbox.withdraw(envelope)
    deferred, token = process.deferred, envelope[2]
    if deferred is not None and token is not None and token in deferred and not deferred[token].handled:
        del deferred[token]
        taken = True
    return taken
