# SPDX-License-Identifier: MIT
"""The contract between the queue and what keeps its letters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from stanchion.dead_letters._filter import LetterFilter
from stanchion.dead_letters._letter import DeadLetter, State


class Write(NamedTuple):
    """One change: a new letter, or the next revision of one.

    Attributes:
        letter: What is to be stored.
        replaces: The revision that is stored now; None when the letter is new. Where another revision is
            stored, or none, nothing is written: somebody else was faster.
        also: A new letter that is stored if, and only if, this change is made.
    """

    letter: DeadLetter
    replaces: int | None = None
    also: DeadLetter | None = None


class Store(Protocol):
    """What keeps letters. It knows nothing of retries: every rule is the queue's.

    The queue calls ``write`` from one task at a time and the others whenever it likes. Several queues,
    in several OS processes, may share what is behind a store; ``Write.replaces`` is what keeps them from
    changing a letter at the same time. Every method raises a ``StoreError`` when the store fails.
    """

    @property
    def name(self) -> str:
        """The store as text, for error messages; without passwords."""
        ...

    async def open(self) -> None:
        """Make ready; create or upgrade what is missing. Nothing else is called before."""
        ...

    async def close(self) -> None:
        """Let go of everything; harmless when it is not open."""
        ...

    async def write(self, writes: Sequence[Write]) -> list[bool]:
        """Commit the changes together, and return for each whether it was made.

        When it raises, none is made. ``StoreRejectedError`` means that it is one of these letters which
        cannot be stored, while others can; any other error means that the store itself has failed.
        What is committed survives the death of the OS process.
        """
        ...

    async def get(self, id: str) -> DeadLetter | None:
        """Return the letter with this id."""
        ...

    async def page(
        self, filter: LetterFilter, *, cursor: str | None, limit: int, newest_first: bool
    ) -> list[DeadLetter]:
        """Return up to ``limit`` letters in the order of their ids, beyond the id ``cursor``."""
        ...

    async def due(self, now: float, limit: int) -> list[DeadLetter]:
        """Return up to ``limit`` letters whose ``due_at`` is at most ``now``, the longest due first.

        Takes time for the letters that are due, not for those that are not.
        """
        ...

    async def next_due(self) -> float | None:
        """Return the lowest ``due_at`` of all letters."""
        ...

    async def count(self) -> dict[State, int]:
        """Return how many letters there are in each state; states without letters may be left out."""
        ...

    async def delete(self, filter: LetterFilter, *, updated_before: float | None, limit: int) -> int:
        """Delete up to ``limit`` letters, and return how many were deleted."""
        ...
