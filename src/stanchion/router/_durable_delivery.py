# SPDX-License-Identifier: MIT
"""Delivery out of the journal: one durable subscription on one node, and the signals that it sends to its target."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from stanchion.errors import InvalidOptionError, RouterClosedError, StoreError
from stanchion.kernel import Node
from stanchion.router import _tables
from stanchion.router._durable_sender import NotNow, Sender
from stanchion.router._journal import Journal
from stanchion.router._pattern import Patterns
from stanchion.router._tables import Advance, Signalled
from stanchion.storage import Lease

if TYPE_CHECKING:
    from stanchion.dead_letters import DeadLetterQueue
    from stanchion.router._durable_options import Target

_log = logging.getLogger("stanchion.router")

_ROWS: Final = 1000
_BATCH: Final = 100
_BYTES: Final = 1 << 20

_FIRST_PAUSE: Final = 0.05
# Seconds for which a target may be gone before another node may have the subscription: longer than a restart takes.
_GRACE: Final = 1.0
# After the end of a node that left in a hurry, so many signals are each noted before they are sent, at a commit each:
# the one that ended it is among the first that were not noted as handled.
_CAREFUL: Final = 20
_BEATS_PER_LEASE: Final = 3

_NOTING: Final = "its position cannot be noted yet"
_READING: Final = "its signals cannot be read"


class Delivering:
    """A durable subscription on this node, from ``subscribe_durable`` until it is unsubscribed.

    Of all nodes, the one that has its lease and its target sends. It reads the journal in batches, sends one signal after
    the other, and notes its position behind them: as often as commits come, without waiting for them.

    Attributes:
        name: Its name.
        patterns: Its patterns; other ones when another node has replaced them.
        target: To whom it sends, and how.
        state: What it is at, for people: ``"starting"``, ``"waiting"`` for its target, ``"elsewhere"`` when another node
            sends, ``"delivering"`` or ``"forgotten"``.
        sender: What sends its signals, one by one.
        idle: Whether it has read everything, and waits for more.
    """

    def __init__(
        self,
        node: Node,
        journal: Journal,
        letters: DeadLetterQueue,
        name: str,
        patterns: Patterns,
        target: Target,
        *,
        poll: float,
        lease: float,
    ) -> None:
        self._node: Final = node
        self._journal: Final = journal
        self.name: Final = name
        self.patterns = patterns
        self.target: Final = target
        self.sender: Final = Sender(node, letters, name, patterns.text, target, self._come_to, self._check, pause=poll)
        self._poll: Final = poll
        self._lease: Final = Lease(journal.database, f"subscription {name}", node=node, seconds=lease)
        self._lease_open = False
        self._next_beat = 0.0
        self.state = "starting"
        self.idle = False
        self._wake: Final = asyncio.Event()
        # Set when the database may know more than we do: it was replayed, or forgotten, or has another pattern.
        self._stale = False
        # Up to where we have come; and what of that is committed, or being committed.
        self._incarnation: str = ""
        self._position = 0
        self._noted = 0
        self._noting: asyncio.Future[int] | None = None
        self._token = 0  # the lease under which we began, so that our own restart is not taken for a death
        # How many signals are still to be noted before they are sent; and the one that was noted last under this lease.
        self._careful = 0
        self._in_hand: int = 0
        self._failing = set[str]()

    def wanted(self, type: str) -> bool:
        """Return whether it is for signals of a type."""
        return self.patterns.matches(type)

    # --- what the node tells it ------------------------------------------------------------------

    def stored(self, first: int, types: list[bool]) -> None:
        """Take note of new signals: of the position of the first one, and of which of them are for it."""
        if any(types):
            self._wake.set()
        elif self.idle and self._position == first - 1:
            self._position += len(types)  # nothing has to be read to know that

    def looked(self, last: int, found: _tables.Subscribed | None) -> None:
        """Take note of what a look at the database found: its last position, and this subscription."""
        if self._incarnation and (found is None or self._differs(found.incarnation, found.pattern)):
            self._stale = True
            self._wake.set()
        if (self.idle and self._position < last) or (self.state == "delivering" and not self._lease.held):
            self._wake.set()
        self.note()

    async def beat(self) -> None:
        """Say that this node lives, when it is time.

        Raises:
            StoreError: the database failed.
        """
        now = self._node.clock.monotonic()
        if self._lease.token and now >= self._next_beat:
            self._next_beat = now + self._lease.seconds / _BEATS_PER_LEASE
            if not await self._lease.hold():
                self._wake.set()

    def note(self) -> None:
        """Begin to commit how far it has come, unless that is under way: then it is done again afterwards."""
        if self._noting is not None or self._position <= self._noted:
            return
        advance = self._advanced()
        with suppress(RouterClosedError):  # too late: the next node sends what is not noted
            self._noting = self._journal.advance(advance)
            self._noting.add_done_callback(partial(self._was_noted, advance))

    def _was_noted(self, advance: Advance, answer: asyncio.Future[int]) -> None:
        self._noting = None
        if answer.cancelled():
            return
        error = answer.exception()
        if error is not None:
            self._failed(_NOTING, error)  # the next look tries again
        elif self._differs(advance.incarnation, advance.pattern):
            pass  # it was changed, and we know
        elif not answer.result():
            self._stale = True
            self._wake.set()
        else:
            self._noted = max(self._noted, advance.position)
            self._failing.discard(_NOTING)
            self.note()

    # --- beginning and end -----------------------------------------------------------------------

    async def run(self) -> None:
        """Send until cancelled, or until it is forgotten; then somebody may have made it anew on another node."""
        while self.state != "forgotten":
            try:
                await self._serve()
            except StoreError as error:
                self._failed(_READING, error)
                await asyncio.sleep(self._poll)
            except NotNow:
                await asyncio.sleep(_FIRST_PAUSE)  # one that exits may have its name for a while
            except Exception:  # noqa: BLE001 - whatever it is, the signals are not to wait for ever
                _log.exception("durable subscription %r failed; it goes on in %g s", self.name, self._poll)
                await asyncio.sleep(self._poll)
        await self.end()

    async def end(self) -> None:
        """Let another node have it, when how far it has come is committed, or cannot be; after ``run`` has ended."""
        self.note()
        while self._noting is not None:
            await asyncio.wait([self._noting])
        if not self._lease_open:
            return
        self._lease_open = False
        try:
            if self._lease.held:
                await self._journal.database.write(_tables.end, self.name)
        except StoreError as error:
            _log.error("durable subscription %r: that it has stopped in order cannot be noted: %s", self.name, error)
        finally:
            self._token = 0
            await self._lease.close()

    def _failed(self, what: str, error: BaseException) -> None:
        """Log that the database fails, once until it works again."""
        if what not in self._failing:
            self._failing.add(what)
            _log.error("durable subscription %r: %s; it goes on trying: %s", self.name, what, error)

    # --- having it -------------------------------------------------------------------------------

    async def _serve(self) -> None:
        """Send for as long as the target is here, and the lease ours."""
        await self._wait_target()
        if not self._lease_open:
            await self._lease.open()
            self._lease_open = True
        if not self._lease.held:
            self._next_beat = self._node.clock.monotonic() + self._lease.seconds / _BEATS_PER_LEASE
            if not await self._lease.hold():
                await self._stand_by()
                return
        if self._stale or self._token != self._lease.token:
            await self._begin()
        self.state = "delivering"
        while True:
            self._wake.clear()
            self._check()
            batch = await self._journal.database.read(
                _tables.read, self._position, self.wanted, rows=_ROWS, count=_BATCH, size=_BYTES
            )
            for signalled in batch.found:
                self._check()
                await self._deliver(signalled)
            self._failing.discard(_READING)
            if batch.upto > self._position:
                self._position = batch.upto
            elif not batch.found:
                self.idle = True
                try:
                    await self._wake.wait()
                finally:
                    self.idle = False

    def _check(self) -> None:
        """Raise unless it is ours to send."""
        if self._stale or not self._lease.held or not self._node.running:
            raise NotNow

    async def _begin(self) -> None:
        """Learn where to begin."""
        found = await self._journal.database.write(_tables.begin, self.name)
        self._stale = False  # what was changed while we asked, the next look tells again
        if found is None:
            self.state, self._noted = "forgotten", self._position  # nothing is left to note
            _log.warning("durable subscription %r was forgotten; nothing more is sent for it", self.name)
            raise NotNow
        if self._differs(found.incarnation, found.pattern):
            self._incarnation, self._position = found.incarnation, found.position
            self.patterns, self.sender.pattern = Patterns.stored(found.pattern), found.pattern
        else:
            self._position = max(self._position, found.position)
        self._noted = found.position
        if self._token != self._lease.token:
            self._token = self._lease.token
            self._careful, self._in_hand = 0 if found.in_hand is None else _CAREFUL, 0

    def _differs(self, incarnation: str, pattern: str) -> bool:
        """Return whether that is not what we know."""
        return (incarnation, pattern) != (self._incarnation, self.patterns.text)

    def _advanced(self) -> Advance:
        return Advance(self.name, self._incarnation, self.patterns.text, self._position)

    async def _stand_by(self) -> None:
        """Wait until the node that sends may have ended."""
        self.state = "elsewhere"
        self._wake.clear()
        end = self._lease.listen(self._wake.set)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._poll):
                    await self._wake.wait()
        finally:
            end()

    async def _wait_target(self) -> None:
        """Return when there is a target; while there is none for long, another node may have the subscription."""
        pause, since = _FIRST_PAUSE, self._node.clock.monotonic()
        while not self._is_here() or not self._node.running:
            self.state = "waiting"
            if self._lease_open and self._node.clock.monotonic() - since >= _GRACE:
                await self.end()
            await asyncio.sleep(pause)
            pause = min(2 * pause, self._poll)

    def _is_here(self) -> bool:
        ref = self.target.ref
        try:
            pid = self._node.names.get(ref) if isinstance(ref, str) else ref.whereis()
        except InvalidOptionError:  # what has the registry's name now is none
            return False
        return pid is not None

    async def _deliver(self, signalled: Signalled) -> None:
        """Send a signal, noting that before when it may be what ended the node that sent last."""
        # Not the signal's id, which is its publisher's choice: two signals might have the same.
        key = f"{self.name}-{self._incarnation}:{signalled.position}"
        if self._careful and not await self._is_harmless(signalled):
            await self.sender.bury_poison(signalled, key)
        else:
            await self.sender.deliver(signalled, key)

    async def _is_harmless(self, signalled: Signalled) -> bool:
        """Note that a signal is sent next; return whether that has not ended a node too often."""
        if signalled.position == self._in_hand:
            return True  # noted again, what is sent again would look like the end of a node
        ended = await self._journal.database.write(_tables.note_in_hand, self._advanced(), signalled.position)
        if ended is None:
            self._stale = True
            raise NotNow
        self._careful, self._in_hand = self._careful - 1, signalled.position
        limit = self.target.poison_after
        return limit is None or ended < limit

    def _come_to(self, position: int) -> None:
        self._position = position
        self.note()
