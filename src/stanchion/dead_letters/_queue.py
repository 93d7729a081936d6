# SPDX-License-Identifier: MIT
"""The dead-letter queue: the verbs of people, of the delivery that adds, and of the one that redelivers.

It is one piece since each verb is a few lines around the same session; more than half of the file is their docstrings.
The rules are in ``_transitions.py``, the writing in ``_group_commit.py``.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol, Self, TypeAlias

import msgspec

from stanchion._backoff import Backoff, RandomSource
from stanchion._validate import Seconds, callable_or_none, cut, instance, seconds, whole_number
from stanchion.dead_letters import _transitions as transitions
from stanchion.dead_letters._changes import Subscription
from stanchion.dead_letters._filter import LetterFilter, Page, Stats, filter_of
from stanchion.dead_letters._hook import ExhaustedHook
from stanchion.dead_letters._ids import LetterIds
from stanchion.dead_letters._incoming import address, attempts_of, content_of, json_of, text_or_none, word
from stanchion.dead_letters._letter import Attempt, DeadLetter, kept
from stanchion.dead_letters._session import Session
from stanchion.dead_letters._store import Store, Write
from stanchion.dead_letters.stores import check_url, store_of
from stanchion.errors import (
    DeadLetterError,
    DeadLetterNotFoundError,
    DeadLettersClosedError,
    InvalidOptionError,
    StoreFullError,
)
from stanchion.kernel import Clock, SystemClock
from stanchion.telemetry import Telemetry

_log = logging.getLogger("stanchion.dead_letters")

DEFAULT_BACKOFF: Final = Backoff(initial=5.0, factor=2.0, maximum=3600.0, jitter=0.2)

_PURGE_STEP: Final = 1000
_Letters: TypeAlias = list[DeadLetter]  # the class below has a method called list
_Claims: TypeAlias = dict[asyncio.Future[bool], DeadLetter]


class Host(Protocol):
    """What the queue uses of the node that it is a service of."""

    @property
    def name(self) -> str:
        """The node's name."""
        ...

    @property
    def clock(self) -> Clock:
        """The node's clock."""
        ...

    @property
    def telemetry(self) -> Telemetry:
        """Where the node's events are told."""
        ...

    @property
    def random(self) -> RandomSource:
        """Where the node's jitter comes from."""
        ...


class DeadLetterQueue:
    """Keeps messages that could not be delivered, until they are, or until a person decides.

    A service of a node, or on its own: ``async with DeadLetterQueue("sqlite:///letters.db") as letters``.
    It stores and keeps the rules of retrying; the sending is the delivery's.

    Durability: what a verb reports is committed. With an SQL store it survives ``kill -9``, and loss of
    power as far as the store's ``synchronous`` says. A verb that raises a ``StoreError`` has changed
    nothing. Concurrent verbs are committed in groups, and one that is cancelled while it waits for its
    commit is carried out all the same.

    Sharing: several queues, in several processes, may use one SQL file. Changes are told only by the queue
    that made them.

    Args:
        store: A store, or its URL: ``"sqlite:///letters.db"`` or ``"memory:"``.
        backoff: The delay before each redelivery, counted from the last failure.
        max_attempts: How many failed redeliveries exhaust a letter; 0 redelivers none on its own, None has no
            limit.
        on_exhausted: Called in a task of its own with each letter that is exhausted, ``def`` or ``async def``.
            If it raises, that is logged. It is not called again if the process dies before it ran.
        max_pending: How many writes may wait for their commit; beyond that, ``add`` waits for room.
        seed: The seed of the jitter without a node; with one, its random numbers are used.

    Attributes:
        owner: The name under which this queue claims letters while it is open; no other queue has it.

    Raises:
        InvalidOptionError: an argument is wrong.

    Example:
        >>> import asyncio
        >>> async def main():
        ...     async with DeadLetterQueue("memory:") as letters:
        ...         id = await letters.add(recipient="inventory", message=("reserve", "A-1"), reason="noproc")
        ...         letter = await letters.get(id)
        ...         print(letter.state, letter.recipient, letter.message())
        >>> asyncio.run(main())
        waiting inventory ('reserve', 'A-1')
    """

    def __init__(
        self,
        store: Store | str,
        *,
        backoff: Backoff = DEFAULT_BACKOFF,
        max_attempts: int | None = 10,
        on_exhausted: ExhaustedHook | None = None,
        max_pending: int = 10_000,
        seed: int | None = None,
    ) -> None:
        if isinstance(store, str):
            check_url(store)
        if max_attempts is not None:
            whole_number("DeadLetterQueue: max_attempts", max_attempts)
        callable_or_none("DeadLetterQueue: on_exhausted", on_exhausted)
        self._given: Final = store
        self._backoff: Final = instance("DeadLetterQueue: backoff", backoff, Backoff)
        self._max_attempts: Final = max_attempts
        self._hook: Final = on_exhausted
        self._max_pending: Final = whole_number("DeadLetterQueue: max_pending", max_pending, at_least=1)
        self._random: Final = random.Random(seed)
        # Both are made anew by open(): a process that was forked since must not have the same.
        self._ids = LetterIds()
        self.owner = _new_owner()
        self._clock: Clock = SystemClock()
        self._session: Session | None = None  # set while it is open

    # --- opening and closing ---------------------------------------------------------------------

    async def open(self, node: Host | None = None) -> None:
        """Open the store. A closed queue can be opened again.

        Args:
            node: The node whose clock, telemetry and random numbers are used; None outside of nodes.

        Raises:
            StoreError: the store cannot be opened; the subclass says why. The queue stays closed.
            InvalidOptionError: the queue is open, or its URL is wrong.
        """
        if self._session is not None:
            raise InvalidOptionError("DeadLetterQueue.open()", expected="a closed queue", got="an open one")
        store = await store_of(self._given) if isinstance(self._given, str) else self._given
        await store.open()
        self._ids = LetterIds()
        self.owner = _new_owner()
        self._clock = SystemClock() if node is None else node.clock
        source = self._random if node is None else node.random
        self._session = Session(
            store,
            transitions.RetryPolicy(self._backoff, self._max_attempts, source),
            self._hook,
            None if node is None else node.telemetry,
            max_pending=self._max_pending,
        )

    async def close(self) -> None:
        """Commit what was added, end subscriptions, and close the store; harmless when it is closed.

        An ``add`` that still waits for room raises ``DeadLettersClosedError``; its letter is not stored.
        """
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # --- adding ----------------------------------------------------------------------------------

    async def add(
        self,
        *,
        recipient: str,
        message: object,
        reason: str,
        error: str | None = None,
        attempts: Sequence[Attempt] = (),
        metadata: Mapping[str, object] | None = None,
        message_id: str | None = None,
        trace: tuple[str, str] | None = None,
        redeliverable: bool = True,
    ) -> str:
        """Store a message that could not be delivered.

        Args:
            recipient: The registered name that it was sent to, or a pid as text.
            message: The message, or what ``encode`` made of it. One that cannot become data is stored with its
                preview only, and is not replayable.
            reason: Why the last attempt failed, as one word.
            error: The text of its error.
            attempts: The attempts that failed, oldest first.
            metadata: What else to keep, as JSON data by key. What is no JSON is kept as its repr.
            message_id: The id of the message at its sender.
            trace: The trace id and the span id of the send.
            redeliverable: False when ``recipient`` cannot be found again, as a pid of a process that is gone.
                Such a letter, or one that is not replayable, is exhausted at once: it waits for a person.

        Returns:
            The letter's id, when the letter is committed.

        Raises:
            StoreError: the store failed; the letter is not stored. While others lock an SQL file, that takes
                up to two of its ``busy_timeout``: for the commit under way, and for this one.
            DeadLettersClosedError: the queue is closed; the letter is not stored.
            InvalidOptionError: an argument is of the wrong kind.

        Cancellation: a letter that waits for its commit is stored all the same. Only while ``add`` waits for
        room, with ``max_pending`` writes before it, does cancelling keep it out.
        """
        opened = self._opened("add")
        if opened.commit.full:
            await opened.commit.room("add")
        now = self._clock.time()
        history = attempts_of("add(attempts)", attempts) if attempts else ()
        message_type, version, payload, preview, note = content_of(message)
        again = opened.policy.next_attempt(0, now) if redeliverable and payload is not None else None
        trace_id, span_id = (None, None) if trace is None else trace
        letter = DeadLetter(
            id=self._ids.next(now),
            recipient=address("add(recipient)", recipient),
            message_type=message_type,
            version=version,
            payload=payload,
            preview=preview,
            reason=word("add(reason)", reason),
            error=text_or_none("add(error)", error),
            state="exhausted" if again is None else "waiting",
            attempts=kept(history),
            attempt_count=len(history),
            next_attempt_at=again,
            created_at=now,
            updated_at=now,
            metadata=json_of(metadata),
            message_id=text_or_none("add(message_id)", message_id),
            trace_id=text_or_none("add(trace)", trace_id),
            span_id=text_or_none("add(trace)", span_id),
            redeliverable=redeliverable,
            note=note,
        )
        await opened.commit.put("add", Write(letter))
        return letter.id

    # --- looking ---------------------------------------------------------------------------------

    async def get(self, id: str) -> DeadLetter:
        """Return the letter with this id.

        Raises:
            DeadLetterNotFoundError: there is none.
        """
        letter = await self._opened("get").store.get(id)
        if letter is None:
            raise DeadLetterNotFoundError(id)
        return letter

    async def list(
        self,
        filter: LetterFilter | Mapping[str, object] | None = None,
        *,
        cursor: str | None = None,
        limit: int = 100,
        newest_first: bool = False,
    ) -> Page:
        """Return letters in the order in which they were added.

        Going from page to page shows each letter that was stored before the first page once, whatever is
        added meanwhile.

        Args:
            filter: Which letters; a ``LetterFilter`` or its fields by name. None for all.
            cursor: The ``next_cursor`` of the page before; None for the first page.
            limit: How many letters at most, from 1 to 1000.
            newest_first: Turns the order round.

        Raises:
            InvalidOptionError: an argument is wrong; an unknown field names the nearest one.
        """
        wanted = filter_of(filter)
        if whole_number("list(limit)", limit, at_least=1) > 1000:
            raise InvalidOptionError("list(limit)", expected="at most 1000", got=cut(limit), fix="go on by cursor=.")
        text_or_none("list(cursor)", cursor)
        found = await self._opened("list").store.page(wanted, cursor=cursor, limit=limit + 1, newest_first=newest_first)
        return Page(tuple(found[:limit]), found[limit - 1].id if len(found) > limit else None)

    async def stats(self) -> Stats:
        """Return how many letters there are in each state, and when the next one is due."""
        store = self._opened("stats").store
        return Stats(**await store.count(), next_due=await store.next_due())

    def subscribe(self, *, buffer: int = 1000) -> Subscription:
        """Return the changes that this queue makes from now on.

        Use it as ``with letters.subscribe() as changes: async for change in changes: ...``; it ends with the
        block, or when the queue closes.

        Args:
            buffer: How many changes are kept for a slow reader; beyond that, the oldest are dropped and counted
                in ``missed``.
        """
        whole_number("subscribe(buffer)", buffer, at_least=1)
        return self._opened("subscribe").changes.subscribe(buffer)

    # --- deciding --------------------------------------------------------------------------------

    async def retry(self, id: str) -> DeadLetter:
        """Make a waiting or exhausted letter due now, with all its attempts before it.

        Returns:
            The letter as it is now.

        Raises:
            DeadLetterNotFoundError: there is no such letter.
            DeadLetterStateError: it is in another state, is not replayable, or its recipient cannot be found again.
        """
        return await self._change("retry", id, lambda letter: transitions.retry(letter, self._clock.time()))

    async def replay(self, id: str, recipient: str | None = None) -> str:
        """Send a letter's message again as a new letter, which is due now; to somebody else if you like.

        A letter that was waiting or exhausted is discarded by it, in the same commit.

        Args:
            id: The letter.
            recipient: The registered name to send it to; None for the same recipient.

        Returns:
            The id of the new letter, whose ``replay_of`` is ``id``.

        Raises:
            DeadLetterNotFoundError: there is no such letter.
            DeadLetterStateError: it is being redelivered or is not replayable, or its recipient cannot be found
                again and no other is given.
        """
        name = None if recipient is None else address("replay(recipient)", recipient)
        only_open = False
        while True:
            now = self._clock.time()
            letter = await self.get(id)
            new = transitions.replayed(letter, self._ids.next(now), name, now, only_open=only_open)
            write = Write(new)
            if transitions.is_open(letter):
                old = transitions.discard(letter, f"replayed as {new.id}", now)
                write = Write(old, replaces=letter.revision, also=new)
            if await self._opened("replay").commit.put("replay", write):
                return new.id
            only_open = True  # somebody else was faster: if by settling it, to replay it too would send it twice

    async def discard(self, id: str, *, why: str | None = None) -> DeadLetter:
        """Give a waiting or exhausted letter up; it stays visible until it is purged.

        Args:
            id: The letter.
            why: What to note on it.

        Returns:
            The letter as it is now.

        Raises:
            DeadLetterNotFoundError: there is no such letter.
            DeadLetterStateError: it is in another state.
        """
        note = text_or_none("discard(why)", why)
        return await self._change("discard", id, lambda letter: transitions.discard(letter, note, self._clock.time()))

    async def purge(
        self, filter: LetterFilter | Mapping[str, object] | None = None, *, older_than: Seconds | None = None
    ) -> int:
        """Delete letters for good; nothing is ever deleted otherwise.

        Args:
            filter: Which letters. Without a state in it, only delivered and discarded ones are meant; waiting
                and exhausted ones must be asked for. Letters that are being redelivered are never deleted.
            older_than: Only those that have not changed for so long, in seconds or as a timedelta; None for any.

        Returns:
            How many were deleted.

        Raises:
            InvalidOptionError: the filter is wrong, or asks for retrying letters.
            StoreError: the store failed; what was deleted so far stays deleted.

        Cancellation: what was deleted so far stays deleted.
        """
        wanted = filter_of(filter)
        if "retrying" in wanted.states:
            raise InvalidOptionError(
                "purge(filter)",
                expected="states other than 'retrying'",
                got=cut(wanted.state),
                fix="wait until they are settled; an abandoned claim ends by itself.",
            )
        wanted = msgspec.structs.replace(wanted, state=wanted.states or ("delivered", "discarded"))
        before = None if older_than is None else self._clock.time() - seconds("purge(older_than)", older_than)
        count, step = 0, _PURGE_STEP
        while True:  # in steps, so that others can write in between
            store = self._opened("purge").store
            try:
                deleted = await store.delete(wanted, updated_before=before, limit=step)
            except StoreFullError:  # an SQL file needs room to delete, too: less of it for fewer letters
                if step == 1:
                    raise
                step //= 2
                continue
            count += deleted
            if deleted < step:
                return count
            step = min(2 * step, _PURGE_STEP)

    # --- redelivering ----------------------------------------------------------------------------

    async def claim_due(self, limit: int = 100, *, lease_seconds: Seconds = 60.0, owner: str | None = None) -> _Letters:
        """Take letters that are due, the longest due first; nobody else gets them while the claim holds.

        Settle each by ``delivered``, ``failed`` or ``release``. A claim that is not settled in time ends: the
        letter may be claimed again, and that counts as a failed redelivery.

        Args:
            limit: How many letters at most.
            lease_seconds: How long the claim holds; more than 0.
            owner: Who claims; None for this queue.

        Returns:
            The claimed letters; empty when none is due.

        Cancellation: what was claimed meanwhile is released. Cancelled again before that, it raises at once,
        and the releasing goes on by itself.
        """
        whole_number("claim_due(limit)", limit, at_least=1)
        lease = seconds("claim_due(lease_seconds)", lease_seconds)
        if lease == 0:
            raise InvalidOptionError("claim_due(lease_seconds)", expected="more than 0 seconds", got=cut(lease_seconds))
        claimant = self.owner if owner is None else owner
        asked: _Claims = {}
        try:
            while len(claimed := _claimed(asked)) < limit:
                opened, now = self._opened("claim_due"), self._clock.time()
                due = await opened.store.due(now, limit - len(claimed))
                if not due:
                    break
                changes = [
                    (letter, transitions.claim(letter, claimant, now + lease, now, opened.policy)) for letter in due
                ]
                answers = {opened.commit.put("claim", Write(letter, old.revision)): letter for old, letter in changes}
                asked |= answers
                await asyncio.wait(answers)  # which, other than gather(), leaves them alone when it is cancelled
                # What another queue claimed first is no longer due: look again, unless the store failed.
                failure = next((error for answer in answers if (error := answer.exception()) is not None), None)
                if failure is not None:
                    claimed = _claimed(asked)
                    if not claimed:
                        raise failure
                    _log.error("not every due dead letter could be claimed: %s", failure)
                    break
        except BaseException:
            await asyncio.shield(self._give_back(asked))
            raise
        return claimed

    async def _give_back(self, asked: _Claims) -> None:
        """Release what is claimed for nobody."""
        if asked:
            await asyncio.wait(asked)
        for letter in _claimed(asked):
            try:
                await self.release(letter)
            except DeadLetterError as error:
                _log.error("dead letter %s stays claimed until its claim ends: %s", letter.id, error)

    async def delivered(self, letter: DeadLetter | str) -> DeadLetter:
        """Note that a letter's message was delivered; true whoever holds its claim by now.

        Args:
            letter: The letter, or its id.

        Raises:
            DeadLetterNotFoundError: there is no such letter.
            DeadLetterStateError: it is delivered already, or discarded.
        """
        return await self._change("delivered", _id(letter), lambda now: transitions.delivered(now, self._clock.time()))

    async def failed(
        self,
        letter: DeadLetter | str,
        *,
        reason: str,
        error: str | None = None,
        final: bool = False,
        owner: str | None = None,
    ) -> DeadLetter:
        """Note that the redelivery of a claimed letter failed.

        Args:
            letter: The letter as ``claim_due`` returned it: then that very claim must hold. Or its id: then any
                claim of ``owner`` will do, even one that was made after this attempt's ran out.
            reason: Why, as one word.
            error: The text of the error.
            final: True when trying again is in vain; the letter is exhausted.
            owner: Who claimed it, with an id; None for this queue.

        Returns:
            The letter as it is now: waiting for the next redelivery, or exhausted.

        Raises:
            DeadLetterNotFoundError: there is no such letter.
            DeadLetterStateError: the claim does not hold any more.
        """
        why, text = word("failed(reason)", reason), text_or_none("failed(error)", error)
        claim = self._claim(letter, owner)

        def change(now: DeadLetter) -> DeadLetter:
            attempt = Attempt(self._clock.time(), why, text)
            return transitions.failed(now, claim, attempt, self._opened("failed").policy, final=final)

        return await self._change("failed", _id(letter), change)

    async def release(self, letter: DeadLetter | str, *, owner: str | None = None) -> DeadLetter:
        """Give a claim back without an attempt; the letter is due at once.

        Args:
            letter: The letter as ``claim_due`` returned it, or its id; see ``failed``.
            owner: Who claimed it, with an id; None for this queue.

        Raises:
            DeadLetterNotFoundError: there is no such letter.
            DeadLetterStateError: the claim does not hold any more.
        """
        claim = self._claim(letter, owner)
        return await self._change(
            "release", _id(letter), lambda now: transitions.release(now, claim, self._clock.time())
        )

    async def next_due(self) -> float | None:
        """Return when the next letter may be claimed, in Unix seconds; None when none will be."""
        return await self._opened("next_due").store.next_due()

    @property
    def changes(self) -> int:
        """How many changes this queue has made since it opened; see ``wait_changed``."""
        return self._opened("changes").changes.count

    async def wait_changed(self, seen: int) -> int:
        """Return ``changes`` once it is no longer ``seen``.

        Read ``changes`` before ``next_due()``, and no change can slip in between.

        Raises:
            DeadLettersClosedError: the queue is closed, or closes.
        """
        return await self._opened("wait_changed").changes.wait(seen)

    # --- inside ----------------------------------------------------------------------------------

    def _opened(self, verb: str) -> Session:
        if self._session is None:
            raise DeadLettersClosedError(verb)
        return self._session

    def _claim(self, letter: DeadLetter | str, owner: str | None) -> DeadLetter | str:
        if isinstance(letter, DeadLetter):
            return letter
        return self.owner if owner is None else owner

    async def _change(self, verb: str, id: str, change: Callable[[DeadLetter], DeadLetter]) -> DeadLetter:
        """Store the next revision of a letter; begin again when somebody else changed it meanwhile."""
        while True:
            letter = await self.get(id)
            changed = change(letter)
            if await self._opened(verb).commit.put(verb, Write(changed, letter.revision)):
                return changed


def _id(letter: DeadLetter | str) -> str:
    return letter.id if isinstance(letter, DeadLetter) else letter


def _claimed(asked: _Claims) -> _Letters:
    """Return the letters whose claim is made."""
    made = (
        letter
        for answer, letter in asked.items()
        if not answer.cancelled() and answer.exception() is None and answer.result()
    )
    return [letter for letter in made if letter.state == "retrying"]  # not one that its last claim exhausted


def _new_owner() -> str:
    return f"{socket.gethostname()}:{os.getpid()}:{os.urandom(3).hex()}"
