# SPDX-License-Identifier: MIT
"""What ``subscribe_durable`` and ``replay`` are given, checked."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from stanchion._validate import Seconds, cut, instance, plain_function, whole_number, word
from stanchion.delivery import Backoff
from stanchion.errors import InvalidOptionError
from stanchion.kernel import Ref
from stanchion.registry import RegistryVia
from stanchion.router import _tables
from stanchion.timeouts import Policy, checked_timeout

if TYPE_CHECKING:
    import sqlalchemy as sa

    from stanchion.router._signal import Signal
    from stanchion.router._tables import Start

_LONGEST_NAME: Final = 100

Since = float | datetime | str
"""A time, in Unix seconds or as a datetime with a zone; or the id of a signal."""


class Target(NamedTuple):
    """To whom a durable subscription sends, and how.

    Attributes:
        ref: A registered name, or the key of a registry.
        address: The same as text.
        filter: Which signals of those that match; None for all.
        timeout: Seconds that an attempt may take; POLICY for what the policy says.
        retries: How many attempts may follow the first one that failed.
        backoff: How long to wait between them.
        breaker: The name of a circuit breaker of the node's, or None.
        poison_after: How many times the target may crash on a signal.
    """

    ref: str | RegistryVia
    address: str
    filter: Callable[[Signal], object] | None
    timeout: float | Policy | None
    retries: int
    backoff: Backoff
    breaker: str | None
    poison_after: int | None


def checked_target(
    operation: str,
    target: Ref,
    *,
    filter: Callable[..., object] | None,
    timeout: Seconds | Policy | None,
    retries: int,
    backoff: Backoff,
    breaker: str | None,
    poison_after: int | None,
) -> Target:
    """Check to whom a durable subscription sends, and how.

    Raises:
        InvalidOptionError: an argument is wrong.
    """
    if filter is not None:
        plain_function(f"{operation}(filter)", filter)
    ref = target if isinstance(target, str | RegistryVia) else None
    address = ref.text if isinstance(ref, RegistryVia) else ref
    if not ref or not address:
        raise InvalidOptionError(
            f"{operation}(target)",
            expected="an address that a later node knows: a registered name, or the key of a registry by names",
            got=cut(target),
            fix="register the process, and subscribe its name; for others there is subscribe().",
        )
    if breaker is not None and not (isinstance(breaker, str) and breaker):
        raise InvalidOptionError(
            f"{operation}(breaker)", expected="the name of one of the node's breakers, or None", got=cut(breaker)
        )
    return Target(
        ref=ref,
        address=address,
        filter=filter,
        timeout=checked_timeout(f"{operation}(timeout)", timeout),
        retries=whole_number(f"{operation}(retries)", retries),
        backoff=instance(f"{operation}(backoff)", backoff, Backoff),
        breaker=breaker,
        poison_after=None
        if poison_after is None
        else whole_number(f"{operation}(poison_after)", poison_after, at_least=1),
    )


def checked_name(operation: str, name: str) -> str:
    """Return the name of a durable subscription.

    Raises:
        InvalidOptionError: it is none.
    """
    checked = word(f"{operation}(name)", name)
    if len(checked) > _LONGEST_NAME:
        raise InvalidOptionError(f"{operation}(name)", expected=f"at most {_LONGEST_NAME} characters", got=cut(name))
    return checked


def start_of(subject: str, since: Since) -> Start:
    """Return what finds the position after which to begin.

    Raises:
        InvalidOptionError: it is no time and no id; or, when it is called, the id of no signal in the journal.
    """
    if since == "now":
        return lambda _, last: last
    if since == "beginning":
        return _before_all
    if isinstance(since, str) and since:
        return lambda connection, _: _before_signal(connection, subject, since)
    at = since.timestamp() if isinstance(since, datetime) and since.tzinfo is not None else since
    if isinstance(at, int | float) and not isinstance(at, bool) and at == at:
        return lambda connection, last: _before_time(connection, float(at), last)
    raise InvalidOptionError(
        subject,
        expected="'now', 'beginning', Unix seconds, a datetime with a time zone, or the id of a signal",
        got=cut(since),
        fix="give it a zone: datetime.now(UTC)." if isinstance(since, datetime) else None,
    )


def _before_all(_connection: sa.Connection, _last: int) -> int:
    return 0


def _before_signal(connection: sa.Connection, subject: str, id: str) -> int:
    position = _tables.position_of(connection, id)
    if position is None:
        raise InvalidOptionError(subject, expected="the id of a signal in the journal", got=cut(id))
    return position - 1


def _before_time(connection: sa.Connection, at: float, last: int) -> int:
    position = _tables.position_at(connection, at)
    return last if position is None else position - 1
