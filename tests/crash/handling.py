# SPDX-License-Identifier: MIT
"""What recipients did with numbered messages, by what they noted in their handlers."""

from __future__ import annotations

import asyncio
from collections import Counter

import stanchion as st
from tests.crash.journal import Entry
from tests.crash.target import Life


class Recipient(st.GenServer):
    """Notes what it handles; takes its time with some messages, and refuses some for now."""

    def init(self, life: Life) -> None:
        self._life = life

    async def handle_cast(self, number: int) -> object:
        journal, chance = self._life.journal, self._life.random.random()
        journal.note("handling", number=number)
        if chance < 0.2:
            await asyncio.sleep(chance / 20)
        if chance > 0.9:
            journal.note("refused", number=number)
            return st.Reject("not now", retry=True)
        journal.note("handled", number=number)
        return None


class Handling:
    """Follows each message from hand to hand, entry by entry.

    What a process has in hand is nobody else's until it dies; then anybody may have it, at once.

    Attributes:
        handled: How many times each message was handled.
        order: The messages in the order in which they were handled first.
        problems: What must not have happened.
    """

    def __init__(self) -> None:
        self._holders: dict[int, int] = {}
        self._dead: set[int] = set()
        self._done: set[int] = set()
        self.handled = Counter[int]()
        self.order: list[int] = []
        self.problems: list[str] = []

    def take(self, entry: Entry) -> None:
        """Follow one entry; those that are about something else do nothing."""
        match entry:
            case Entry(what="round"):
                self._holders.clear()
            case Entry(what="dying", number=int(life)):
                self._dead.add(life)
            case Entry(what="handling", number=int(number)):
                self._begin(number, entry.life)
            case Entry(what="refused", number=int(number)):
                self._holders.pop(number, None)
            case Entry(what="handled", number=int(number)):
                if not self.handled[number]:
                    self.order.append(number)
                self.handled[number] += 1
            case _:
                pass

    def done(self, number: int) -> None:
        """Note that it was committed that a message is handled: from now on nobody must handle it."""
        self._done.add(number)
        if not self.handled[number]:
            self.problems.append(f"message {number}: nobody handled it, and it was reported as delivered")

    def _begin(self, number: int, life: int) -> None:
        if number in self._done:
            self.problems.append(f"message {number}: handled again after it was reported as delivered")
        holder = self._holders.get(number)
        if holder is not None and holder not in self._dead:
            self.problems.append(f"message {number}: process {life} has it while process {holder} does")
        self._holders[number] = life

    @property
    def duplicates(self) -> int:
        """How many times a message was handled that had been handled before."""
        return sum(count - 1 for count in self.handled.values())
