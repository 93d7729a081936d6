# SPDX-License-Identifier: MIT
"""send_supervised: a cast whose outcome is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from stanchion._backoff import Backoff
from stanchion._validate import Seconds
from stanchion.delivery._attempt import REFUSALS, acknowledged, enqueue, recipient
from stanchion.delivery._delivery import Ack, Delivery, Failure, Outcome
from stanchion.delivery._failed import conclude, letter_box
from stanchion.delivery._options import DEFAULT_BACKOFF, OnError, options
from stanchion.delivery._sending import Sending
from stanchion.kernel import Node, Pid, Ref, current_node
from stanchion.server import POLICY, Policy

_CONFIRMED: Final = Outcome.CONFIRMED


async def send_supervised(
    ref: Ref,
    message: object,
    *,
    ack: Ack | str = Ack.PROCESSED,
    timeout: Seconds | Policy | None = POLICY,
    retries: int = 3,
    backoff: Backoff = DEFAULT_BACKOFF,
    deadline: Seconds | None = 30.0,
    on_error: OnError = "log",
    metadata: Mapping[str, object] | None = None,
) -> Delivery:
    """Send a message to ``handle_cast``, and return what became of it.

    It ends in one of three outcomes, bounded by attempts and by wall clock. Use ``cast`` where a lost message does not
    matter, and ``call`` where an answer is needed.

    Args:
        ref: A pid, a registered name or a via address. What is no pid is looked up again at each attempt, so a restarted
            process is found.
        message: What ``handle_cast`` gets: the object itself, not a copy.
        ack: What counts as confirmed: ``"processed"``, the handler returned; or ``"enqueued"``, the message is in the
            mailbox of a live process.
        timeout: Seconds that one attempt waits for its ack; None for no limit but ``deadline``. By default the node's
            ``call_timeout``.
        retries: How many attempts may follow the first one; 0 for none.
        backoff: How long to wait between attempts.
        deadline: Seconds for all attempts and the waits between them; None for no limit.
        on_error: What to do with a message that was not confirmed: ``"log"`` a warning; store it as a
            ``"dead_letter"`` in the node's queue; ``"raise"`` a DeliveryError; ``"ignore"``.
        metadata: What else to tell: the receiver reads it with ``message_info()``, a dead letter keeps it. String keys.

    Returns:
        The delivery, true when confirmed. Not confirmed: no such process or one that exited (retried when addressed by
        name), mailbox full, no ack in time, handler returned ``Reject``, or no clause for the message (not retried).

    Raises:
        InvalidOptionError: an option is wrong; or the process sends to itself and would wait for that; or
            ``on_error="dead_letter"`` on a node without a dead-letter queue. Nothing was sent.
        DeliveryError: not confirmed, and ``on_error="raise"``; or the dead letter could not be stored, which is then
            its ``__cause__``. The message is the caller's again.
        NoNodeError: a name, or the pid of a process that has ended, outside of every node.

    Cancellation: a message that still waits in the mailbox, or was postponed, is taken back; one whose handler has
        begun may be processed. The message is the caller's again, unless its dead letter was being stored just then: it
        is stored all the same.

    Delivery: at least once until confirmed or given up: an attempt that timed out may have been processed, and the next
        one is processed again. ``message_info().message_id`` is the same in all attempts.

    Source: none in OTP; Akka's ask and at-least-once delivery are the nearest.
    """
    node = sending_node(ref, "send_supervised")
    chosen = options("send_supervised", ack, timeout, retries, backoff, deadline, on_error, metadata)
    letters = letter_box(node, chosen, "send_supervised")
    message_id = node.unique_id()
    started = node.clock.monotonic()
    # The first attempt is made here and not by a Sending, which is the machinery of those that need another one.
    process = recipient(ref, chosen.ack)
    failure: Failure | None = REFUSALS["noproc"]
    if process is not None:
        envelope, refusal = enqueue(node, process, message, chosen.ack, message_id, 1, chosen.metadata)
        if refusal is None:
            failure = await acknowledged(node, process, envelope, chosen.first_limit(node))
        else:
            failure = REFUSALS[refusal]
    if failure is None and not node.telemetry.attached:
        return Delivery(_CONFIRMED, ref, message_id, 1, node.clock.monotonic() - started)
    sending = Sending(node, ref, message, chosen, message_id, started, attempts=1)
    return await conclude(node, sending, await sending.after(failure), chosen, letters)


def sending_node(ref: Ref, operation: str) -> Node:
    """Return the node of a live recipient, else the current one."""
    process = ref._process if type(ref) is Pid else None
    return current_node(f"{operation}()") if process is None else process.node
