# SPDX-License-Identifier: MIT
"""A durable send as the outbox keeps it: to data, and back.

Loaded by who sends durably: it needs msgspec.
"""

from __future__ import annotations

from typing import Final, cast

import msgspec

from stanchion._backoff import Backoff
from stanchion._validate import cut
from stanchion.dead_letters import decode, encode
from stanchion.delivery._delivery import Ack
from stanchion.delivery._failed import lasting_address
from stanchion.delivery._options import DEFAULT_BACKOFF, USUAL, Options
from stanchion.errors import InvalidOptionError
from stanchion.kernel import Ref
from stanchion.messages import DATA_TYPE
from stanchion.outbox import OutboxMessage
from stanchion.timeouts import POLICY

_METADATA_VERSION: Final = 1
_Numbers = tuple[float, float, float, float]


class _StoredOptions(msgspec.Struct, omit_defaults=True):
    """How to send a stored message. The names are stored: what is not the default of ``send_supervised`` is kept."""

    ack: Ack = USUAL.ack
    timeout: float | msgspec.UnsetType | None = msgspec.UNSET  # unset: what the policy of the node says
    retries: int = USUAL.retries
    backoff: _Numbers | None = None
    deadline: float | msgspec.UnsetType | None = msgspec.UNSET  # unset: likewise
    on_error: str = USUAL.on_error
    poison_after: int | None = USUAL.poison_after
    breaker: str | None = None


_write: Final = msgspec.json.Encoder().encode
_read: Final = msgspec.json.Decoder(_StoredOptions).decode


class Durable:
    """A message that can be stored, checked before anything is.

    Args:
        operation: Whose arguments these are, for errors.
        ref: The recipient.
        message: The message.
        options: How to send it.

    Raises:
        InvalidOptionError: the recipient cannot be found again by a later node, or an option cannot be stored.
        MessageEncodeError: the message, or its metadata, cannot become data.
    """

    def __init__(self, operation: str, ref: Ref, message: object, options: Options) -> None:
        address = lasting_address(ref)
        if address is None:
            raise InvalidOptionError(
                f"{operation}(ref)",
                expected="an address that a later node knows: a registered name, or the key of a registry by names",
                got=cut(ref),
                fix="register the process, and send to its name.",
            )
        self._address = address
        self._encoded = encode(message)
        self._metadata = None if not options.metadata else encode(dict(options.metadata)).payload
        self._options = options
        self._stored = _write(_stored(operation, options)).decode()

    def stored(self, id: str, now: float) -> OutboxMessage:
        """Return the message as the outbox keeps it.

        Args:
            id: Its id in the outbox.
            now: The time, in Unix seconds.
        """
        key, encoded = self._options.idempotency_key, self._encoded
        return OutboxMessage(
            id=id,
            message_id=id if key is None else key,
            recipient=self._address,
            message_type=encoded.type,
            version=encoded.version,
            payload=encoded.payload,
            metadata=self._metadata,
            options=self._stored,
            ordered=self._options.ordered,
            created_at=now,
        )


def options_of(message: OutboxMessage) -> Options:
    """Return how to send a stored message.

    Raises:
        msgspec.ValidationError: its row was changed by hand.
    """
    stored = _read(message.options)
    metadata = None if message.metadata is None else decode(DATA_TYPE, _METADATA_VERSION, message.metadata)
    return Options(
        ack=stored.ack,
        timeout=POLICY if stored.timeout is msgspec.UNSET else stored.timeout,
        retries=stored.retries,
        backoff=DEFAULT_BACKOFF if stored.backoff is None else _backoff(stored.backoff),
        deadline=POLICY if stored.deadline is msgspec.UNSET else stored.deadline,
        on_error=stored.on_error,
        metadata=cast("dict[str, object] | None", metadata),
        idempotency_key=message.message_id if message.keyed else None,
        poison_after=stored.poison_after,
        breaker=stored.breaker,
        plain=False,
    )


def _stored(operation: str, options: Options) -> _StoredOptions:
    breaker = options.breaker
    if breaker is not None and not isinstance(breaker, str):
        raise InvalidOptionError(
            f"{operation}(breaker)",
            expected="the name of one of the node's breakers, or None, for a message that is stored",
            got=cut(breaker),
            fix=f"add it to the node, and pass its name, {breaker.name!r}.",
        )
    backoff = options.backoff
    return _StoredOptions(
        # What a stored send waits for concerns its caller; what its delivery waits for, everybody who delivers it.
        ack=Ack.ENQUEUED if options.ack is Ack.ENQUEUED else Ack.PROCESSED,
        timeout=msgspec.UNSET if options.timeout is POLICY else options.timeout,
        retries=options.retries,
        backoff=None
        if backoff is DEFAULT_BACKOFF
        else (backoff.initial, backoff.factor, backoff.maximum, backoff.jitter),
        deadline=msgspec.UNSET if options.deadline is POLICY else options.deadline,
        on_error=options.on_error,
        poison_after=options.poison_after,
        breaker=breaker,
    )


def _backoff(numbers: _Numbers) -> Backoff:
    initial, factor, maximum, jitter = numbers
    return Backoff(initial=initial, factor=factor, maximum=maximum, jitter=jitter)
