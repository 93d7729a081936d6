# SPDX-License-Identifier: MIT
"""Many letters at once: those that were seen, as they were seen, and no others."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final, TypeAlias

import msgspec

from stanchion._validate import cut, instance
from stanchion.dead_letters import _transitions as transitions
from stanchion.dead_letters._filter import LetterFilter
from stanchion.dead_letters._incoming import address, text_or_none
from stanchion.dead_letters._letter import DeadLetter, State
from stanchion.dead_letters._purging import remove
from stanchion.dead_letters._session import Session
from stanchion.dead_letters._store import Key, Store, Write
from stanchion.errors import BulkError, DeadLettersClosedError, DeadLetterStateError, InvalidOptionError, StoreError

_STEP: Final = 500  # letters that are read and changed at once; others have their turn in between

_KEYS: Final = 10_000  # keys that are read at once

_Change: TypeAlias = Callable[[DeadLetter, float], Write]


class BulkResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the letters of a selection.

    Attributes:
        done: The ids of those that it was done to.
        replayed_as: After ``replay``, the ids of the new letters, in the order of ``done``.
        changed: The ids of those that had changed since they were selected, or were gone; they were left alone.
        refused: The error for each of those that it cannot be done to.
    """

    done: tuple[str, ...] = ()
    replayed_as: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    refused: tuple[DeadLetterStateError, ...] = ()


class Selection:
    """Letters as they were when they were selected; see ``DeadLetterQueue.select``.

    Its verbs act on exactly these, each at the revision that was selected: a letter that changed since is left alone,
    and so is every letter that came since. A verb changes the letters, so a second one finds them changed.
    A letter takes about 250 bytes of memory here.

    Every verb returns a ``BulkResult``, and raises ``BulkError`` when the store fails on the way: what was done before
    stays done, and is in the error's ``result``. Cancelled on the way, what was begun is done to the end; the others
    stay as they are.

    Attributes:
        keys: The letters, oldest first.
    """

    __slots__ = ("_opened", "keys")

    def __init__(self, opened: Callable[[str], Session], keys: Sequence[Key]) -> None:
        self._opened: Final = opened
        self.keys: Final = tuple(keys)

    @property
    def count(self) -> int:
        """How many letters are selected."""
        return len(self.keys)

    @property
    def states(self) -> Mapping[State, int]:
        """How many of them were in each state; states without letters are left out."""
        return Counter(key.state for key in self.keys)

    def where(self, fits: Callable[[Key], bool]) -> Selection:
        """Return the selection of those of its letters that ``fits`` is true for."""
        return Selection(self._opened, [key for key in self.keys if fits(key)])

    async def retry(self) -> BulkResult:
        """Make the letters due now; see ``DeadLetterQueue.retry``.

        Raises:
            BulkError: the store failed on the way.
        """
        return await self._change("retry", revision(transitions.retry))

    async def replay(self, recipient: str | None = None) -> BulkResult:
        """Send the messages again as new letters; see ``DeadLetterQueue.replay``.

        Args:
            recipient: The registered name to send them to; None for the same recipients.

        Raises:
            BulkError: the store failed on the way.
            InvalidOptionError: ``recipient`` is no name.
        """
        name = None if recipient is None else address("replay(recipient)", recipient)
        ids = self._opened("replay").ids
        return await self._change("replay", lambda letter, now: replaying(letter, ids.next(now), name, now))

    async def discard(self, *, why: str | None = None) -> BulkResult:
        """Give the letters up; see ``DeadLetterQueue.discard``.

        Args:
            why: What to note on each.

        Raises:
            BulkError: the store failed on the way.
        """
        note = text_or_none("discard(why)", why)
        return await self._change("discard", revision(partial(transitions.discard, why=note)))

    async def purge(self) -> BulkResult:
        """Delete the letters for good, whatever their state; those that were being redelivered are refused.

        Raises:
            BulkError: the store failed on the way.
        """
        return await self._in_steps("purge", partial(_purge, self._opened("purge")))

    async def _change(self, verb: str, change: _Change) -> BulkResult:
        return await self._in_steps(verb, partial(_put, self._opened(verb), change))

    async def _in_steps(self, verb: str, step: Callable[[Sequence[Key], _Progress], Awaitable[None]]) -> BulkResult:
        progress = _Progress(verb, self.count)
        for start in range(0, self.count, _STEP):
            try:
                await step(self.keys[start : start + _STEP], progress)
            except (StoreError, DeadLettersClosedError) as error:
                raise progress.stopped(error) from error
        return progress.result


class _Progress:
    """What became of the letters so far."""

    __slots__ = ("changed", "done", "refused", "replayed_as", "total", "verb")

    def __init__(self, verb: str, total: int) -> None:
        self.verb = verb
        self.total = total
        self.done: list[str] = []
        self.replayed_as: list[str] = []
        self.changed: list[str] = []
        self.refused: list[DeadLetterStateError] = []

    @property
    def result(self) -> BulkResult:
        return BulkResult(
            done=tuple(self.done),
            replayed_as=tuple(self.replayed_as),
            changed=tuple(self.changed),
            refused=tuple(self.refused),
        )

    def note(self, id: str, write: Write) -> None:
        self.done.append(id)
        if self.verb == "replay":
            self.replayed_as.append((write.also or write.letter).id)

    def stopped(self, error: Exception) -> BulkError:
        left = self.total - len(self.done) - len(self.changed) - len(self.refused)
        return BulkError(self.verb, result=self.result, left=left, cause=error)


async def _put(session: Session, change: _Change, keys: Sequence[Key], progress: _Progress) -> None:
    """Change the letters that are as they were, in one group."""
    stored = {letter.id: letter for letter in await session.store.find([key.id for key in keys])}
    now = session.clock.time()
    writes: list[tuple[str, Write]] = []
    for key in keys:
        letter = stored.get(key.id)
        if letter is None or letter.revision != key.revision:
            progress.changed.append(key.id)
            continue
        try:
            writes.append((key.id, change(letter, now)))
        except DeadLetterStateError as error:
            progress.refused.append(error)
    putting = [session.commit.put(progress.verb, write) for _, write in writes]
    failure: BaseException | None = None
    for (id, write), answer in zip(writes, await asyncio.gather(*putting, return_exceptions=True), strict=True):
        if isinstance(answer, BaseException):
            failure = answer
        elif answer:
            progress.note(id, write)
        else:
            progress.changed.append(id)
    if failure is not None:
        raise failure


async def _purge(session: Session, keys: Sequence[Key], progress: _Progress) -> None:
    """Delete the letters that are as they were."""
    able: list[Key] = []
    for key in keys:
        try:
            transitions.check_purge(key.id, key.state)
        except DeadLetterStateError as error:
            progress.refused.append(error)
        else:
            able.append(key)
    removed = await remove(session.store, able)
    session.purged(sum(removed))
    for key, is_gone in zip(able, removed, strict=True):
        (progress.done if is_gone else progress.changed).append(key.id)


def keys_in(subject: str, letters: Iterable[object]) -> list[Key]:
    """Return letters that were read, each once.

    Raises:
        InvalidOptionError: there is something else among them.
    """
    if not isinstance(letters, Iterable):
        raise InvalidOptionError(subject, expected="a filter, or letters", got=cut(letters))
    return list(dict.fromkeys(Key.of(instance(subject, letter, DeadLetter)) for letter in letters))


async def keys_of(store: Store, filter: LetterFilter) -> list[Key]:
    """Return the letters that fit."""
    found: list[Key] = []
    cursor: str | None = None
    while keys := await store.keys(filter, cursor=cursor, limit=_KEYS):
        found += keys
        cursor = keys[-1].id
    return found


# --- what the verbs write --------------------------------------------------------------------------


def revision(change: Callable[[DeadLetter, float], DeadLetter]) -> _Change:
    """Return what writes a changed letter in place of the one that it was made from."""
    return lambda letter, now: Write(change(letter, now), letter.revision)


def replaying(letter: DeadLetter, new_id: str, recipient: str | None, now: float, *, only_open: bool = False) -> Write:
    """Return what writes the new letter that replays this one, and discards this one if it is open."""
    new = transitions.replayed(letter, new_id, recipient, now, only_open=only_open)
    if not transitions.is_open(letter):
        return Write(new)
    return Write(transitions.discard(letter, now, why=f"replayed as {new_id}"), replaces=letter.revision, also=new)
