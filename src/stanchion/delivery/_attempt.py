# SPDX-License-Identifier: MIT
"""One attempt: put the message into the recipient's mailbox, and wait for the ack."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from stanchion.delivery._delivery import Ack, Failure, Reason
from stanchion.delivery._receipt import TIMED_OUT, Notice, Receipt
from stanchion.errors import InvalidOptionError
from stanchion.kernel import CAST, PROCESS, Envelope, Node, Pid, Process, Ref, Refusal, find

_ENQUEUED: Final = Ack.ENQUEUED
_NEVER_BEGUN: Final = TIMED_OUT._replace(handled=False)

REFUSALS: Final[dict[Refusal, Failure]] = {
    "noproc": Failure(Reason.NOPROC, handled=False, retry=True),
    "overflow": Failure(Reason.OVERFLOW, handled=False, retry=True),
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
    ack: Ack,
    message_id: str,
    number: int,
    metadata: Mapping[str, object] | None,
) -> tuple[Envelope, Refusal | None]:
    """Put a message into a mailbox, as attempt ``number``; return its envelope, and why it was not taken."""
    token: Notice | Receipt
    if ack is _ENQUEUED:
        token = Notice(process, message, message_id, number, metadata)
    else:
        token = Receipt(node.loop.create_future(), message_id, number, metadata)
    envelope: Envelope = (CAST, message, token)
    return envelope, process.mailbox.put(envelope)


async def acknowledged(node: Node, process: Process, envelope: Envelope, limit: float | None) -> Failure | None:
    """Wait ``limit`` seconds at most for the ack of an envelope that was taken; return why it did not come.

    A message that was not handled yet then, or when this is cancelled, is taken back.
    """
    receipt = envelope[2]
    if not isinstance(receipt, Receipt):
        return None  # its place in the mailbox was all that was asked for
    bucket = None if limit is None else node.deadlines.add(limit, receipt)
    try:
        failure = await receipt.future
    except asyncio.CancelledError:
        take_back(process, envelope)
        raise
    finally:
        if bucket is not None:
            bucket.pop(receipt, None)
    if failure is TIMED_OUT and take_back(process, envelope):
        return _NEVER_BEGUN
    return failure


def take_back(process: Process, envelope: Envelope) -> bool:
    """Take a message back that waits in the mailbox or was postponed; return whether it did."""
    taken = process.mailbox.withdraw(envelope)
    deferred, token = process.deferred, envelope[2]
    if deferred is not None and token is not None and deferred.get(token) is False:
        del deferred[token]
        taken = True
    return taken
