# SPDX-License-Identifier: MIT
"""Fairness of a claim: no recipient takes all of it."""

from __future__ import annotations

from collections.abc import Mapping

from stanchion._validate import cut, whole_number
from stanchion.errors import InvalidOptionError


class Places:
    """Counts how many letters of each recipient one claim may still take.

    Args:
        per_recipient: How many of any recipient; None for no limit.
        room: How many of those of which fewer are wanted; 0 for none.

    Attributes:
        full: The recipients of which no more are wanted, as far as they were asked for.
    """

    __slots__ = ("_each", "_left", "full")

    def __init__(self, per_recipient: int | None, room: Mapping[str, int]) -> None:
        self._each = per_recipient
        self._left = dict(room)
        self.full = {recipient for recipient, places in room.items() if places <= 0}

    def take(self, recipient: str) -> bool:
        """Take a place, and tell whether there was one."""
        if recipient in self.full:
            return False
        left = self._left.get(recipient, self._each)
        if left is not None:
            self._left[recipient] = left - 1
            if left == 1:
                self.full.add(recipient)
        return True


def room_of(subject: str, given: Mapping[str, int] | None) -> Mapping[str, int]:
    """Return how many letters of which recipients are wanted; None says nothing about any.

    Raises:
        InvalidOptionError: it is no mapping of whole numbers.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise InvalidOptionError(subject, expected="whole numbers by recipient", got=cut(given))
    for recipient, places in given.items():
        whole_number(f"{subject}, {cut(recipient)}", places)
    return given
