# SPDX-License-Identifier: MIT
"""A lease: of all nodes with one database, one does a thing at a time."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Concatenate, Final, ParamSpec, TypeVar

from stanchion._validate import Seconds, seconds
from stanchion.errors import InvalidOptionError, LeaseLostError, StoreError
from stanchion.storage import _leases
from stanchion.storage._leases import Claim, Held, check_lease
from stanchion.storage._owner import is_gone, this_process
from stanchion.storage.migrations import SCHEMA
from stanchion.telemetry import LEASE_LOST

if TYPE_CHECKING:
    import sqlalchemy as sa

    from stanchion.kernel import Node
    from stanchion.storage._database import Database

_P = ParamSpec("_P")
_T = TypeVar("_T")

_log = logging.getLogger("stanchion.storage")


class Lease:
    """A thing that one node does at a time, of all that have the same database.

    It is held by whoever says so often enough: ``hold()`` takes it or renews it, and is to be called a few times in
    ``seconds``. What the holder leaves is taken over by another: at once when it gave it up, or was killed and both run
    on one machine, else when it was silent for its seconds. Machines' clocks have no part in that: each node counts the
    seconds since it saw the last sign of life by its own monotonic clock.

    A node that stands still for longer does not notice that it has lost it. So what only the holder may write is written
    by ``write()``, or in a transaction that calls ``check_lease``: it raises when the lease was lost.

    Args:
        database: Where it is kept.
        name: What is done; the same in all nodes.
        node: Whose lease it is.
        seconds: Without a sign of life, after which the holder is taken for dead. Longer than it may ever stand still.

    Raises:
        InvalidOptionError: ``seconds`` is wrong.
    """

    def __init__(self, database: Database, name: str, *, node: Node, seconds: Seconds = 30.0) -> None:
        self._database: Final = database
        self.name: Final = name
        self._node: Final = node
        self.seconds: Final = _positive(seconds)
        self._claim: Claim | None = None  # set while it is open
        # Set while we hold it, as far as we know; since when, and until when nobody can have taken it from us.
        self._held: Held | None = None
        self._since = 0.0
        self._valid_until = 0.0
        # The holder when it was seen last, and when that was seen first.
        self._seen: Held | None = None
        self._seen_at = 0.0
        # One at a time: a transaction goes on when its caller is cancelled.
        self._under_way: asyncio.Task[object] | None = None
        self._turn = asyncio.Lock()

    async def open(self) -> None:
        """Open the database; it is not held before ``hold()`` says so.

        Raises:
            StoreError: the database cannot be opened; the lease stays closed.
            InvalidOptionError: the lease is open.
        """
        if self._claim is not None:
            raise InvalidOptionError(f"Lease({self.name!r}).open()", expected="a closed lease", got="an open one")
        await self._database.open(SCHEMA)
        try:
            process = await asyncio.to_thread(this_process)
        except BaseException:
            await self._database.close()
            raise
        owner = f"{socket.gethostname()}:{os.getpid()}:{os.urandom(4).hex()}"
        self._claim = Claim(self.name, owner, process, self.seconds)

    async def close(self) -> None:
        """Give it up, if it is held; harmless when it is closed."""
        if self._claim is None:
            return
        claim, self._claim, self._held = self._claim, None, None
        try:
            await self._after_the_other(_leases.give_up, self.name, claim.owner)
        except StoreError as error:
            _log.error("lease %r could not be given up, and is free in %g s: %s", self.name, self.seconds, error)
        finally:
            await self._database.close()

    @property
    def held(self) -> bool:
        """Whether we hold it, and nobody can have taken it since."""
        return self._held is not None and self._node.clock.monotonic() < self._valid_until

    @property
    def token(self) -> int:
        """Which of its holders we are: a number that grows with each one; 0 while we hold it not."""
        return 0 if self._held is None else self._held.token

    @property
    def holder(self) -> str | None:
        """Who held it when that was seen last, as text: host, OS process and a word of its own; None before."""
        found = self._held or self._seen
        return None if found is None else found.owner

    async def hold(self) -> bool:
        """Take the lease if it can be had, or renew it; return whether we hold it.

        Raises:
            StoreError: the database failed, or the lease is closed. It is held no longer than ``held`` says.

        Cancellation: what is asked of the database happens all the same.
        """
        claim = self._claim
        if claim is None:
            raise StoreError(
                self._database.name, expected=f"an open lease {self.name!r}", got="a closed one", fix="open() it first."
            )
        asked = self._node.clock.monotonic()
        found = await self._after_the_other(_leases.hold, claim)
        if found.owner != claim.owner and await self._is_gone(found, claim):
            asked = self._node.clock.monotonic()
            found = await self._after_the_other(_leases.hold, claim, found)
        if self._claim is not claim:
            return False  # it was closed meanwhile, and given up after this
        self._note(found, claim, asked)
        return self.held

    async def write(
        self, work: Callable[Concatenate[sa.Connection, _P], _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        """Return what ``work`` returns, in one transaction that is committed only if we hold the lease.

        Raises:
            LeaseLostError: it is not held, or was taken over; nothing was written.
            StoreError: the database failed.

        Cancellation: it is carried out all the same.
        """
        held = self._held
        if held is None:
            raise LeaseLostError(self._database.name, lease=self.name, owner=f"node {self._node.name}")

        def checked(connection: sa.Connection) -> _T:
            check_lease(connection, self.name, held.token)
            return work(connection, *args, **kwargs)

        try:
            return await self._database.write(checked)
        except LeaseLostError:
            if self._held is not None and self._held.token == held.token:
                self._lose(held)
            raise

    def listen(self, heard: Callable[[], None]) -> Callable[[], None]:
        """Call ``heard`` in the loop when a holder gave it up; see ``Database.listen``. Returns what ends it."""
        return self._database.listen(_leases.channel_of(self.name), heard)

    async def _after_the_other(
        self, work: Callable[Concatenate[sa.Connection, _P], _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        """Return what ``work`` returns, in a transaction that begins when the one before it has ended."""
        async with self._turn:
            while self._under_way is not None and not self._under_way.done():
                await asyncio.wait([self._under_way])
            task = self._under_way = asyncio.ensure_future(self._database.write(work, *args, **kwargs))
            return await asyncio.shield(task)

    async def _is_gone(self, found: Held, claim: Claim) -> bool:
        now = self._node.clock.monotonic()
        if found != self._seen:
            self._seen, self._seen_at = found, now
        elif now - self._seen_at >= found.seconds:
            return True
        return await asyncio.to_thread(is_gone, found.process, claim.process)

    def _note(self, found: Held, claim: Claim, asked: float) -> None:
        if self._held is not None and (found.owner, found.token) != (claim.owner, self._held.token):
            self._lose(self._held)
        if found.owner == claim.owner:
            if self._held is None:
                self._since = asked
            self._held, self._seen, self._valid_until = found, None, asked + self.seconds

    def _lose(self, held: Held) -> None:
        self._held = None
        _log.error(
            "lease %r was taken over by another node: %s gave no sign of life for too long", self.name, held.owner
        )
        telemetry = self._node.telemetry
        if telemetry.attached:
            about = {"node": self._node.name, "lease": self.name, "owner": held.owner}
            telemetry.emit(LEASE_LOST, {"held": self._node.clock.monotonic() - self._since}, about)


def _positive(value: Seconds) -> float:
    checked = seconds("Lease(seconds)", value)
    if checked == 0:
        raise InvalidOptionError("Lease(seconds)", expected="more than 0 seconds", got="0")
    return checked
