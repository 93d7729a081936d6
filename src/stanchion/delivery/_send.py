# SPDX-License-Identifier: MIT
"""send_supervised: a cast whose outcome is known."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from stanchion._backoff import Backoff
from stanchion._validate import Seconds
from stanchion.breakers import CircuitBreaker
from stanchion.delivery._attempt import REFUSALS, acknowledged, enqueue, recipient
from stanchion.delivery._delivery import Ack, Delivery, Failure, Outcome
from stanchion.delivery._failed import conclude, letter_box
from stanchion.delivery._options import DEFAULT_BACKOFF, UNSAID, USUAL, OnError, Options, options
from stanchion.delivery._order import turn
from stanchion.delivery._outbox_delivery import outbox_delivery
from stanchion.delivery._remembered_keys import remembered_key
from stanchion.delivery._sending import Sending
from stanchion.delivery._time_limits import first_limits, give_up_time
from stanchion.kernel import DEADLINE, DEADLINES, Node, Pid, Ref, current_node
from stanchion.timeouts import POLICY, Policy

if TYPE_CHECKING:
    from stanchion.dead_letters import DeadLetterQueue

_CONFIRMED: Final = Outcome.CONFIRMED


async def send_supervised(
    ref: Ref,
    message: object,
    *,
    ack: Ack | str | None = None,
    timeout: Seconds | Policy | None = POLICY,
    retries: int = 3,
    backoff: Backoff = DEFAULT_BACKOFF,
    deadline: Seconds | Policy | None = POLICY,
    on_error: OnError = "log",
    metadata: Mapping[str, object] | None = None,
    idempotency_key: str | None = None,
    ordered: bool = False,
    poison_after: int | None = 3,
    breaker: CircuitBreaker | str | None = None,
    durable: bool = False,
) -> Delivery:
    """Send a message to ``handle_cast``, and return what became of it.

    It ends in one of three outcomes, bounded by attempts and by wall clock. Use ``cast`` where a lost message does not
    matter, and ``call`` where an answer is needed.

    Args:
        ref: A pid, a registered name or a via address. What is no pid is looked up again at each attempt, so a restarted
            process is found.
        message: What ``handle_cast`` gets: the object itself, not a copy.
        ack: What counts as confirmed: ``"processed"``, the handler returned; ``"enqueued"``, the message is in the
            mailbox of a live process; or, of a durable message, ``"stored"``, it is committed. None for the last one with
            ``durable=True``, for the first one without.
        timeout: Seconds that one attempt waits for its ack; None for no limit but ``deadline``. By default what the node's
            ``TimeoutPolicy`` says of such a message to this recipient.
        retries: How many attempts may follow the first one; 0 for none.
        backoff: How long to wait between attempts.
        deadline: Seconds for all attempts and the waits before and between them; None for no limit. By default what the
            policy says of ``stanchion.send``, 30 where it says nothing. The receiver reads what is left
            with ``message_info().remaining()``. A ``stanchion.deadline`` scope around the call cuts it, and is in force
            where the message is handled; a message whose turn comes after that is not begun.
        on_error: What to do with a message that was not confirmed: ``"log"`` a warning; store it as a
            ``"dead_letter"`` in the node's queue; ``"raise"`` a DeliveryError; ``"ignore"``.
        metadata: What else to tell: the receiver reads it with ``message_info()``, a dead letter keeps it. String keys.
        idempotency_key: The message's id, chosen by you, at most 200 characters: a receiver that has handled a message
            with this id confirms it and does not handle it again, whoever sends it. None for an id that no other has.
        ordered: Whether to wait until the ordered sends of this process to an equal ref that were called before have
            come to their outcome; all code outside of processes counts as one process.
        poison_after: How many times the receiver may crash on the message; then it is sent to nobody any more. None for
            no limit.
        breaker: What to ask before each attempt, and to tell how it ended: a ``CircuitBreaker``, or the name of one of the
            node's. None for the recipient's own, which it has with ``Node(breaker=...)`` only.
        durable: Whether to commit the message in the node's outbox before it is sent. From then on it survives the death
            of this OS process, and is delivered with these same options, by this node or the next one with the same
            database, in the background: the call waits for that only where ``ack`` says so. No ``stanchion.deadline``
            scope is stored with it: that, and ``deadline``, cut the waiting, which may be that for the commit.
            When it is given up it becomes a dead letter, unless ``on_error="ignore"``. It takes ``Node(database=...)``,
            a name or a registry's key as the ``ref``, and a message that can become data: what is delivered is a copy.

    Returns:
        The delivery, true when confirmed. Not confirmed: no such process or one that exited (retried when addressed by
        name), mailbox full, no ack in time, or handler returned ``Reject``. Not retried: no clause for the message, an
        open circuit, a scope whose deadline has passed, and poison, which is stored in the node's queue, if it has one,
        unless ``on_error="ignore"``.

    Raises:
        InvalidOptionError: an option is wrong; or the process sends to itself and would wait for that; or
            ``on_error="dead_letter"`` on a node without a dead-letter queue, or ``durable=True`` on one without an
            outbox; or the recipient of a durable message cannot be found again by the next node. Nothing was sent.
        MessageEncodeError: a durable message, or its metadata, cannot become data. Nothing was sent.
        StoreError: a durable message could not be stored, or a key not be looked up on a node with ``remember_keys``.
            Nothing was sent, and the message is the caller's again.
        OutboxClosedError: the outbox is closed, for the node stops. Nothing was stored.
        DeliveryError: not confirmed, and ``on_error="raise"``; or the dead letter could not be stored, which is then
            its ``__cause__``. The message is the caller's again.
        NoNodeError: a name, or the pid of a process that has ended, outside of every node.

    Cancellation: a message that still waits in the mailbox, or was postponed, is taken back; one whose handler has
        begun may be processed. The message is the caller's again, unless its dead letter was being stored just then: it
        is stored all the same. A durable message that waits for its commit is stored, and delivered, all the same; only
        while it waits for room, with 10,000 others before it, does cancelling keep it out.

    Delivery: at least once until confirmed or given up. When an ack is lost and the next attempt finds the same process,
        it is confirmed and not processed again, as far as the node's ``DedupWindow`` reaches; a restarted process has
        forgotten, and processes it again. ``message_info().message_id`` is the same in all attempts.

    Source: none in OTP; Akka's ask and at-least-once delivery are the nearest.
    """
    node = sending_node(ref, "send_supervised")
    given = (
        ack, timeout, retries, backoff, deadline, on_error, metadata,
        idempotency_key, ordered, poison_after, breaker, durable,
    )  # fmt: skip
    chosen = USUAL if given == UNSAID else options("send_supervised", *given)
    letters = None if chosen is USUAL else letter_box(node, chosen, "send_supervised")
    started = node.clock.monotonic()
    if not chosen.plain or node.breaker_table is not None or (DEADLINES.used and DEADLINE.get() is not None):
        return await _send(node, ref, message, chosen, started, letters)
    # The first attempt is made here and not by a Sending, which is the machinery of those that need more.
    message_id = node.unique_id()
    process = recipient(ref, chosen.ack)
    failure: Failure | None = REFUSALS["noproc"]
    if process is None:
        until = give_up_time(node, chosen, started)
    else:
        limit, until = first_limits(process, message, chosen, started)
        envelope, refusal = enqueue(node, process, message, chosen, message_id, 1, until)
        if refusal is None:
            failure = await acknowledged(node, process, envelope, limit)
        else:
            failure = REFUSALS[refusal]
    if failure is None and not node.telemetry.attached:
        return Delivery(_CONFIRMED, ref, message_id, 1, node.clock.monotonic() - started)
    sending = Sending(node, ref, message, chosen, message_id, started, until, attempts=1)
    return await conclude(node, sending, await sending.after(failure), chosen, letters)


async def _send(
    node: Node, ref: Ref, message: object, chosen: Options, started: float, letters: DeadLetterQueue | None
) -> Delivery:
    """Send a message that needs more than a mailbox."""
    if chosen.durable:
        return await outbox_delivery(node, "send_supervised").send(ref, message, chosen, started, letters)
    message_id = node.unique_id() if chosen.idempotency_key is None else chosen.idempotency_key
    key = None if chosen.idempotency_key is None else remembered_key(node, ref, chosen)
    until = give_up_time(node, chosen, started)
    sending = Sending(node, ref, message, chosen, message_id, started, until)
    delivery = await sending.run(turn(node, ref) if chosen.ordered else None, None if key is None else key.known)
    # A place in the mailbox is not enough: the receiver may exit before it gets there.
    if key is not None and delivery and delivery.attempts and chosen.ack is Ack.PROCESSED:
        with suppress(TimeoutError):  # it is added all the same
            async with asyncio.timeout(sending.left()):
                await key.add()
    return await conclude(node, sending, delivery, chosen, letters)


def sending_node(ref: Ref, operation: str) -> Node:
    """Return the node of a live recipient, else the current one."""
    process = ref._process if type(ref) is Pid else None
    return current_node(f"{operation}()") if process is None else process.node
