# SPDX-License-Identifier: MIT
"""The end of a supervised send: what is told, and what is done with a message that was not confirmed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from stanchion._validate import cut
from stanchion.delivery._delivery import Delivery, Reason
from stanchion.delivery._options import Options
from stanchion.delivery._sending import Sending
from stanchion.errors import DeadLetterError, DeliveryError, InvalidOptionError, StoreError
from stanchion.kernel import Node, Ref
from stanchion.registry import RegistryVia
from stanchion.telemetry import DELIVERY_STOP

if TYPE_CHECKING:
    from stanchion.dead_letters import DeadLetterQueue

_log = logging.getLogger("stanchion.delivery")


def letter_box(node: Node, options: Options, operation: str) -> DeadLetterQueue | None:
    """Return the queue that takes the message if it fails; None when the options ask for none.

    Raises:
        InvalidOptionError: they do, and the node has none.
    """
    if options.on_error != "dead_letter":
        return None
    queue = _queue_of(node)
    if queue is None:
        raise InvalidOptionError(
            f"{operation}(on_error)",
            expected="a node with a dead-letter queue for on_error='dead_letter'",
            got=f"{node!r}, which has none",
            fix="make the node with Node(dead_letters='sqlite:///letters.db').",
        )
    return queue


def _queue_of(node: Node) -> DeadLetterQueue | None:
    from stanchion.dead_letters import DeadLetterQueue  # heavy; only who uses it pays

    return node.service(DeadLetterQueue)


async def conclude(
    node: Node, sending: Sending, delivery: Delivery, options: Options, letters: DeadLetterQueue | None
) -> Delivery:
    """Do what ``on_error`` says, and tell the end.

    Raises:
        DeliveryError: as ``send_supervised``.
    """
    try:
        if delivery.failure is not None:
            if delivery.reason is Reason.POISON and options.on_error != "ignore":
                letters = _queue_of(node)  # whatever else is to be done with it: a person has to look
            if letters is not None:
                await _store(sending, delivery, letters)
            if options.on_error == "log" and node.storm_guard.admit("messages were not confirmed", _log):
                _log.warning("%r was not confirmed: %s", delivery, cut(sending.message))
            elif options.on_error == "raise":
                raise DeliveryError(delivery)
    finally:
        _tell(node, delivery)
    return delivery


async def _store(sending: Sending, delivery: Delivery, letters: DeadLetterQueue) -> None:
    from stanchion.dead_letters import Attempt

    address = lasting_address(delivery.recipient)
    failure = sending.failures[-1][1]
    try:
        delivery.dead_letter_id = await letters.add(
            recipient=repr(delivery.recipient) if address is None else address,
            redeliverable=address is not None,
            message=sending.message,
            reason=str(failure.reason),
            error=failure.text,
            attempts=[
                Attempt(at, str(failed.reason), failed.text, failed.traceback) for at, failed in sending.failures
            ],
            final=failure.reason is Reason.POISON,
            message_id=sending.message_id,
            metadata=sending.metadata,
        )
    except (DeadLetterError, StoreError) as error:
        raise DeliveryError(delivery, stored=False) from error


def lasting_address(ref: Ref) -> str | None:
    """Return the text by which a later node finds the recipient, or None.

    A name is found again. So is a key of a registry, when both can be said in text. A pid never means another process,
    and what a via address of another kind means, only its maker knows.
    """
    if isinstance(ref, str):
        return ref
    return ref.text if isinstance(ref, RegistryVia) else None


def _tell(node: Node, delivery: Delivery) -> None:
    telemetry = node.telemetry
    if telemetry.attached:
        telemetry.emit(
            DELIVERY_STOP,
            {"elapsed": delivery.elapsed, "attempts": delivery.attempts},
            {
                "node": node.name,
                "recipient": delivery.recipient,
                "message_id": delivery.message_id,
                "outcome": str(delivery.outcome),
                "reason": delivery.reason_text or None,
                "duplicate": delivery.duplicate,
                "dead_letter_id": delivery.dead_letter_id,
            },
        )
