# SPDX-License-Identifier: MIT
"""The dead-letter queue: the verbs of people, of the delivery that adds, and of the one that redelivers.

It is one piece since each verb is a few lines around the same session; two thirds of the file are their docstrings.
The rules are in ``_transitions.py``; what needs more than a few lines is in a file of its own: ``_selection.py``,
``_purging.py``, ``_jsonl.py``, ``_lineage.py``.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final, Self, TypeAlias

from stanchion._backoff import Backoff
from stanchion._validate import Seconds, callable_or_none, cut, instance, seconds, seconds_or_none, whole_number
from stanchion.dead_letters import _transitions as transitions
from stanchion.dead_letters._changes import Subscription
from stanchion.dead_letters._claimant import claimant
from stanchion.dead_letters._filter import LetterFilter, Page, Stats, filter_of, is_fields
from stanchion.dead_letters._hook import ExhaustedHook
from stanchion.dead_letters._incoming import (
    address,
    attempts_of,
    content_of,
    json_of,
    text_or_none,
    trace_of,
    traceback_or_none,
    word,
)
from stanchion.dead_letters._jsonl import Imported, LetterFile, export, import_letters
from stanchion.dead_letters._letter import Attempt, DeadLetter, kept
from stanchion.dead_letters._lineage import lineage
from stanchion.dead_letters._places import room_of
from stanchion.dead_letters._purging import Retention, enforce, purge, purgeable
from stanchion.dead_letters._selection import Selection, keys_in, keys_of, replaying
from stanchion.dead_letters._session import Host, Session
from stanchion.dead_letters._statistics import DEFAULT_GROWTH, GrowthAlarm, GrowthHook, QueueStatistics
from stanchion.dead_letters._store import Store, Write
from stanchion.dead_letters.stores import check_url, store_of
from stanchion.errors import (
    DeadLetterError,
    DeadLetterNotFoundError,
    DeadLettersClosedError,
    InvalidOptionError,
    StoreError,
)
from stanchion.kernel import SystemClock, cut_by_deadline
from stanchion.storage import this_process

_log = logging.getLogger("stanchion.dead_letters")

DEFAULT_BACKOFF: Final = Backoff(initial=5.0, factor=2.0, maximum=3600.0, jitter=0.2)

_Letters: TypeAlias = list[DeadLetter]  # the class below has a method called list


class DeadLetterQueue:
    """Keeps messages that could not be delivered, until they are, or until a person decides.

    A service of a node, or on its own: ``async with DeadLetterQueue("sqlite:///letters.db") as letters``.
    It stores and keeps the rules of retrying; the sending is the delivery's.

    Durability: what a verb reports is committed. With an SQL store it survives ``kill -9``, and loss of
    power as far as the store's ``synchronous`` says. A verb that raises a ``StoreError`` has changed
    nothing; only ``StoreUncertainError`` cannot tell. Concurrent verbs are committed in groups, and one that is cancelled while it waits for its
    commit is carried out all the same.

    Sharing: several queues, in several processes, may use one database. Changes are told only by the queue
    that made them; but on PostgreSQL, ``wait_changed`` hears of letters that others made due.

    Args:
        store: A store, or its URL: ``"sqlite:///letters.db"`` or ``"memory:"``.
        backoff: The delay before each redelivery, counted from the last failure. It is rounded up, by an eighth of it
            at most.
        max_attempts: How many failed redeliveries exhaust a letter; 0 redelivers none on its own, None has no
            limit.
        on_exhausted: Called in a task of its own with each letter that is exhausted, ``def`` or ``async def``.
            If it raises, that is logged. It is not called again if the process dies before it ran.
        retention: How long letters are kept; None keeps them until they are purged.
        growth: When it is told that letters come too fast; by default at 1000 letters within 60 s. None never tells.
        on_growth: Called then, like ``on_exhausted``, with how many letters were added in how many seconds.
        max_pending: How many writes may wait for their commit; beyond that, ``add`` waits for room.
        seed: The seed of the jitter without a node; with one, its random numbers are used.

    Attributes:
        owner: The name under which this queue claims letters while it is open, empty before; no other queue has it.

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
        retention: Retention | None = None,
        growth: GrowthAlarm | None = DEFAULT_GROWTH,
        on_growth: GrowthHook | None = None,
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
        callable_or_none("DeadLetterQueue: on_growth", on_growth)
        self._on_exhausted: Final = on_exhausted
        self._on_growth: Final = on_growth
        if retention is not None:
            instance("DeadLetterQueue: retention", retention, Retention)
        if growth is not None:
            instance("DeadLetterQueue: growth", growth, GrowthAlarm)
        self._retention: Final = retention
        self._growth: Final = growth
        self._max_pending: Final = whole_number("DeadLetterQueue: max_pending", max_pending, at_least=1)
        self._random: Final = random.Random(seed)
        self.owner = ""  # made by open(): a process that was forked since must not have the same
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
        process = await asyncio.to_thread(this_process)
        await store.open()
        self.owner = claimant(process)
        source = self._random if node is None else node.random
        self._session = Session(
            store,
            transitions.RetryPolicy(self._backoff, self._max_attempts, source),
            SystemClock() if node is None else node.clock,
            None if node is None else node.telemetry,
            process,
            max_pending=self._max_pending,
            on_exhausted=self._on_exhausted,
            growth=self._growth,
            on_growth=self._on_growth,
            retention=self._retention,
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
        final: bool = False,
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
            final: True when trying again is in vain: the letter is exhausted at once.

        Returns:
            The letter's id, when the letter is committed.

        Raises:
            StoreError: the store failed; the letter is not stored, other than ``StoreUncertainError`` may find. While others lock an SQL file, that takes
                up to two of its ``busy_timeout``: for the commit under way, and for this one.
            DeadLettersClosedError: the queue is closed; the letter is not stored.
            InvalidOptionError: an argument is of the wrong kind.

        Cancellation: a letter that waits for its commit is stored all the same. Only while ``add`` waits for
        room, with ``max_pending`` writes before it, does cancelling keep it out.
        """
        opened = self._opened("add")
        if opened.commit.full:
            await opened.commit.room("add")
        now = opened.clock.time()
        history = attempts_of("add(attempts)", attempts) if attempts else ()
        message_type, version, payload, preview, note = content_of(message)
        sendable = redeliverable and payload is not None and not final
        again = opened.policy.next_attempt(0, now) if sendable else None
        trace_id, span_id = trace_of("add(trace)", trace)
        letter = DeadLetter(
            id=opened.ids.next(now),
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
            metadata=json_of("add(metadata)", metadata),
            message_id=text_or_none("add(message_id)", message_id),
            trace_id=trace_id,
            span_id=span_id,
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

    def statistics(self) -> QueueStatistics:
        """Return what this queue has done since it opened; ``stats()`` counts what is stored now."""
        return self._opened("statistics").statistics

    async def lineage(self, id: str) -> tuple[DeadLetter, ...]:
        """Return the letter that a letter goes back to, and every replay of it and of those, oldest first.

        Letters that were purged are missing in it. The letter itself is in it, alone if it was never replayed.

        Raises:
            DeadLetterNotFoundError: there is no letter with this id.
        """
        return await lineage(self._opened("lineage").store, await self.get(id))

    async def export(self, file: LetterFile, filter: LetterFilter | Mapping[str, object] | None = None) -> int:
        """Write letters as lines of JSON, the oldest first, with all that is known about each.

        What is added meanwhile may or may not be in it; each letter that is in it is whole.

        Args:
            file: The path of a file that is not there yet, or an open binary file, which stays open.
            filter: Which letters; None for all.

        Returns:
            How many letters were written.

        Raises:
            LetterFileError: the file is there, or cannot be written.
            StoreError: the store failed.
            InvalidOptionError: an argument is wrong.

        When it fails or is cancelled, a file that it made is removed.
        """
        return await export(self._opened("export"), file, filter_of(filter))

    async def import_(self, file: LetterFile) -> Imported:
        """Store the letters that ``export`` wrote, as they were then; those whose ids are there are skipped.

        A claim comes along, and ends when it would have ended. No letter is stored before all lines were found right.

        Args:
            file: The path of the file, or an open binary file that can be rewound; it is read from where it is.

        Returns:
            How many letters were stored, and how many skipped.

        Raises:
            LetterFileError: the file cannot be read, or a line is not right: the error has its number. Nothing was
                stored.
            StoreError: the store failed; what was stored so far stays, and to import the file again goes on from there.
            InvalidOptionError: ``file`` is neither a path nor an open binary file.
        """
        return await import_letters(self._opened("import_"), file)

    # --- deciding --------------------------------------------------------------------------------

    async def select(
        self, which: LetterFilter | Mapping[str, object] | Iterable[DeadLetter] | None = None
    ) -> Selection:
        """Return letters to retry, replay, discard or purge together: exactly these, as they are now.

        Look at the selection's ``count``, and call one of its verbs: ``await selection.retry()``. What changes after it
        was made is left alone. To delete whatever fits at the time, without a look first, ``purge`` is enough.

        Args:
            which: A filter or its fields by name, or letters as a page showed them. None for all.

        Raises:
            InvalidOptionError: the filter is wrong, or it is no filter and has something else than letters.
            StoreError: the store failed.
        """
        opened = self._opened("select")
        if which is None or isinstance(which, LetterFilter) or is_fields(which):
            return Selection(self._opened, await keys_of(opened.store, filter_of(which)))
        return Selection(self._opened, keys_in("select(which)", which))

    async def retry(self, id: str) -> DeadLetter:
        """Make a waiting or exhausted letter due now, with all its attempts before it.

        Returns:
            The letter as it is now.

        Raises:
            DeadLetterNotFoundError: there is no such letter.
            DeadLetterStateError: it is in another state, is not replayable, or its recipient cannot be found again.
        """
        return await self._change("retry", id, transitions.retry)

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
            letter = await self.get(id)
            opened = self._opened("replay")
            now = opened.clock.time()
            new_id = opened.ids.next(now)
            if await opened.commit.put("replay", replaying(letter, new_id, name, now, only_open=only_open)):
                return new_id
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
        return await self._change("discard", id, partial(transitions.discard, why=note))

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
        opened = self._opened("purge")
        return await purge(opened, purgeable(filter_of(filter), older_than, opened.clock.time()))

    async def enforce_retention(self) -> int:
        """Delete what ``retention`` says is kept for too long; the queue does it by itself now and then.

        Returns:
            How many letters were deleted; 0 without ``retention``.

        Raises:
            StoreError: the store failed; what was deleted so far stays deleted.
        """
        opened = self._opened("enforce_retention")
        return 0 if self._retention is None else await enforce(opened, self._retention)

    # --- redelivering ----------------------------------------------------------------------------

    async def claim_due(
        self,
        limit: int = 100,
        *,
        lease_seconds: Seconds = 60.0,
        owner: str | None = None,
        per_recipient: int | None = None,
        room: Mapping[str, int] | None = None,
    ) -> _Letters:
        """Take letters that are due, the longest due first; nobody else gets them while the claim holds.

        Settle each by ``delivered``, ``failed`` or ``release``. A claim that is not settled in time ends: the
        letter may be claimed again, and that counts as a failed redelivery. So does one whose owner was a process of this
        machine that is gone; then the claim ends at once, and not when its time is over.

        Args:
            limit: How many letters at most.
            lease_seconds: How long the claim holds; more than 0.
            owner: Who claims; None for this queue.
            per_recipient: How many letters of one recipient at most; None for no limit.
            room: How many letters of a recipient at most, by its name, for those of which fewer are wanted; 0 for
                none. It costs the letters that are left no attempt.

        Returns:
            The claimed letters; empty when none is due.

        Cancellation: what was claimed meanwhile is released. Cancelled again before that, it raises at once,
        and the releasing goes on by itself.
        """
        whole_number("claim_due(limit)", limit, at_least=1)
        if per_recipient is not None:
            whole_number("claim_due(per_recipient)", per_recipient, at_least=1)
        lease = seconds("claim_due(lease_seconds)", lease_seconds)
        if lease == 0:
            raise InvalidOptionError("claim_due(lease_seconds)", expected="more than 0 seconds", got=cut(lease_seconds))
        places = room_of("claim_due(room)", room)
        claimant = self._owner("claim_due(owner)", owner)
        claiming = self._opened("claim_due").claim(
            limit, owner=claimant, lease=lease, per_recipient=per_recipient, room=places
        )
        try:
            return await asyncio.shield(claiming)
        except asyncio.CancelledError:
            await asyncio.shield(self._give_back(claiming))
            raise

    async def _give_back(self, claiming: asyncio.Task[_Letters]) -> None:
        """Release what is claimed for nobody."""
        await asyncio.wait([claiming])
        for letter in () if claiming.cancelled() or claiming.exception() else claiming.result():
            try:
                await self.release(letter)
            except (DeadLetterError, StoreError) as error:
                _log.error("dead letter %s stays claimed until its claim ends: %s", letter.id, error)

    async def delivered(self, letter: DeadLetter | str) -> DeadLetter:
        """Note that a letter's message was delivered; true whoever holds its claim by now.

        Args:
            letter: The letter, or its id.

        Raises:
            DeadLetterNotFoundError: there is no such letter.
            DeadLetterStateError: it is delivered already, or discarded.
        """
        return await self._change("delivered", letter, transitions.delivered)

    async def failed(
        self,
        letter: DeadLetter | str,
        *,
        reason: str,
        error: str | None = None,
        traceback: str | None = None,
        final: bool = False,
        owner: str | None = None,
    ) -> DeadLetter:
        """Note that the redelivery of a claimed letter failed.

        Args:
            letter: The letter as ``claim_due`` returned it: then that very claim must hold. Or its id: then any
                claim of ``owner`` will do, even one that was made after this attempt's ran out.
            reason: Why, as one word.
            error: The text of the error.
            traceback: The stack trace, where the recipient crashed while it handled the message.
            final: True when trying again is in vain; the letter is exhausted.
            owner: Who claimed it, with an id; None for this queue.

        Returns:
            The letter as it is now: waiting for the next redelivery, or exhausted.

        Raises:
            DeadLetterNotFoundError: there is no such letter.
            DeadLetterStateError: the claim does not hold any more.
        """
        why, text = word("failed(reason)", reason), text_or_none("failed(error)", error)
        trace = traceback_or_none("failed(traceback)", traceback)
        claim = letter if isinstance(letter, DeadLetter) else self._owner("failed(owner)", owner)

        def change(letter: DeadLetter, now: float) -> DeadLetter:
            attempt = Attempt(now, why, text, trace)
            return transitions.failed(letter, claim, attempt, self._opened("failed").policy, final=final)

        return await self._change("failed", letter, change)

    async def release(self, letter: DeadLetter | str, *, owner: str | None = None) -> DeadLetter:
        """Give a claim back without an attempt; the letter is due at once.

        Args:
            letter: The letter as ``claim_due`` returned it, or its id; see ``failed``.
            owner: Who claimed it, with an id; None for this queue.

        Raises:
            DeadLetterNotFoundError: there is no such letter.
            DeadLetterStateError: the claim does not hold any more.
        """
        claim = letter if isinstance(letter, DeadLetter) else self._owner("release(owner)", owner)
        return await self._change("release", letter, partial(transitions.release, claim=claim))

    async def next_due(self) -> float | None:
        """Return when the next letter may be claimed, in Unix seconds; None when none will be."""
        return await self._opened("next_due").store.next_due()

    @property
    def changes(self) -> int:
        """How many changes this queue has made, or heard of, since it opened; see ``wait_changed``."""
        return self._opened("changes").changes.count

    async def wait_changed(self, seen: int, *, timeout: Seconds | None = 60.0) -> int:
        """Return ``changes`` once it is no longer ``seen``.

        Read ``changes`` before ``next_due()``, and no change can slip in between.

        Args:
            seen: What ``changes`` was.
            timeout: Seconds to wait; None for no limit but a deadline in force.

        Raises:
            TimeoutError: nothing changed in time.
            DeadLettersClosedError: the queue is closed, or closes.
            InvalidOptionError: ``timeout`` is wrong.

        Cancellation: harmless.
        """
        limit = cut_by_deadline(seconds_or_none("DeadLetterQueue.wait_changed(timeout)", timeout))
        try:
            async with asyncio.timeout(limit):
                return await self._opened("wait_changed").changes.wait(seen)
        except TimeoutError:
            text = f"DeadLetterQueue.wait_changed({seen}): expected a change within {limit:g} s, got none"
            raise TimeoutError(text) from None

    # --- inside ----------------------------------------------------------------------------------

    def _opened(self, verb: str) -> Session:
        if self._session is None:
            raise DeadLettersClosedError(verb)
        return self._session

    def _owner(self, subject: str, given: str | None) -> str:
        return self.owner if given is None else address(subject, given)

    async def _change(
        self, verb: str, given: DeadLetter | str, change: Callable[[DeadLetter, float], DeadLetter]
    ) -> DeadLetter:
        """Store the next revision of a letter; begin again when somebody else changed it meanwhile."""
        # A letter that is given is most likely as it is stored: whoever has it has claimed it.
        letter = given if isinstance(given, DeadLetter) else await self.get(given)
        while True:
            opened = self._opened(verb)
            changed = change(letter, opened.clock.time())
            if await opened.commit.put(verb, Write(changed, letter.revision)):
                return changed
            letter = await self.get(letter.id)
