# SPDX-License-Identifier: MIT
"""The journal: signals that somebody may want later, kept in the database in the order of their commits."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from stanchion.dead_letters import encode
from stanchion.errors import RouterClosedError, SignalSizeError, StoreError
from stanchion.kernel import Node
from stanchion.router import _tables
from stanchion.router._pattern import Patterns
from stanchion.router._signal import Signal
from stanchion.router._tables import Advance, Subscribed
from stanchion.router._trie import Trie
from stanchion.router.migrations import SCHEMA
from stanchion.storage import Database, GroupCommit, notify
from stanchion.telemetry import SIGNAL_DROPPED

if TYPE_CHECKING:
    import sqlalchemy as sa

_log = logging.getLogger("stanchion.router")

CHANNEL: Final = "stanchion_signals"
"""What PostgreSQL tells when a signal was stored, or a durable subscription changed."""

MAX_PENDING: Final = 10_000
"""How many signals may wait for their commit."""

_TRIM_ROWS: Final = 1000
_TRIM_EVERY: Final = 60.0


class _New(NamedTuple):
    """A signal to store.

    Attributes:
        id: Its id.
        type: Its type.
        version: The version of its stored form.
        payload: The signal.
        stored_at: The time, in Unix seconds.
    """

    id: str
    type: str
    version: int
    payload: bytes
    stored_at: float


_Write = _New | Advance


class Journal:
    """Keeps signals for the durable subscriptions of all nodes that have the same database.

    Its verbs are for the router; what is kept is said by the patterns of these subscriptions, and by some of its own.

    Args:
        database: Where.
        node: Whose.
        patterns: What to keep whoever has subscribed to it.
        keep: Seconds after which signals are deleted that every subscription has passed; None for never.
        max_size: How many bytes a signal may have.
    """

    def __init__(
        self, database: Database, node: Node, *, patterns: Iterable[Sequence[str]], keep: float | None, max_size: int
    ) -> None:
        self.database: Final = database
        self._node: Final = node
        self._keep: Final = keep
        self._max_size: Final = max_size
        # The patterns by what has them: the name of a subscription, or "" for our own.
        self._trie: Final = Trie[str]()
        for pattern in patterns:
            self._trie.add(pattern, "")
        # The same without our own; by their names.
        self._known: dict[str, Patterns] = {}
        # Held from the reading of the subscriptions until they are noted, and while one is stored: what was read before
        # that must not be noted after it, or its signals would not be kept for a moment.
        self.turn: Final = asyncio.Lock()
        self._next_trim = 0.0
        self._commit: Final = GroupCommit[_Write, int](
            self._write,
            name=database.name,
            label="journal",
            limit=MAX_PENDING,
            committed=_nothing,
            lost=_lost,
            closed=RouterClosedError,
        )
        self.stored: Callable[[int, Sequence[str]], None] = _nobody
        """Called after each commit of new signals with the position of the first one, and their types."""

    # --- opening and closing ---------------------------------------------------------------------

    async def open(self) -> None:
        """Open the database, and know what is to be kept.

        Raises:
            StoreError: it cannot be opened; the journal stays closed.
        """
        await self.database.open(SCHEMA)
        try:
            await self.refresh()
        except BaseException:
            await self.database.close()
            raise

    async def close(self) -> None:
        """Take no more signals, commit those that were put, and be done with the database."""
        await self._commit.close()
        await self.database.close()

    # --- what is kept ----------------------------------------------------------------------------

    def wants(self, type: str) -> bool:
        """Return whether signals of a type are kept."""
        return bool(self._trie.match(type))

    def learn(self, name: str, patterns: Patterns | None) -> None:
        """Take note of the patterns of a durable subscription; None for one that is no more. Holding ``turn``."""
        old, new = self._known.pop(name, None), () if patterns is None else patterns.each
        for pattern in new:
            self._trie.add(pattern, name)
        if patterns is not None:
            self._known[name] = patterns
        for pattern in () if old is None else old.each:
            if pattern not in new:
                self._trie.remove(pattern, name)

    async def refresh(self) -> tuple[int, list[Subscribed]]:
        """Learn which durable subscriptions there are, of all nodes.

        Returns:
            The position of the last signal, and the subscriptions.

        Raises:
            StoreError: the database failed; what was known stays so.
        """
        async with self.turn:
            last, stored = await self.database.read(_tables.all_subscriptions)
            for one in stored:
                self.learn(one.name, Patterns.stored(one.pattern))
            for name in self._known.keys() - {one.name for one in stored}:
                self.learn(name, None)
        return last, stored

    async def trim(self) -> None:
        """Delete what is old enough and not needed any more, now and then; nothing otherwise.

        Raises:
            StoreError: the database failed.
        """
        now = self._node.clock.monotonic()
        if self._keep is None or now < self._next_trim:
            return
        deleted = await self.database.write(_tables.trim, self._node.clock.time() - self._keep, _TRIM_ROWS)
        if deleted < _TRIM_ROWS:  # else the next look goes on
            self._next_trim = now + _TRIM_EVERY

    # --- writing ---------------------------------------------------------------------------------

    async def append(self, signal: Signal) -> int:
        """Store a signal, and return its position when it is committed.

        Raises:
            MessageEncodeError: it cannot become data.
            SignalSizeError: it is too large.
            StoreError: it is not stored, other than ``StoreUncertainError`` may find.
            RouterClosedError: the router is closed, or closes.

        Cancellation: a signal that waits for its commit is stored all the same; while it waits for room, with 10,000
            others before it, it is not.
        """
        return await self._put(self._encoded(signal))

    async def append_all(self, signals: Iterable[Signal]) -> list[int]:
        """Store signals as ``append`` does, none of them unless each can become data; return their positions."""
        return await asyncio.gather(*map(self._put, [self._encoded(signal) for signal in signals]))

    async def _put(self, new: _New) -> int:
        if self._commit.full:
            await self._commit.room("SignalRouter.publish()")
        return await self._commit.put("SignalRouter.publish()", new)

    def append_nowait(self, signal: Signal) -> None:
        """Begin to store a signal. When that fails later, the log tells.

        Raises:
            MessageEncodeError: it cannot become data.
            SignalSizeError: it is too large.
            StoreError: too many wait for their commit.
            RouterClosedError: the router is closed.
        """
        new = self._encoded(signal)
        if self._commit.full:
            raise StoreError(
                self.database.name,
                expected=f"fewer than {MAX_PENDING} signals that wait for their commit",
                got="as many",
                fix="await publish(), which waits for room.",
            )
        self._commit.put("SignalRouter.publish_nowait()", new).add_done_callback(partial(self._tell, new))

    def advance(self, advance: Advance) -> asyncio.Future[int]:
        """Have a subscription advance with the next commit; the answer is 0 when it is not any more what it was.

        Raises:
            RouterClosedError: the router is closed.
        """
        return self._commit.put("advance", advance)

    def _tell(self, new: _New, answer: asyncio.Future[int]) -> None:
        """Tell of a signal that could not be stored, since nobody waits for that."""
        if answer.cancelled() or (error := answer.exception()) is None:
            return
        _log.error("signal %s of type %s was not stored: %s", new.id, new.type, error)
        telemetry = self._node.telemetry
        if telemetry.attached:
            about = {"node": self._node.name, "type": new.type, "signal_id": new.id}
            whose = {"pattern": None, "subscriber": None, "reason": "not_stored"}
            telemetry.emit(SIGNAL_DROPPED, {"count": 1}, {**about, **whose})

    def _encoded(self, signal: Signal) -> _New:
        encoded = encode(signal)
        if len(encoded.payload) > self._max_size:
            # Its data alone counts; to know how large that is costs an encoding more.
            size = len(encode(signal.data).payload)
            if size > self._max_size and not isinstance(signal.data, str | bytes):  # the router has looked at these
                raise SignalSizeError(signal.id, signal_type=signal.type, size=size, limit=self._max_size)
        return _New(signal.id, signal.type, encoded.version, encoded.payload, self._node.clock.time())

    async def _write(self, writes: Sequence[_Write]) -> list[int]:
        """Commit writes; see ``GroupCommit``."""
        new = [write for write in writes if isinstance(write, _New)]
        # Of each subscription the last one counts; one that was changed in between stays behind as it is.
        advances = {write[:-1]: write for write in writes if isinstance(write, Advance)}
        first, gone = await self.database.write(_commit, new, list(advances.values()))
        if new:
            self.stored(first, [one.type for one in new])
        positions = iter(range(first, first + len(new)))
        return [next(positions) if isinstance(it, _New) else it[:-1] not in gone for it in writes]


def _commit(
    connection: sa.Connection, new: Sequence[_New], advances: Sequence[Advance]
) -> tuple[int, frozenset[tuple[str, str, str]]]:
    result = _tables.write(connection, new, advances)
    if new:
        notify(connection, CHANNEL)
    return result


def _nothing(_verb: str, _write: _Write, _answer: int) -> None:
    """Nothing more is done after a commit."""


def _nobody(_first: int, _types: Sequence[str]) -> None:
    """Nobody waits for signals."""


def _lost(_verb: str, write: _Write, error: StoreError) -> None:
    new = cast("_New", write)  # who advances waits for the answer
    _log.error("signal %s of type %s was not stored: %s", new.id, new.type, error)
