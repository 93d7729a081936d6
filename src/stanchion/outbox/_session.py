# SPDX-License-Identifier: MIT
"""One time that an outbox is open: storing, claiming, removing, and staying known as the owner of what it holds."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, NamedTuple

from stanchion.errors import OutboxClosedError, StoreError, StoreFullError, StoreRejectedError
from stanchion.kernel import Node
from stanchion.outbox import _tables
from stanchion.outbox._lanes import Held, Lanes
from stanchion.outbox._message import OutboxMessage
from stanchion.outbox._tables import Change, Handled, Seen
from stanchion.storage import Database, GroupCommit, Owner, is_gone, this_process
from stanchion.telemetry import OUTBOX_DELIVERED, OUTBOX_GIVEN_UP, OUTBOX_RESUMED, OUTBOX_STORED, Event

_log = logging.getLogger("stanchion.outbox")

CHANNEL: Final = "stanchion_outbox"
"""What PostgreSQL tells when a message was stored for whoever takes it."""

_CLAIM_LIMIT: Final = 1000
_FORGET_LIMIT: Final = 1000
_BEATS_PER_LEASE: Final = 3
_LEASES_PER_SWEEP: Final = 10


class Settings(NamedTuple):
    """Checked options; times in seconds, None for no limit."""

    lease: float
    concurrency: int
    per_recipient: int
    max_pending: int
    remember_keys: float | None


class _Store(NamedTuple):
    """A message to store.

    Attributes:
        message: The message.
        hold: Whether this node is to have it, however much it holds: somebody waits for its end.
    """

    message: OutboxMessage
    hold: bool


class _Remove(NamedTuple):
    """A message to remove.

    Attributes:
        message: The message.
        delivered: Whether it was delivered, and is not kept as a dead letter.
        handled: Whether it was handled, for which its place in a mailbox is not enough.
    """

    message: OutboxMessage
    delivered: bool
    handled: bool


class _Begun(NamedTuple):
    """A message to note as under way."""

    message: OutboxMessage


_Write = _Store | _Begun | _Remove | Handled


class Session:
    """One time that an outbox is open.

    Attributes:
        lanes: What this node holds.
        wake: Set when there may be something to claim.
        removed: Set by each commit that removed a message.
        counts: What happened since it was opened, by word.
    """

    def __init__(self, database: Database, settings: Settings, node: Node, ready: Callable[[], None]) -> None:
        self._database: Final = database
        self._settings: Final = settings
        self._node: Final = node
        self._ready: Final = ready
        self.lanes: Final = Lanes(settings.concurrency, settings.per_recipient)
        self.wake: Final = asyncio.Event()
        self.removed: Final = asyncio.Event()
        self.counts: Final = Counter[str]()
        self._commit: Final = GroupCommit[_Write, bool | None](
            self._write,
            name=database.name,
            label="outbox",
            limit=settings.max_pending,
            committed=self._committed,
            lost=self._lost,
            closed=OutboxClosedError,
        )
        # What is held, and which lanes are behind, is decided before a commit, and noted after it: nothing may come in
        # between, neither a second commit nor a claim.
        self._turn: Final = asyncio.Lock()
        # What is done and could not be removed, and what is to be sent again and counts as under way until then: for the
        # next look.
        self._left: list[_Remove] = []
        self._back: list[OutboxMessage] = []
        # The ids of what is ours, from its commit until that of its removal. When a commit fails, nobody may know
        # whether it was made: then the next look gives back what the database says is ours and is not in here.
        self._mine: set[str] = set()
        self._unsure = False
        self._here: Owner
        self._owner = ""
        # When to look for messages of owners that are gone, even though none went: at the first heartbeat, and seldom
        # after it. One that was taken for dead may have stored a message just then.
        self._next_sweep = 0.0
        # Until when, on the node's clock, nobody can have taken us for dead.
        self._valid_until = 0.0
        self._next_beat = 0.0
        # The others' heartbeats, and when each was first seen.
        self._seen: dict[str, tuple[int, float]] = {}
        self._unlisten: Callable[[], None] = lambda: None

    # --- beginning and end -----------------------------------------------------------------------

    async def begin(self) -> None:
        """Become known as an owner."""
        self._here = await asyncio.to_thread(this_process)
        await self._register()
        self._unlisten = self._database.listen(CHANNEL, self.wake.set)

    async def end(self) -> None:
        """Commit what waits, and let others take what this node holds."""
        self._unlisten()
        self._remove_again()
        await self._commit.close()
        # Whoever waits looks again, and finds the outbox closed.
        self.removed.set()
        self.wake.set()
        try:
            await self._database.write(_tables.leave, self._owner)
        except StoreError as error:
            _log.error("what this node holds of the outbox is taken over when its lease is over: %s", error)

    async def _register(self) -> None:
        owner = f"{socket.gethostname()}:{os.getpid()}:{os.urandom(4).hex()}"
        asked = self._node.clock.monotonic()
        await self._database.write(_tables.register, owner, self._here, self._settings.lease)
        self._owner = owner
        self._valid_until = asked + self._settings.lease

    # --- storing and removing --------------------------------------------------------------------

    @property
    def full(self) -> bool:
        """Whether there is no room for one more write."""
        return self._commit.full

    async def wait_room(self) -> None:
        """Return when there is room for one more write."""
        await self._commit.room("send")

    def put(self, message: OutboxMessage, *, hold: bool) -> asyncio.Future[bool | None]:
        """Store a message; the answer is False when it is left out, for it is remembered as handled."""
        return self._commit.put("store", _Store(message, hold))

    def next(self) -> Held | None:
        """Return the next message to send, which is under way from now on; None when there is none now."""
        if self._node.clock.monotonic() >= self._valid_until:
            return None  # somebody else may own them all
        return self.lanes.begin()

    def done(self, message: OutboxMessage, *, delivered: bool, handled: bool) -> None:
        """Remove a message that is under way."""
        if self.lanes.end(message):
            self.wake.set()
        self._remove(_Remove(message, delivered, handled))

    def put_back(self, message: OutboxMessage) -> None:
        """Have a message that is under way sent again, after the next look."""
        self._back.append(message)

    async def note_under_way(self, message: OutboxMessage) -> None:
        """Have the end of this OS process count as an interruption of a message, until it is removed or given back."""
        await self._commit.put("send", _Begun(message))

    async def remember(self, handled: Handled) -> None:
        """Remember a message as handled that was never stored."""
        await self._commit.put("remember", handled)

    def _remove(self, write: _Remove) -> None:
        self._commit.put("remove", write).add_done_callback(partial(self._was_removed, write))

    def _was_removed(self, write: _Remove, answer: asyncio.Future[bool | None]) -> None:
        if not answer.cancelled() and (error := answer.exception()) is not None:
            _log.error("message %s is done, and could not be removed from the outbox yet: %s", write.message.id, error)
            self._left.append(write)

    def _remove_again(self) -> None:
        left, self._left = self._left, []
        for write in left:
            self._remove(write)

    async def _write(self, writes: Sequence[_Write]) -> list[bool]:
        """Commit writes, and hold what is ours of them; see ``GroupCommit``."""
        async with self._turn:
            new = self._placed([write for write in writes if isinstance(write, _Store)])
            keyed = [message for message, _ in new if message.keyed] if self._remembers else []
            begun = [write.message.id for write in writes if isinstance(write, _Begun)]
            try:
                known = await self._database.write(_tables.commit, Change(new, keyed, begun, *self._settled(writes)))
            except (StoreRejectedError, StoreFullError):
                raise
            except Exception:
                self._unsure = True
                raise
            for message, owner in new:
                if message.id in known:
                    continue
                if owner is None:
                    self.lanes.fall_behind(message)
                else:
                    self._hold([message])
        self._ready()
        return [not isinstance(write, _Store) or write.message.id not in known for write in writes]

    def _hold(self, messages: Sequence[OutboxMessage], *, claimed: bool = False) -> None:
        self._mine.update(message.id for message in messages)
        self.lanes.add(messages, claimed=claimed)

    def _placed(self, writes: Sequence[_Store]) -> list[tuple[OutboxMessage, str | None]]:
        """Return new messages, each with us as its owner when we can hold it, else with none."""
        placed: list[tuple[OutboxMessage, str | None]] = []
        held = Counter[tuple[str, bool]]()
        behind: set[tuple[str, bool]] = set()
        ours = self._node.clock.monotonic() < self._valid_until
        for message, hold in writes:
            lane = message.recipient, message.ordered
            if ours and (hold or (lane not in behind and self.lanes.takes(message, held[lane]))):
                held[lane] += 1
                placed.append((message, self._owner))
            else:
                behind.add(lane)  # what comes after it must not overtake it
                placed.append((message, None))
        return placed

    def _settled(self, writes: Sequence[_Write]) -> tuple[list[str], list[Handled]]:
        """Return the ids of what is to be removed, and what is to be remembered."""
        removed = [write for write in writes if isinstance(write, _Remove)]
        handled = [write for write in writes if isinstance(write, Handled)]
        if self._remembers:
            now = self._node.clock.time()
            handled += [
                Handled(message.recipient, message.message_id, now)
                for message, _, was_handled in removed
                if was_handled and message.keyed
            ]
        return [write.message.id for write in removed], handled

    @property
    def _remembers(self) -> bool:
        return self._settings.remember_keys is not None

    def _committed(self, verb: str, write: _Write, made: bool | None) -> None:
        match write:
            case _Store(message) if made:
                self._count("stored", OUTBOX_STORED, message)
            case _Remove(message, delivered):
                self._mine.discard(message.id)
                self.removed.set()
                word, event = ("delivered", OUTBOX_DELIVERED) if delivered else ("given_up", OUTBOX_GIVEN_UP)
                self._count(word, event, message)
            case _:
                pass

    def _lost(self, verb: str, write: _Write, error: StoreError) -> None:
        if isinstance(write, _Store):
            _log.error("message %s to %s was not stored: %s", write.message.message_id, write.message.recipient, error)

    def _count(self, word: str, event: Event, message: OutboxMessage) -> None:
        self.counts[word] += 1
        telemetry = self._node.telemetry
        if telemetry.attached:
            about = {"node": self._node.name, "recipient": message.recipient, "message_id": message.message_id}
            telemetry.emit(event, {"count": 1}, about)

    # --- looking ---------------------------------------------------------------------------------

    async def look(self) -> None:
        """Say that we live, take over from those who do not, and claim what there is room for.

        Raises:
            StoreError: the database failed; the next look does what this one did not.
        """
        self._remove_again()
        async with self._turn:
            if self._node.clock.monotonic() >= self._next_beat:
                await self._beat()
            if self._unsure:
                await self._give_back()
            if self._remembers:
                await self._database.write(_tables.drop_handled)
            await self._claim()
            for message in self._back:
                if message.id in self._mine:
                    self.lanes.put_back(message)
                else:  # it was lost to another node meanwhile
                    self.lanes.end(message)
            self._back.clear()
        self._ready()

    async def _give_back(self) -> None:
        """Have messages of ours that nobody here knows of be nobody's."""
        ours = await self._database.read(_tables.ids_of, self._owner)
        unknown = [id for id in ours if id not in self._mine]
        for start in range(0, len(unknown), _CLAIM_LIMIT):
            some = unknown[start : start + _CLAIM_LIMIT]
            await self._database.write(_tables.give_back, self._owner, some)
        self._unsure = False

    async def _claim(self) -> None:
        limit = min(self.lanes.room, _CLAIM_LIMIT)
        if limit:
            full = self.lanes.full
            self._unsure = True
            found, oldest = await self._database.write(_tables.claim, self._owner, limit, full)
            self._unsure = False
            self._hold(found, claimed=True)
            self.lanes.looked(oldest, full if len(found) < limit else None)
            if len(found) == limit:
                self.wake.set()

    async def _beat(self) -> None:
        lease = self._settings.lease
        asked = self._node.clock.monotonic()
        others = await self._database.write(_tables.beat, self._owner)
        if others is None:
            _log.error(
                "%s gave no sign of life for %g s: others deliver what it held of the outbox", self._owner, lease
            )
            self.lanes.clear()
            self._mine.clear()
            self._next_sweep = asked
            return await self._register()
        gone = await self._gone(others)
        if gone or asked >= self._next_sweep:
            self._tell_resumed(await self._database.write(_tables.take_over, gone))
            self._next_sweep = asked + _LEASES_PER_SWEEP * lease
        if self._settings.remember_keys is not None:
            before = self._node.clock.time() - self._settings.remember_keys
            await self._database.write(_tables.forget, before, _FORGET_LIMIT)
        self._valid_until = asked + lease
        self._next_beat = asked + lease / _BEATS_PER_LEASE
        return None

    async def _gone(self, others: dict[str, Seen]) -> list[tuple[str, int]]:
        """Return which of the others have ended, each with its heartbeats.

        Heartbeats are counted and not timed: the clocks of two machines need not agree.
        """
        now = self._node.clock.monotonic()
        since = {
            id: (one.beats, self._seen[id][1] if self._seen.get(id, (-1, 0))[0] == one.beats else now)
            for id, one in others.items()
        }
        self._seen = since
        ended = await asyncio.to_thread(_ended, others, self._here)
        return [(id, one.beats) for id, one in others.items() if id in ended or now - since[id][1] >= one.lease]

    def _tell_resumed(self, count: int) -> None:
        if count:
            self.counts["resumed"] += count
            _log.warning("%d messages of the outbox were left by nodes that are gone, and are delivered now", count)
            telemetry = self._node.telemetry
            if telemetry.attached:
                telemetry.emit(OUTBOX_RESUMED, {"count": count}, {"node": self._node.name})


def _ended(others: dict[str, Seen], here: Owner) -> frozenset[str]:
    return frozenset(id for id, one in others.items() if is_gone(one.process, here))
