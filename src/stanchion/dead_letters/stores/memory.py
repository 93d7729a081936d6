# SPDX-License-Identifier: MIT
"""Letters in memory: for tests, and for programs whose dead letters may go with them."""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import filterfalse, islice

from stanchion._validate import whole_number
from stanchion.dead_letters._filter import LetterFilter
from stanchion.dead_letters._letter import DeadLetter, State
from stanchion.dead_letters._places import Places
from stanchion.dead_letters._store import Key, Write
from stanchion.errors import StoreFullError, StoreRejectedError


class MemoryStore:
    """Keeps letters in memory; they outlive the queue that is closed, not the Python process.

    Args:
        max_letters: How many letters it keeps; beyond that, adding raises ``StoreFullError``. None for no
            limit other than the memory.

    Example:
        >>> MemoryStore(max_letters=10_000).name
        'memory:'
    """

    def __init__(self, *, max_letters: int | None = 100_000) -> None:
        if max_letters is not None:
            whole_number("MemoryStore: max_letters", max_letters, at_least=1)
        self._limit = max_letters
        self._letters: dict[str, DeadLetter] = {}
        self._ids: list[str] = []  # sorted; the keys of _letters
        # (due_at, id) of every revision that had one. Out of date once the letter's due_at differs; such
        # entries are dropped where they surface.
        self._due: list[tuple[float, str]] = []

    @property
    def name(self) -> str:
        """See ``Store.name``."""
        return "memory:"

    async def open(self) -> None:
        """See ``Store.open``."""

    async def close(self) -> None:
        """See ``Store.close``."""

    async def write(self, writes: Sequence[Write]) -> list[bool]:
        """See ``Store.write``."""
        made = self._free_to_make(writes)
        new = [write.letter for write in writes if write.replaces is None]
        new += [write.also for write, done in zip(writes, made, strict=True) if done and write.also is not None]
        self._require_room(new)
        for letter in new:
            insort(self._ids, letter.id)
            self._put(letter)
        for write, done in zip(writes, made, strict=True):
            if done and write.replaces is not None:
                self._put(write.letter)
        return made

    def _require_room(self, new: Sequence[DeadLetter]) -> None:
        ids = [letter.id for letter in new]
        if len(set(ids)) < len(ids) or not self._letters.keys().isdisjoint(ids):
            raise StoreRejectedError(self.name, expected="letters with new ids", got="an id that is taken")
        if self._limit is not None and len(self._letters) + len(new) > self._limit:
            raise StoreFullError(
                self.name,
                expected=f"room for {len(new)} more letters",
                got=f"{len(self._letters)} of at most {self._limit}",
                fix='purge() what is settled, raise max_letters=, or keep letters in a file: "sqlite:///letters.db".',
            )

    def _free_to_make(self, writes: Sequence[Write]) -> list[bool]:
        """Tell for each write whether the revision that it replaces is there, after those before it."""
        revisions: dict[str, int] = {}
        made: list[bool] = []
        for letter, replaces, _ in writes:
            stored = self._letters.get(letter.id)
            now = revisions.get(letter.id, None if stored is None else stored.revision)
            made.append(replaces is None or replaces == now)
            if made[-1]:
                revisions[letter.id] = letter.revision
        return made

    def _put(self, letter: DeadLetter) -> None:
        self._letters[letter.id] = letter
        if letter.due_at is not None:
            heapq.heappush(self._due, (letter.due_at, letter.id))

    async def get(self, id: str) -> DeadLetter | None:
        """See ``Store.get``."""
        return self._letters.get(id)

    async def find(self, ids: Sequence[str]) -> list[DeadLetter]:
        """See ``Store.find``."""
        return [self._letters[id] for id in ids if id in self._letters]

    async def page(
        self, filter: LetterFilter, *, cursor: str | None, limit: int, newest_first: bool
    ) -> list[DeadLetter]:
        """See ``Store.page``."""
        fitting = filterfalse(_misses(filter), self._beyond(cursor, newest_first=newest_first))
        return list(islice(fitting, limit))

    async def keys(self, filter: LetterFilter, *, cursor: str | None, limit: int) -> list[Key]:
        """See ``Store.keys``."""
        found = await self.page(filter, cursor=cursor, limit=limit, newest_first=False)
        return [Key.of(letter) for letter in found]

    def _beyond(self, cursor: str | None, *, newest_first: bool) -> Iterator[DeadLetter]:
        if newest_first:
            end = len(self._ids) if cursor is None else bisect_left(self._ids, cursor)
            places = range(end - 1, -1, -1)
        else:
            places = range(0 if cursor is None else bisect_right(self._ids, cursor), len(self._ids))
        return (self._letters[self._ids[place]] for place in places)

    async def claim(
        self,
        now: float,
        limit: int,
        change: Callable[[DeadLetter], DeadLetter],
        *,
        per_recipient: int | None,
        room: Mapping[str, int],
    ) -> list[DeadLetter]:
        """See ``Store.claim``."""
        places, claimed, left = Places(per_recipient, room), dict[str, DeadLetter](), dict[str, DeadLetter]()
        while len(claimed) < limit and self._due and self._due[0][0] <= now:
            due_at, id = heapq.heappop(self._due)
            letter = self._letters.get(id)
            if letter is None or letter.due_at != due_at or id in claimed:
                continue
            if places.take(letter.recipient):
                claimed[id] = change(letter)
            else:
                left[id] = letter
        for letter in (*claimed.values(), *left.values()):
            self._put(letter)
        return list(claimed.values())

    async def end_claims(self, now: float, has_ended: Callable[[str], bool]) -> None:
        """See ``Store.end_claims``: whoever claims here is in this process."""

    def listen(self, heard: Callable[[], None]) -> Callable[[], None]:
        """See ``Store.listen``: whoever writes here is in this process, and tells of it."""
        return _nothing

    async def next_due(self) -> float | None:
        """See ``Store.next_due``."""
        while self._due:
            due_at, id = self._due[0]
            if (letter := self._letters.get(id)) and letter.due_at == due_at:
                return due_at
            heapq.heappop(self._due)
        return None

    async def count(self) -> dict[State, int]:
        """See ``Store.count``."""
        return dict(Counter(letter.state for letter in self._letters.values()))

    async def delete(self, filter: LetterFilter, *, limit: int) -> int:
        """See ``Store.delete``."""
        chosen = await self.keys(filter, cursor=None, limit=limit)
        return sum(await self.remove(chosen))

    async def remove(self, keys: Sequence[Key]) -> list[bool]:
        """See ``Store.remove``."""
        removed = [self._remove(key) for key in keys]
        self._ids = [id for id in self._ids if id in self._letters]
        return removed

    def _remove(self, key: Key) -> bool:
        letter = self._letters.get(key.id)
        if letter is None or letter.revision != key.revision:
            return False
        del self._letters[key.id]
        return True


def _nothing() -> None:
    """End what never began."""


def _misses(filter: LetterFilter) -> Callable[[DeadLetter], bool]:
    """Return what tells whether the filter leaves a letter out."""
    states, (since, until), change_limit = filter.states, filter.window, filter.change_limit
    wanted = [(name, value) for name, value in filter.texts.items() if value is not None]

    def misses(letter: DeadLetter) -> bool:
        return (
            bool(states and letter.state not in states)
            or any(getattr(letter, name) != value for name, value in wanted)
            or (since is not None and letter.created_at < since)
            or (until is not None and letter.created_at >= until)
            or (change_limit is not None and letter.updated_at >= change_limit)
        )

    return misses
