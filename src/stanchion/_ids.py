# SPDX-License-Identifier: MIT
"""Ids that sort by time."""

from __future__ import annotations

import os
from typing import Final

# The last second that an id can carry.
_LAST: Final = (2**48 - 1) / 1000
# How many ids one millisecond can have.
_COUNTS: Final = 4096
# Two hexadecimal digits at a time: a third of what it takes to format a number.
_PAIRS: Final = tuple(f"{number:02x}" for number in range(256))


class TimeIds:
    """Makes UUIDs of version 7 (RFC 9562) as text, each greater than the one before.

    The first 60 bits are a clock of milliseconds with a 12-bit counter below it; when more than 4096 ids
    fall into one millisecond, or the machine's clock steps back, the counter runs on from the last id. The
    other 62 bits are drawn once, so that two makers of ids do not make the same one.
    """

    __slots__ = ("_count", "_head", "_last", "_tail")

    def __init__(self) -> None:
        self._last = -1  # the highest millisecond used; only grows
        self._count = _COUNTS - 1  # the last count within it
        self._head = ""  # how the ids of that millisecond begin, up to the count
        # os.urandom, not the random module: a program may seed that the same way in each of its processes.
        tail = f"{int.from_bytes(os.urandom(8)) >> 2 | 1 << 63:016x}"
        self._tail = f"-{tail[:4]}-{tail[4:]}"

    def next(self, now: float) -> str:
        """Return the next id, at ``now`` in Unix seconds."""
        moment = int(now * 1000)
        count = self._count = self._count + 1
        if moment > self._last or count == _COUNTS:
            self._last = max(moment, self._last + 1)
            count = self._count = 0
            self._head = _head(self._last)
        return f"{self._head}{_PAIRS[count >> 8][1]}{_PAIRS[count & 255]}{self._tail}"


def first_id(at: float) -> str:
    """Return a text that no id which was made at ``at`` or later, in Unix seconds, sorts before."""
    return _head(int(min(max(at, 0.0), _LAST) * 1000)) + "000"


def _head(moment: int) -> str:
    digits = f"{moment:012x}"
    return f"{digits[:8]}-{digits[8:]}-7"
