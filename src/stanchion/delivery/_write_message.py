# SPDX-License-Identifier: MIT
"""write_message: a durable send in a transaction of the user's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from stanchion._backoff import Backoff
from stanchion._validate import Seconds
from stanchion.delivery._options import DEFAULT_BACKOFF, OnError, options
from stanchion.kernel import Ref
from stanchion.timeouts import POLICY, Policy

if TYPE_CHECKING:
    from stanchion.breakers import CircuitBreaker
    from stanchion.delivery._delivery import Ack
    from stanchion.outbox import OutboxMessage, Transaction


def write_message(
    transaction: Transaction,
    ref: Ref,
    message: object,
    *,
    timeout: Seconds | Policy | None = POLICY,
    retries: int = 3,
    backoff: Backoff = DEFAULT_BACKOFF,
    deadline: Seconds | Policy | None = POLICY,
    on_error: OnError = "log",
    metadata: Mapping[str, object] | None = None,
    idempotency_key: str | None = None,
    ordered: bool = False,
    poison_after: int | None = 3,
    breaker: str | None = None,
) -> str:
    """Write a message in a transaction of yours: it is sent if, and only if, that is committed.

    Use it where a change in your database and a message about it must not be without each other; else
    ``send_supervised(..., durable=True)`` is simpler. A node with the same database delivers it: on PostgreSQL at once,
    on SQLite at its next look, within a second, or when you call ``node.outbox.wake()``. It needs no node here.

    Args:
        transaction: A ``Connection`` or ``Session`` of SQLAlchemy's, of the database that the node has. With an async one:
            ``await connection.run_sync(write_message, "inventory", message)``. The tables must be there: a node that
            opened has made them, as ``stanchion.outbox.create_tables`` does.
        ref: A registered name, or the key of a registry.
        message: The message; it must be able to become data.
        timeout: As in ``send_supervised``, and so are the others.
        retries: How many attempts may follow the first one.
        backoff: How long to wait between attempts.
        deadline: Seconds for all attempts of one node; by default what the ``TimeoutPolicy`` of the node that delivers it
            says of ``stanchion.send``. A ``stanchion.deadline`` scope around this call has no part in it.
        on_error: What is done with a message that is given up: ``"ignore"`` drops it, ``"log"`` tells it too; all others
            make it a dead letter only.
        metadata: What else to tell the receiver, data too.
        idempotency_key: The message's id, chosen by you.
        ordered: Whether it waits for the ordered messages to its recipient that were written before it, by this process
            or, with less certainty, by others: what counts is the time at which each was written.
        poison_after: How many times the receiver may crash on it.
        breaker: The name of one of the node's circuit breakers.

    Returns:
        The message's id, ``message_info().message_id`` at the receiver.

    Raises:
        InvalidOptionError: an argument is wrong; nothing was written.
        MessageEncodeError: the message, or its metadata, cannot become data; nothing was written.
        StoreError: the database refused, the tables are missing for instance; what becomes of the transaction is yours.
    """
    from stanchion.delivery._durable import Durable  # heavy; only who uses it pays
    from stanchion.outbox import insert_message

    chosen = options(
        "write_message", None, timeout, retries, backoff, deadline, on_error, metadata,
        idempotency_key, ordered, poison_after, breaker, durable=True,
    )  # fmt: skip
    return insert_message(transaction, "write_message", Durable("write_message", ref, message, chosen).stored)


def stored_message(
    operation: str,
    ref: Ref,
    message: object,
    *,
    ack: Ack | str | None = None,
    timeout: Seconds | Policy | None = POLICY,
    retries: int = 3,
    backoff: Backoff = DEFAULT_BACKOFF,
    deadline: Seconds | Policy | None = POLICY,
    on_error: OnError = "log",
    breaker: CircuitBreaker | str | None = None,
) -> OutboxMessage:
    """Return a message as the outbox keeps it, to be stored later and more than once.

    Use it where the moment of the send is not that of the call, as ``SchedulerManager`` does. ``write_message`` writes
    one now.

    Args:
        operation: Whose arguments these are, for errors.
        ref: As in ``write_message``, and so are the others.
        message: The message.
        ack: ``"enqueued"``, or ``"processed"``, which None stands for.
        timeout: Seconds for one attempt.
        retries: How many attempts may follow the first one.
        backoff: How long to wait between attempts.
        deadline: Seconds for all attempts of one node.
        on_error: What is done with a message that is given up.
        breaker: The name of one of the node's circuit breakers.

    Returns:
        The message, without an id and a time: ``_replace(id=..., message_id=..., created_at=...)`` gives it these.

    Raises:
        InvalidOptionError: an argument is wrong.
        MessageEncodeError: the message cannot become data.
    """
    from stanchion.delivery._durable import Durable  # heavy; only who uses it pays

    chosen = options(
        operation, ack, timeout, retries, backoff, deadline, on_error, None, None, False, 3, breaker, durable=True
    )  # fmt: skip
    return Durable(operation, ref, message, chosen).stored("", 0.0)
