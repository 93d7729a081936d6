# SPDX-License-Identifier: MIT
"""The options of a supervised send, checked once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from stanchion._backoff import Backoff
from stanchion._validate import Seconds, cut, instance, one_of, seconds_or_none, whole_number
from stanchion.breakers import CircuitBreaker, checked_breaker
from stanchion.delivery._delivery import Ack
from stanchion.errors import InvalidOptionError
from stanchion.timeouts import POLICY, Policy

OnError = Literal["log", "dead_letter", "raise", "ignore"]

ON_ERROR: Final = ("log", "dead_letter", "raise", "ignore")
DEFAULT_BACKOFF: Final = Backoff(initial=0.1, factor=2.0, maximum=5.0, jitter=0.2)
_ACKS: Final = tuple(ack.value for ack in Ack)
_UNSTORED: Final = tuple(ack for ack in _ACKS if ack != Ack.STORED)
_LONGEST_KEY: Final = 200


class Options(NamedTuple):
    """Checked options; times in seconds, POLICY for what the policy says, None for no limit."""

    ack: Ack = Ack.PROCESSED
    timeout: float | Policy | None = POLICY
    retries: int = 3
    backoff: Backoff = DEFAULT_BACKOFF
    deadline: float | Policy | None = POLICY
    on_error: str = "log"
    metadata: Mapping[str, object] | None = None
    idempotency_key: str | None = None
    ordered: bool = False
    poison_after: int | None = 3
    breaker: CircuitBreaker | str | None = None
    durable: bool = False
    plain: bool = True  # whether a mailbox is all that the first attempt needs


USUAL: Final = Options()
"""The options of a send that gives none."""

UNSAID: Final = (None, *USUAL[1:-1])
"""What ``options`` is given for such a send: the defaults of its signature. To check and to pack these costs a quarter of
a send, to compare them little."""


def options(
    operation: str,
    ack: Ack | str | None,
    timeout: Seconds | Policy | None,
    retries: int,
    backoff: Backoff,
    deadline: Seconds | Policy | None,
    on_error: str,
    metadata: Mapping[str, object] | None,
    idempotency_key: str | None,
    ordered: bool,
    poison_after: int | None,
    breaker: CircuitBreaker | str | None,
    durable: bool = False,
) -> Options:
    """Check the options of a send.

    Raises:
        InvalidOptionError: one is wrong.
    """
    if metadata is not None and not (isinstance(metadata, Mapping) and all(isinstance(key, str) for key in metadata)):
        raise InvalidOptionError(f"{operation}(metadata)", expected="a mapping with string keys", got=cut(metadata))
    return Options(
        _ack(operation, ack, instance(f"{operation}(durable)", durable, bool)),
        timeout if timeout is POLICY else seconds_or_none(f"{operation}(timeout)", timeout),
        whole_number(f"{operation}(retries)", retries),
        instance(f"{operation}(backoff)", backoff, Backoff),
        deadline if deadline is POLICY else seconds_or_none(f"{operation}(deadline)", deadline),
        one_of(f"{operation}(on_error)", on_error, ON_ERROR),
        metadata,
        None if idempotency_key is None else _key(f"{operation}(idempotency_key)", idempotency_key),
        instance(f"{operation}(ordered)", ordered, bool),
        None if poison_after is None else whole_number(f"{operation}(poison_after)", poison_after, at_least=1),
        checked_breaker(f"{operation}(breaker)", breaker),
        durable=durable,
        plain=idempotency_key is None and breaker is None and not ordered and not durable,
    )


def _ack(operation: str, ack: Ack | str | None, durable: bool) -> Ack:
    if ack is None:
        return Ack.STORED if durable else Ack.PROCESSED
    if ack == Ack.STORED and not durable and operation == "send_supervised":
        raise InvalidOptionError(
            f"{operation}(ack)",
            expected="'enqueued' or 'processed' for a message that is not stored",
            got=cut(ack),
            fix="pass durable=True too.",
        )
    return Ack(one_of(f"{operation}(ack)", ack, _ACKS if durable else _UNSTORED))


def _key(subject: str, key: object) -> str:
    if isinstance(key, str) and 0 < len(key) <= _LONGEST_KEY:
        return key
    fix = "make it of what the message is about, f'order-{order.id}' say." if not isinstance(key, str) else None
    raise InvalidOptionError(
        subject, expected=f"text of 1 to {_LONGEST_KEY} characters, or None", got=cut(key), fix=fix
    )
