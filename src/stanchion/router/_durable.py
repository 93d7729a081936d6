# SPDX-License-Identifier: MIT
"""Durable subscriptions: what was published while their subscribers were away is delivered when they are back."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec

from stanchion.errors import RouterClosedError, SubscriptionNotFoundError
from stanchion.kernel import Node, Process, run_process
from stanchion.router import _tables
from stanchion.router._durable_delivery import Delivering
from stanchion.router._durable_options import Since, Target, start_of
from stanchion.router._durable_records import DurableInfo, DurableSubscription
from stanchion.router._durable_sender import SIGNAL_TYPE
from stanchion.router._journal import CHANNEL, Journal
from stanchion.router._pattern import Patterns
from stanchion.router._tables import Start, Subscribed
from stanchion.storage import notify

if TYPE_CHECKING:
    import sqlalchemy as sa

    from stanchion.dead_letters import DeadLetter, DeadLetterQueue

_log = logging.getLogger("stanchion.router")

POLL = 1.0
"""Seconds between two looks at the database; PostgreSQL tells by itself."""

LEASE = 30.0
"""Seconds without a sign of life after which another node may deliver."""


# Between two looks at the database, so that a storm of notifications is not a storm of queries.
_SHORTEST_PAUSE: Final = 0.05
_PAGE: Final = 500


class DurableSubscriptions:
    """The durable subscriptions of a node: a part of its router, with a process of its own that delivers.

    Args:
        node: The node.
        journal: Where the signals are.
        letters: Where those go that cannot be delivered.
    """

    def __init__(self, node: Node, journal: Journal, letters: DeadLetterQueue) -> None:
        self._node: Final = node
        self.journal: Final = journal
        self._letters: Final = letters
        self._poll: Final = POLL
        self._lease: Final = LEASE
        self._here: dict[str, Delivering] = {}
        self._tasks: dict[Delivering, asyncio.Task[None]] = {}
        # What ends those that were dropped, each with the name; and those that were dropped when nothing ran any more.
        self._ending: dict[asyncio.Task[None], str] = {}
        self._left: list[Delivering] = []
        # Set while its process runs: where its tasks run, for whoever begins one works not for himself.
        self._context: contextvars.Context | None = None
        self._closed = False
        self._wake: Final = asyncio.Event()
        self._failing = False
        self._unlisten: Callable[[], None] = _nothing

    async def open(self) -> None:
        """Open the journal; a process of the node delivers from then on.

        Raises:
            StoreError: the database cannot be opened.
        """
        await self.journal.open()
        self.journal.stored = self._stored
        self._unlisten = self.journal.database.listen(CHANNEL, self._wake.set)
        run_process(self._node, self._run, code="DurableSubscriptions")

    async def close(self) -> None:
        """Commit how far each has come, and let other nodes have them; after the process has ended."""
        self._closed = True
        self._unlisten()
        try:
            # At once: each may wait for a database that fails.
            await asyncio.gather(*(one.end() for one in [*self._left, *self._here.values()]))
        finally:
            await self.journal.close()

    # --- verbs -----------------------------------------------------------------------------------

    async def subscribe(self, name: str, patterns: Patterns, target: Target, start: Since) -> DurableSubscription:
        """Store a durable subscription, unless it is, and deliver for it; see ``SignalRouter.subscribe_durable``."""
        begin = start_of("SignalRouter.subscribe_durable(start)", start)
        async with self.journal.turn:
            self._check("SignalRouter.subscribe_durable()")
            await self.journal.database.write(_subscribe, name, patterns.text, target.address, _new_word(), begin)
            self.journal.learn(name, patterns)
        self._check("SignalRouter.subscribe_durable()")
        self._drop(name)
        one = Delivering(
            self._node, self.journal, self._letters, name, patterns, target, poll=self._poll, lease=self._lease
        )
        self._here[name] = one
        self._start(one)
        return DurableSubscription(name, patterns.text, target.ref, partial(self._unsubscribe, one))

    def _unsubscribe(self, one: Delivering) -> bool:
        return self._here.get(one.name) is one and self._drop(one.name)

    async def replay(self, name: str, since: Since) -> None:
        """See ``SignalRouter.replay``."""
        self._check("SignalRouter.replay()")
        if not await self.journal.database.write(
            _rewind, name, _new_word(), start_of("SignalRouter.replay(since)", since)
        ):
            raise SubscriptionNotFoundError(name, fix=await self._known("replay"))
        self._wake.set()

    async def forget(self, name: str) -> None:
        """See ``SignalRouter.forget``."""
        async with self.journal.turn:
            self._check("SignalRouter.forget()")
            there = await self.journal.database.write(_forget, name)
            self.journal.learn(name, None)
        self._drop(name)
        if not there:
            raise SubscriptionNotFoundError(name, fix=await self._known("forget"))

    async def redrive(self, name: str) -> int:
        """See ``SignalRouter.redrive``."""
        self._check("SignalRouter.redrive()")
        if await self.journal.database.read(_tables.find, name) is None:
            raise SubscriptionNotFoundError(name, fix=await self._known("redrive"))
        letters: list[DeadLetter] = []
        cursor = None
        while True:
            which = {"state": ("waiting", "exhausted"), "message_type": SIGNAL_TYPE}
            page = await self._letters.list(which, cursor=cursor, limit=_PAGE)
            letters += [one for one in page.entries if (one.metadata or {}).get("subscription") == name]
            cursor = page.next_cursor
            if cursor is None:
                break
        result = await (await self._letters.select(letters)).retry()
        return len(result.done)

    async def all(self) -> list[DurableInfo]:
        """See ``SignalRouter.durable_subscriptions``."""
        self._check("SignalRouter.durable_subscriptions()")
        found = await self.journal.database.read(_with_behind)
        return [self._info(one, behind) for one, behind in found]

    def _info(self, one: Subscribed, behind: int) -> DurableInfo:
        info = DurableInfo(name=one.name, pattern=one.pattern, target=one.target, position=one.position, behind=behind)
        here = self._here.get(one.name)
        if here is None:
            return info
        sender = here.sender
        counts = {name: getattr(sender, name) for name in ("delivered", "dead_letters", "filtered")}
        return msgspec.structs.replace(info, state=here.state, **counts)

    # --- the process -----------------------------------------------------------------------------

    async def _run(self, process: Process) -> None:
        self._context = contextvars.copy_context()
        try:
            while True:
                await self._look()
                await self._wait()
        finally:
            self._context = None
            await self._stop()

    def _start(self, one: Delivering) -> None:
        if self._context is not None:  # else the node stops
            name = f"subscription {one.name}"
            self._tasks[one] = self._node.loop.create_task(self._serve(one), name=name, context=self._context.copy())

    async def _serve(self, one: Delivering) -> None:
        # Whoever had its name on this node before must have let it go.
        while before := [task for task, name in self._ending.items() if name == one.name]:
            await asyncio.wait(before)
        await one.run()

    def _drop(self, name: str) -> bool:
        """Deliver no more for a subscription; another node may, when what is under way is done."""
        one = self._here.pop(name, None)
        if one is None:
            return False
        task = self._tasks.pop(one, None)
        if self._context is None or task is None:
            self._left.append(one)
        else:
            ending = self._node.loop.create_task(_end(one, task), context=self._context.copy())
            self._ending[ending] = name
            ending.add_done_callback(self._ending.pop)
        return True

    async def _stop(self) -> None:
        await _cancelled([*self._tasks.values()])
        self._tasks.clear()
        while self._ending:
            await asyncio.wait(self._ending)

    async def _wait(self) -> None:
        """Wait until there may be something to see, or the pause is over."""
        await asyncio.sleep(_SHORTEST_PAUSE)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._poll):
                await self._wake.wait()
        self._wake.clear()

    async def _look(self) -> None:
        """Learn what other nodes have done, and say that this one lives; a database that fails is logged once."""
        try:
            for one in list(self._here.values()):
                await one.beat()
            last, found = await self.journal.refresh()
            rows = {row.name: row for row in found}
            for one in list(self._here.values()):
                one.looked(last, rows.get(one.name))
            await self.journal.trim()
        except Exception as error:  # noqa: BLE001 - whatever a database raises, the next look may be better
            if not self._failing:
                _log.error("durable subscriptions cannot be looked at; looking every %g s: %s", self._poll, error)
            self._failing = True
        else:
            self._failing = False

    def _stored(self, first: int, types: Sequence[str]) -> None:
        for one in self._here.values():
            one.stored(first, [one.wanted(type) for type in types])

    # --- checks ----------------------------------------------------------------------------------

    def _check(self, verb: str) -> None:
        if self._closed:
            raise RouterClosedError(verb)

    async def _known(self, verb: str) -> str | None:
        """Return what to write instead of a name that is not there."""
        _, found = await self.journal.database.read(_tables.all_subscriptions)
        names = ", ".join(repr(one.name) for one in found)
        return f"{verb} one of {names}." if names else "SignalRouter.subscribe_durable() makes one."


def _new_word() -> str:
    return os.urandom(4).hex()


# --- transactions, which tell the others ---------------------------------------------------------


def _subscribe(connection: sa.Connection, name: str, pattern: str, target: str, word: str, start: Start) -> None:
    if _tables.subscribe(connection, name, pattern, target, word, start):
        notify(connection, CHANNEL)


def _rewind(connection: sa.Connection, name: str, word: str, start: Start) -> bool:
    found = _tables.rewind(connection, name, word, start)
    notify(connection, CHANNEL)
    return found


def _forget(connection: sa.Connection, name: str) -> bool:
    found = _tables.forget(connection, name)
    notify(connection, CHANNEL)
    return found


def _with_behind(connection: sa.Connection) -> list[tuple[Subscribed, int]]:
    _, found = _tables.all_subscriptions(connection)
    return [(one, _tables.waiting(connection, one.position, Patterns.stored(one.pattern).matches)) for one in found]


async def _end(one: Delivering, task: asyncio.Task[None]) -> None:
    await _cancelled([task])
    await one.end()


async def _cancelled(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel tasks, and return when they have ended."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


def _nothing() -> None:
    """Nothing to end."""
