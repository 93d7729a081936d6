# SPDX-License-Identifier: MIT
"""The contract between the queue and what keeps its letters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol, Self

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


class Key(NamedTuple):
    """A letter as it was at one moment, without what it says.

    Attributes:
        id: The letter.
        revision: Its revision then.
        state: Its state then.
        replayable: Whether its message is here, so that it can be sent again.
        redeliverable: Whether its recipient can be found again.
    """

    id: str
    revision: int
    state: State
    replayable: bool
    redeliverable: bool

    @classmethod
    def of(cls, letter: DeadLetter) -> Self:
        """Return the key of a letter as it is."""
        return cls(letter.id, letter.revision, letter.state, letter.replayable, letter.redeliverable)


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

    async def find(self, ids: Sequence[str]) -> list[DeadLetter]:
        """Return those of these letters that are there, in any order; at most 1000 are asked for."""
        ...

    async def page(
        self, filter: LetterFilter, *, cursor: str | None, limit: int, newest_first: bool
    ) -> list[DeadLetter]:
        """Return up to ``limit`` letters in the order of their ids, beyond the id ``cursor``."""
        ...

    async def keys(self, filter: LetterFilter, *, cursor: str | None, limit: int) -> list[Key]:
        """Return up to ``limit`` letters as ``page`` does, without what they say."""
        ...

    async def claim(
        self,
        now: float,
        limit: int,
        change: Callable[[DeadLetter], DeadLetter],
        *,
        per_recipient: int | None,
        room: Mapping[str, int],
    ) -> list[DeadLetter]:
        """Replace up to ``limit`` letters whose ``due_at`` is at most ``now``, the longest due first, by what they become.

        Finding and replacing is one step: of two who claim at once, each gets other letters, and neither waits for the
        other. Takes time for the letters that are due, not for those that are not.

        Args:
            now: The time, in Unix seconds.
            limit: How many letters at most.
            change: Returns the next revision of a letter, which is not due any more. It may be called in another
                thread, and again when the store has to begin anew.
            per_recipient: How many letters of one recipient at most; None for no limit.
            room: How many letters of a recipient at most, for those of which fewer are wanted; 0 for none.

        Returns:
            The letters as they are now.
        """
        ...

    async def end_claims(self, now: float, has_ended: Callable[[str], bool]) -> None:
        """End the claims of those who are gone: their letters are due now, as if the time of the claims were over.

        Args:
            now: The time, in Unix seconds.
            has_ended: Tells it of an owner, by the name under which it claims. It blocks for a moment.
        """
        ...

    def listen(self, heard: Callable[[], None]) -> Callable[[], None]:
        """Call ``heard`` when letters were added or made due, whoever did so; return what ends it.

        A hint, which may come late, twice or not at all; a store that cannot tell never calls it.
        """
        ...

    async def next_due(self) -> float | None:
        """Return the lowest ``due_at`` of all letters."""
        ...

    async def count(self) -> dict[State, int]:
        """Return how many letters there are in each state; states without letters may be left out."""
        ...

    async def delete(self, filter: LetterFilter, *, limit: int) -> int:
        """Delete up to ``limit`` letters, whichever fit, and return how many were deleted.

        With ``filter.changed_before``, it takes time for the letters of the state that are as old, not for the others.
        """
        ...

    async def remove(self, keys: Sequence[Key]) -> list[bool]:
        """Delete the letters that are as they were, and return for each whether it was; at most 1000 are asked for."""
        ...
