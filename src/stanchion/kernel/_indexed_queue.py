# SPDX-License-Identifier: MIT
"""The queue of a mailbox of which more is asked than to append at the end and to read at the head."""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from heapq import merge
from itertools import chain
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from stanchion.kernel._mailbox import Envelope, Mailbox


class IndexedQueue:
    """Envelopes in order, out of which each can be taken in constant time, wherever it is.

    It knows the system's messages, which take up no place, from the ordinary ones. Behind it senders may stand in line
    for a place: whenever an ordinary envelope leaves, the first one in line comes in, in the same step, so that nobody
    overtakes it.

    A mailbox has a deque instead, which is several times as fast, until it needs this; and again from when a deque would
    do and no more are left than were read from this, so that the change is paid for. Two envelopes in it must be two
    objects.

    Args:
        mailbox: Whose queue this is about to be, in place of the deque that it has.
        system_first: Whether the system's envelopes come before all ordinary ones, or each in its turn.

    Attributes:
        ordinary: The ordinary envelopes, each with its number of arrival, by identity.
        system: Those of the system, likewise.
        line: The envelopes in line, each with what is called once it is in; by identity.
    """

    __slots__ = ("_arrived", "_mailbox", "_read", "_system_first", "line", "ordinary", "system")

    def __init__(self, mailbox: Mailbox, *, system_first: bool = False) -> None:
        # Ordered dicts, since the head of a plain dict is the further away, the more was taken from there.
        self.ordinary: OrderedDict[int, tuple[float, Envelope]] = OrderedDict()
        self.system: OrderedDict[int, tuple[float, Envelope]] = OrderedDict()
        self.line: OrderedDict[int, tuple[Envelope, Callable[[], None] | None]] = OrderedDict()
        self._arrived = 0
        self._read = 0
        self._mailbox = mailbox
        self._system_first = system_first
        for envelope in mailbox.queue:
            self.append(envelope)

    def append(self, envelope: Envelope) -> None:
        """Add an ordinary envelope at the end."""
        self._arrived += 1
        self.ordinary[id(envelope)] = (self._arrived, envelope)

    def append_system(self, envelope: Envelope) -> None:
        """Add one of the system's at the end of what is read at its rank."""
        self._arrived += 1
        self.system[id(envelope)] = (self._arrived, envelope)

    def appendleft(self, envelope: Envelope) -> None:
        """Add one of the system's before everything else."""
        self.system[id(envelope)] = (-math.inf, envelope)
        self.system.move_to_end(id(envelope), last=False)

    def popleft(self) -> Envelope:
        """Take the first envelope out; the queue must not be empty."""
        if self.system and self._is_systems_turn():
            _, (_, envelope) = self.system.popitem(last=False)
        else:
            envelope = self.pop_ordinary()
        self._read += 1
        if self._read >= len(self.ordinary) and not self.system and not self.line:
            self._mailbox.queue = deque(self)
        return envelope

    def pop_ordinary(self) -> Envelope:
        """Take the oldest ordinary envelope out; there must be one."""
        _, (_, envelope) = self.ordinary.popitem(last=False)
        self._move_up()
        return envelope

    def remove(self, envelope: Envelope) -> bool:
        """Take an envelope out, or out of the line; return whether it was there."""
        key = id(envelope)
        if self.ordinary.pop(key, None) is not None:
            self._move_up()
            return True
        return self.system.pop(key, None) is not None or self.line.pop(key, None) is not None

    def _is_systems_turn(self) -> bool:
        """Return whether the first of the system's, which there is, comes before the first ordinary one."""
        if self._system_first or not self.ordinary:
            return True
        return next(iter(self.system.values()))[0] < next(iter(self.ordinary.values()))[0]

    def _move_up(self) -> None:
        if self.line:
            _, (envelope, placed) = self.line.popitem(last=False)
            self.append(envelope)
            if placed is not None:
                placed()

    def __len__(self) -> int:
        return len(self.ordinary) + len(self.system)

    def __iter__(self) -> Iterator[Envelope]:
        system, ordinary = self.system.values(), self.ordinary.values()
        in_order = chain(system, ordinary) if self._system_first else merge(system, ordinary, key=_number)
        return (envelope for _, envelope in in_order)

    def __reversed__(self) -> Iterator[Envelope]:
        """Iterate from the latest arrival back, whatever comes first in reading: who looks for news begins with them."""
        system, ordinary = reversed(self.system.values()), reversed(self.ordinary.values())
        return (envelope for _, envelope in merge(system, ordinary, key=_number, reverse=True))

    def __getitem__(self, end: Literal[0, -1]) -> Envelope:
        """Return the envelope to be read next (0), or the latest arrival (-1)."""
        return next(iter(self) if end == 0 else reversed(self))


def _number(entry: tuple[float, Envelope]) -> float:
    return entry[0]
