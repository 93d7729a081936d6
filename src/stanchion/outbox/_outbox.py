# SPDX-License-Identifier: MIT
"""The outbox: what a node has promised to deliver, kept in a database until it is done."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NamedTuple

from stanchion._ids import TimeIds
from stanchion._validate import Seconds, seconds, seconds_or_none, whole_number
from stanchion.errors import InvalidOptionError, OutboxClosedError
from stanchion.kernel import Node, code_limit
from stanchion.outbox import _tables
from stanchion.outbox._lanes import Held
from stanchion.outbox._message import OutboxMessage
from stanchion.outbox._session import Session, Settings
from stanchion.outbox._tables import Handled
from stanchion.outbox.migrations import SCHEMA
from stanchion.storage import Database, database_of
from stanchion.timeouts import POLICY, WAIT_EMPTY, Policy

_log = logging.getLogger("stanchion.outbox")

# Between two looks at the database, so that a storm of wake-ups is not a storm of queries.
_SHORTEST_PAUSE: Final = 0.01


class OutboxStatistics(NamedTuple):
    """What an outbox has done since it was opened, and holds now.

    Attributes:
        stored: Messages that this node's senders stored.
        resumed: Messages of nodes that are gone, which this node found and freed, for itself and others.
        delivered: Messages that this node delivered.
        given_up: Messages that this node gave up: those are dead letters.
        held: Messages that this node is to deliver and has in its memory.
        under_way: How many of these are being sent now.
    """

    stored: int
    resumed: int
    delivered: int
    given_up: int
    held: int
    under_way: int


class Outbox:
    """Keeps durable messages until they are delivered, or have become dead letters.

    A service of a node, which ``Node(database=...)`` makes; the sending is done by another one, ``OutboxDelivery``.

    Each message belongs to one node at a time, which says by a heartbeat that it lives. What a node leaves when it
    stops, or loses by its death, is delivered by the next one that has the same database: at once when both run on one
    machine, else when the lease is over. So several nodes can share a database, and no message is sent by two of them
    at once, unless one of them stood still for longer than its lease just while it sent it.

    Args:
        database: A database, or its URL; see ``stanchion.storage``. One that is given may be shared with others.
        lease: Seconds without a heartbeat after which this node is taken for dead. Longer than it may ever stand still.
        poll: Seconds between two looks for messages that others stored, when nothing tells of them; a third of the
            ``lease`` where that is less. The first look comes as late, so that recipients have their time to start.
        concurrency: How many messages may be under way at once.
        per_recipient: How many of them to one recipient; of ordered messages, only one is.
        max_pending: How many writes may wait for their commit; beyond that, sends wait for room.
        remember_keys: Seconds for which the idempotency keys of handled messages are kept in the database: a message
            whose key was handled is confirmed without being sent. None keeps none.

    Raises:
        InvalidOptionError: an argument is wrong.
    """

    def __init__(
        self,
        database: Database | str,
        *,
        lease: Seconds = 30.0,
        poll: Seconds = 1.0,
        concurrency: int = 256,
        per_recipient: int = 64,
        max_pending: int = 10_000,
        remember_keys: Seconds | None = None,
    ) -> None:
        self._database: Final = database_of(database)
        self._poll: Final = max(_SHORTEST_PAUSE, seconds("Outbox: poll", poll))
        self._settings: Final = Settings(
            lease=_positive("Outbox: lease", lease),
            concurrency=whole_number("Outbox: concurrency", concurrency, at_least=1),
            per_recipient=whole_number("Outbox: per_recipient", per_recipient, at_least=1),
            max_pending=whole_number("Outbox: max_pending", max_pending, at_least=1),
            remember_keys=seconds_or_none("Outbox: remember_keys", remember_keys),
        )
        self._ids = TimeIds()  # made anew by open(): a process that was forked since must not have the same
        self._ready: Callable[[], None] = lambda: None
        self._open: Session | None = None  # set while it is open
        self._node: Node  # set by the first open()

    @property
    def database(self) -> Database:
        """Where it keeps them; other services of the node keep theirs there, too."""
        return self._database

    # --- opening and closing ---------------------------------------------------------------------

    async def open(self, node: Node) -> None:
        """Open the database, and become known as the owner of what will be sent.

        Raises:
            StoreError: the database cannot be opened; the subclass says why. The outbox stays closed.
            InvalidOptionError: the outbox is open.
        """
        if self._open is not None:
            raise InvalidOptionError("Outbox.open()", expected="a closed outbox", got="an open one")
        await self._database.open(SCHEMA)
        session = Session(self._database, self._settings, node, lambda: self._ready())
        try:
            await session.begin()
        except BaseException:
            await self._database.close()
            raise
        self._ids = TimeIds()
        self._node = node
        self._open = session

    async def close(self) -> None:
        """Commit what waits for it, and leave what is not delivered to the next node; harmless when it is closed."""
        if self._open is not None:
            session, self._open = self._open, None
            try:
                await session.end()
            finally:
                await self._database.close()

    # --- for people ------------------------------------------------------------------------------

    def wake(self) -> None:
        """Look for messages now, and not at the next poll.

        Call it when a transaction is committed in which ``write_message`` stored some. PostgreSQL tells by itself.

        Raises:
            OutboxClosedError: the outbox is closed.
        """
        self._opened("wake").wake.set()

    def statistics(self) -> OutboxStatistics:
        """Return what this node has done since the outbox was opened, and holds now.

        Raises:
            OutboxClosedError: the outbox is closed.
        """
        opened = self._opened("statistics")
        counts, lanes = opened.counts, opened.lanes
        return OutboxStatistics(
            stored=counts["stored"],
            resumed=counts["resumed"],
            delivered=counts["delivered"],
            given_up=counts["given_up"],
            held=lanes.held,
            under_way=lanes.under_way,
        )

    async def count(self) -> dict[str, int]:
        """Return how many messages the database has for each recipient, of all nodes; none for those without.

        Raises:
            OutboxClosedError: the outbox is closed.
            StoreError: the database failed.
        """
        self._opened("count")
        return await self._database.read(_tables.count)

    async def wait_empty(self, *, timeout: Seconds | Policy | None = POLICY) -> None:
        """Return when the database has no message left, of any node.

        Args:
            timeout: Seconds to wait; None for no limit. By default what the node's ``TimeoutPolicy`` says of
                ``stanchion.wait_empty`` (300.0).

        Raises:
            TimeoutError: messages are left; ``count`` tells for whom.
            OutboxClosedError: the outbox is closed, or closes.
            StoreError: the database failed.
            InvalidOptionError: ``timeout`` is wrong.

        Cancellation: harmless.
        """
        self._opened("wait_empty")
        limit = code_limit("Outbox.wait_empty(timeout)", self._node, Outbox, None, WAIT_EMPTY, timeout)
        try:
            async with asyncio.timeout(limit):
                await self._emptied()
        except TimeoutError:
            raise TimeoutError(f"Outbox.wait_empty(): expected no message within {limit:g} s, got some left") from None

    async def _emptied(self) -> None:
        while True:
            opened = self._opened("wait_empty")
            opened.removed.clear()
            if not opened.lanes.held and not await self._database.read(_tables.any_left):
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(self._poll):
                    await opened.removed.wait()

    # --- for the delivery ------------------------------------------------------------------------

    def new_id(self, now: float) -> str:
        """Return the id of a message that is stored at ``now`` in Unix seconds, greater than those before it."""
        return self._ids.next(now)

    @property
    def full(self) -> bool:
        """Whether there is no room for one more message: ``put`` is not to be called before ``wait_room()`` returned.

        Raises:
            OutboxClosedError: the outbox is closed.
        """
        return self._opened("send").full

    async def wait_room(self) -> None:
        """Return when there is room for one more message, if it is put in the same step.

        Raises:
            OutboxClosedError: the outbox is closed, or closes.

        Cancellation: harmless.
        """
        await self._opened("send").wait_room()

    def put(self, message: OutboxMessage, *, hold: bool = False) -> asyncio.Future[bool | None]:
        """Begin to store a message, for which there is room; it is sent once it is committed.

        Args:
            message: The message.
            hold: True to have this very node send it, since somebody waits here for its end.

        Returns:
            The future of its commit: True when it is committed; False when its key is remembered as handled, so that it
            is not stored. It fails with StoreError when the database did and the message is not stored; only after
            ``StoreUncertainError`` it may be, and is delivered then. Whoever waits no more sets None as its result, or
            cancels it: the message is stored all the same.

        Raises:
            OutboxClosedError: the outbox is closed; the message is not stored.
        """
        return self._opened("send").put(message, hold=hold)

    def serve(self, ready: Callable[[], None]) -> None:
        """Have ``ready`` called whenever ``next()`` may return a message after it had returned None."""
        self._ready = ready

    def next(self) -> Held | None:
        """Return the message to send next; None while there is none, or as many are under way as may be.

        It is under way until ``done`` or ``put_back``. Recipients take turns.
        """
        return None if self._open is None else self._open.next()

    def done(self, message: OutboxMessage, *, delivered: bool, handled: bool) -> None:
        """Remove a message that is under way, with the next commit.

        Args:
            message: The message.
            delivered: True when it was delivered; False when it is a dead letter now, or was dropped.
            handled: Whether its idempotency key is to be remembered: not when only its place in a mailbox was asked for.
        """
        if self._open is not None:  # else it is sent once more, by the next node
            self._open.done(message, delivered=delivered, handled=handled)
            self._ready()

    async def note_under_way(self, message: OutboxMessage) -> None:
        """Have the end of this OS process count as an interruption of a message, until it is removed or put back.

        It costs a commit, so it is not done for each message: see ``OutboxMessage.interrupted``.

        Raises:
            OutboxClosedError: the outbox is closed.
            StoreError: the database failed.
        """
        await self._opened("send").note_under_way(message)

    def put_back(self, message: OutboxMessage) -> None:
        """Have a message that is under way sent anew: after the next look, or, when that does not come, by another node."""
        if self._open is not None:
            self._open.put_back(message)

    async def has(self, id: str) -> bool:
        """Return whether the database has the message with this id, whoever is to send it.

        Raises:
            OutboxClosedError: the outbox is closed.
            StoreError: the database failed.
        """
        self._opened("has")
        return await self._database.read(_tables.has, id)

    async def was_handled(self, recipient: str, key: str) -> bool:
        """Return whether a message with this idempotency key is remembered as handled.

        Raises:
            OutboxClosedError: the outbox is closed.
            StoreError: the database failed.
        """
        self._opened("send")
        return self.remembers and await self._database.read(_tables.was_handled, recipient, key)

    async def remember(self, recipient: str, key: str, at: float) -> None:
        """Remember that a message with this idempotency key was handled, at a time in Unix seconds.

        Raises:
            OutboxClosedError: the outbox is closed.
            StoreError: the database failed.
        """
        await self._opened("send").remember(Handled(recipient, key, at))

    @property
    def lease(self) -> float:
        """Seconds without a heartbeat after which this node is taken for dead."""
        return self._settings.lease

    @property
    def remembers(self) -> bool:
        """Whether keys of handled messages are kept."""
        return self._settings.remember_keys is not None

    async def work(self, node: Node) -> None:
        """Look at the database again and again; whoever sends runs it. Returns when the outbox is closed under it."""
        pause = min(self._poll, self._settings.lease / 3)
        await self._wait(pause)
        while self._open is not None:
            # A node that stops claims nothing more. It does not return then, for the exit signal is on its way, and
            # would cancel what is done after this.
            if node.running:
                try:
                    await self._open.look()
                except Exception:  # noqa: BLE001 - whatever a database raises, what is in it is not to wait for ever
                    _log.exception("the outbox cannot be read; looking again in %g s", pause)
            await self._wait(pause)

    async def _wait(self, pause: float) -> None:
        """Wait until there may be something to claim, or the pause is over."""
        await asyncio.sleep(_SHORTEST_PAUSE)
        if self._open is not None:
            wake = self._open.wake
            timer = asyncio.get_running_loop().call_later(pause, wake.set)
            try:
                await wake.wait()
            finally:
                timer.cancel()
            wake.clear()

    def _opened(self, verb: str) -> Session:
        if self._open is None:
            raise OutboxClosedError(verb)
        return self._open


def _positive(subject: str, value: Seconds) -> float:
    checked = seconds(subject, value)
    if checked == 0:
        raise InvalidOptionError(subject, expected="more than 0 seconds", got="0")
    return checked
