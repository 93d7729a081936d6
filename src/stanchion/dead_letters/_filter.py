# SPDX-License-Identifier: MIT
"""Which letters are meant, and pages of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TypeGuard, cast

import msgspec

from stanchion._validate import cut, known_options, one_of
from stanchion.dead_letters._letter import STATES, DeadLetter, State
from stanchion.errors import InvalidOptionError


class LetterFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which letters are meant: those that fit every field that is set.

    Attributes:
        state: One state, or several.
        recipient: The recipient, as stored.
        reason: The reason of the last failure.
        message_type: The stored type of the message.
        since: Added at this time or later: Unix seconds, or a datetime with a time zone.
        until: Added before this time.
        changed_before: Not changed since this time.
        replay_of: The letter that they replay.

    Raises:
        InvalidOptionError: a value is of the wrong kind, or names no state.
    """

    state: State | tuple[State, ...] | None = None
    recipient: str | None = None
    reason: str | None = None
    message_type: str | None = None
    since: float | datetime | None = None
    until: float | datetime | None = None
    changed_before: float | datetime | None = None
    replay_of: str | None = None

    def __post_init__(self) -> None:
        for state in self.states:
            one_of("filter: state", state, STATES)
        for name, value in self.texts.items():
            if value is not None and not isinstance(value, str):
                raise InvalidOptionError(f"filter: {name}", expected="text or None", got=cut(value))
        _ = self.window, self.change_limit

    @property
    def states(self) -> tuple[State, ...]:
        """The states that are meant; empty when any is."""
        if self.state is None:
            return ()
        return self.state if isinstance(self.state, tuple) else (self.state,)

    @property
    def window(self) -> tuple[float | None, float | None]:
        """``since`` and ``until`` in Unix seconds."""
        return _unix("filter: since", self.since), _unix("filter: until", self.until)

    @property
    def change_limit(self) -> float | None:
        """``changed_before`` in Unix seconds."""
        return _unix("filter: changed_before", self.changed_before)

    @property
    def texts(self) -> dict[str, str | None]:
        """What fields of a letter must be equal to; None where any value will do."""
        return {
            "recipient": self.recipient,
            "reason": self.reason,
            "message_type": self.message_type,
            "replay_of": self.replay_of,
        }


def is_fields(given: object) -> TypeGuard[Mapping[str, object]]:
    """Tell whether it is a filter's fields by name."""
    return isinstance(given, Mapping)


def filter_of(given: LetterFilter | Mapping[str, object] | None) -> LetterFilter:
    """Return a filter from what a caller passed: one, its fields by name, or nothing.

    Raises:
        InvalidOptionError: a field is unknown, or its value is wrong.
    """
    if given is None:
        return LetterFilter()
    if isinstance(given, LetterFilter):
        return given
    if not isinstance(given, Mapping):
        raise InvalidOptionError("filter", expected="a LetterFilter, or its fields by name", got=cut(given))
    known_options("filter", given, LetterFilter.__struct_fields__)
    return LetterFilter(**cast("dict[str, None]", dict(given)))  # __post_init__ checks the values


def _unix(subject: str, value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.timestamp()
    if isinstance(value, int | float) and not isinstance(value, bool) and value == value:
        return float(value)
    raise InvalidOptionError(subject, expected="Unix seconds, or a datetime with a time zone", got=cut(value))


class Page(msgspec.Struct, frozen=True):
    """A part of a listing.

    Attributes:
        entries: The letters.
        next_cursor: Pass it to ``list()`` to go on; None when this was the last part.
    """

    entries: tuple[DeadLetter, ...]
    next_cursor: str | None


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """How many letters there are, by state, and when the next is due.

    Attributes:
        waiting: Letters that wait for their next redelivery.
        retrying: Letters that somebody is redelivering.
        exhausted: Letters that wait for a person.
        delivered: Letters that were delivered at last.
        discarded: Letters that a person gave up.
        next_due: When the next letter may be claimed, in Unix seconds; None when none will be.
    """

    waiting: int = 0
    retrying: int = 0
    exhausted: int = 0
    delivered: int = 0
    discarded: int = 0
    next_due: float | None = None

    @property
    def total(self) -> int:
        """All letters."""
        return self.waiting + self.retrying + self.exhausted + self.delivered + self.discarded
