# SPDX-License-Identifier: MIT
"""Deleting letters: in steps, so that others can write in between; by hand, or by their age and number."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from stanchion._validate import Seconds, cut, seconds, seconds_or_none, whole_number
from stanchion.dead_letters._filter import LetterFilter
from stanchion.dead_letters._letter import State
from stanchion.dead_letters._store import Key, Store
from stanchion.errors import InvalidOptionError, StoreFullError

if TYPE_CHECKING:
    from stanchion.dead_letters._session import Session

_log = logging.getLogger("stanchion.dead_letters")

SETTLED: Final[tuple[State, ...]] = ("delivered", "discarded")
"""The states in which a letter waits for nobody."""

_STEP: Final = 1000
_DAY: Final = 86_400.0


class Retention:
    """How long letters are kept, for ``DeadLetterQueue(retention=...)``; without one, none is ever deleted.

    Each limit counts from a letter's last change: when it was delivered, discarded or exhausted. Letters that wait or
    are being redelivered are never deleted by it.

    Args:
        delivered: How long a delivered letter is kept, in seconds or as a timedelta; 0 deletes it when it is next
            looked at, None keeps it. By default 7 days.
        discarded: The same for discarded letters; by default 30 days.
        exhausted: The same for exhausted ones, which wait for a person; by default they are kept.
        max_letters: How many letters there may be. When there are more, the oldest of those that are delivered or
            discarded are deleted, whatever their age, and no others. None for no limit.
        every: How long it is from one look to the next; the first is when the queue opens.

    Raises:
        InvalidOptionError: an argument is out of its range.

    Example:
        >>> Retention(delivered=86_400, max_letters=1_000_000)
        Retention(delivered=86400, discarded=2592000, exhausted=None, max_letters=1000000, every=600)
    """

    __slots__ = ("delivered", "discarded", "every", "exhausted", "max_letters")

    def __init__(
        self,
        *,
        delivered: Seconds | None = 7 * _DAY,
        discarded: Seconds | None = 30 * _DAY,
        exhausted: Seconds | None = None,
        max_letters: int | None = None,
        every: Seconds = 600.0,
    ) -> None:
        self.delivered: Final = seconds_or_none("Retention: delivered", delivered)
        self.discarded: Final = seconds_or_none("Retention: discarded", discarded)
        self.exhausted: Final = seconds_or_none("Retention: exhausted", exhausted)
        if max_letters is not None:
            whole_number("Retention: max_letters", max_letters)
        self.max_letters: Final = max_letters
        self.every: Final = seconds("Retention: every", every)
        if self.every == 0:
            raise InvalidOptionError("Retention: every", expected="more than 0 seconds", got=cut(every))

    @property
    def ages(self) -> dict[State, float]:
        """How long the letters of each state are kept; without the states that are kept for ever."""
        ages: dict[State, float | None] = {
            "delivered": self.delivered,
            "discarded": self.discarded,
            "exhausted": self.exhausted,
        }
        return {state: age for state, age in ages.items() if age is not None}

    def __repr__(self) -> str:
        values = (f"{name}={_text(getattr(self, name))}" for name in
                  ("delivered", "discarded", "exhausted", "max_letters", "every"))  # fmt: skip
        return f"Retention({', '.join(values)})"


def _text(value: float | None) -> str:
    return "None" if value is None else f"{value:.12g}"


async def enforce(session: Session, retention: Retention) -> int:
    """Delete what is kept for too long, and return how many letters those were."""
    now = session.clock.time()
    count = 0
    for state, age in retention.ages.items():
        count += await purge(session, LetterFilter(state=state, changed_before=now - age))
    if retention.max_letters is not None:
        count += await _trim(session, retention.max_letters)
    return count


async def keep_enforcing(session: Session, retention: Retention) -> None:
    """Enforce now and then, until cancelled; a store that fails is tried again the next time."""
    while True:
        try:
            await enforce(session, retention)
        except Exception as error:  # noqa: BLE001 - a store of somebody else may raise anything
            _log.error("dead letters that are kept for too long could not be deleted: %s", error)
        await asyncio.sleep(retention.every)


def purgeable(wanted: LetterFilter, older_than: Seconds | None, now: float) -> LetterFilter:
    """Return the filter of what ``DeadLetterQueue.purge`` deletes.

    Raises:
        InvalidOptionError: it asks for retrying letters, or ``older_than`` is no duration.
    """
    if "retrying" in wanted.states:
        raise InvalidOptionError(
            "purge(filter)",
            expected="states other than 'retrying'",
            got=cut(wanted.state),
            fix="wait until they are settled; an abandoned claim ends by itself.",
        )
    limits = [] if wanted.change_limit is None else [wanted.change_limit]
    if older_than is not None:
        limits.append(now - seconds("purge(older_than)", older_than))
    return msgspec.structs.replace(wanted, state=wanted.states or SETTLED, changed_before=min(limits, default=None))


async def purge(session: Session, filter: LetterFilter) -> int:
    """Delete what fits, and return how many letters that was."""
    return await _in_steps(session, lambda limit: session.store.delete(filter, limit=limit))


async def _trim(session: Session, most: int) -> int:
    """Delete the oldest settled letters until there are at most so many letters."""
    left = sum((await session.store.count()).values()) - most

    async def oldest(limit: int) -> int:
        nonlocal left
        keys = await session.store.keys(LetterFilter(state=SETTLED), cursor=None, limit=max(0, min(limit, left)))
        deleted = sum(await session.store.remove(keys))
        left -= deleted
        return deleted

    return await _in_steps(session, oldest)


async def _in_steps(session: Session, delete: Callable[[int], Awaitable[int]]) -> int:
    """Call ``delete`` with how many letters at most, until it finds fewer; return how many it deleted in all."""
    count, step = 0, _STEP
    while True:
        try:
            deleted = await delete(step)
        except StoreFullError:  # an SQL file needs room to delete, too: less of it for fewer letters
            if step == 1:
                raise
            step //= 2
            continue
        session.purged(deleted)
        count += deleted
        if deleted < step:
            return count
        step = min(2 * step, _STEP)


async def remove(store: Store, keys: Sequence[Key]) -> list[bool]:
    """Delete the letters that are as they were, and return for each whether it was; see ``Store.remove``."""
    try:
        return await store.remove(keys)
    except StoreFullError:
        if len(keys) <= 1:
            raise
        middle = len(keys) // 2
        return [*await remove(store, keys[:middle]), *await remove(store, keys[middle:])]
