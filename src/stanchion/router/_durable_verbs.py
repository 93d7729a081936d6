# SPDX-License-Identifier: MIT
"""The verbs of a router for durable subscriptions, and what opens these with a node that has a database."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from stanchion._backoff import Backoff
from stanchion._validate import Seconds
from stanchion.delivery import DEFAULT_BACKOFF
from stanchion.errors import InvalidOptionError, RouterClosedError
from stanchion.kernel import Node, Ref
from stanchion.router._durable_records import DurableInfo, DurableSubscription
from stanchion.router._pattern import Patterns
from stanchion.timeouts import POLICY, Policy

if TYPE_CHECKING:
    from stanchion.router._durable import DurableSubscriptions
    from stanchion.router._durable_options import Since
    from stanchion.router._signal import Signal


class DurableVerbs:
    """A router, as far as it is durable.

    Attributes:
        _durable: The durable subscriptions of its node; None while it is closed, and on a node without a database.
        _router_node: The node; None while it is closed.
    """

    _durable: DurableSubscriptions | None = None
    _router_node: Node | None = None

    async def subscribe_durable(
        self,
        name: str,
        pattern: str | Sequence[str],
        target: Ref,
        *,
        start: Since = "now",
        filter: Callable[[Signal], object] | None = None,
        timeout: Seconds | Policy | None = POLICY,
        retries: int = 3,
        backoff: Backoff = DEFAULT_BACKOFF,
        breaker: str | None = None,
        poison_after: int | None = 3,
    ) -> DurableSubscription:
        """Subscribe so that nothing is missed: what is published while the target is away is delivered when it is back.

        From now on each signal that matches is committed in the node's database before ``publish`` returns, on every
        node that has this database, and delivered from there in that order, one after the other. How far that has come
        is in the database too. Call it at each start of the program: a subscription that is stored goes on where it was.
        Where what was missed does not matter, ``subscribe`` is enough, and costs no commit.

        Args:
            name: What it is called in the database: a word without spaces or dots, of at most 100 characters. What has one
                name is one subscription, on all nodes.
            pattern: Which types it is for; of several patterns, in a list, a signal has to match one. Other ones than
                are stored replace those, on every node, and the position stays.
            target: Who gets the signals: a registered name, or the key of a registry. It needs not be there yet.
            start: Where a subscription begins that is not stored yet: ``"now"``; ``"beginning"``, with all that the
                journal has; a time, in Unix seconds or as a datetime with a zone; or the id of a signal, which is its
                first one.
            filter: Which of the signals that match are sent; a plain function. One that raises drops the signal, and
                that is told. None for all.
            timeout: Seconds that one attempt may take; by default what the node's ``TimeoutPolicy`` says of such a
                message to the target.
            retries: How many attempts may follow the first one that failed; then the signal becomes a dead letter, with
                ``{"subscription": name}`` among its metadata, and the next one is sent. A target that is not there, is
                full, or does not come to handle it, fails nothing: the signals wait.
            backoff: How long to wait between attempts.
            breaker: The name of one of the node's circuit breakers, which is asked before each attempt.
            poison_after: How many times the target may crash on a signal; then it becomes a dead letter. So does, as far
                as that was noted, one that ended the OS process so often. None for no limit.

        Returns:
            The subscription of this node; ``unsubscribe()`` ends the delivery here, and keeps what is stored.

        Raises:
            InvalidOptionError: an argument is wrong, or the node has no database.
            PatternError: a pattern is malformed.
            StoreError: the database failed.
            RouterClosedError: the router is not open.

        Cancellation: it may be stored all the same.

        Delivery: at least once, in the order of commits. Where several nodes subscribe, one of them delivers; another one goes
            on when that one ends, or loses its target. ``message_info().message_id`` is the same in all attempts for a
            signal, also those after a crash.

        Source: the durable consumers of JetStream and the persistent subscriptions of EventStoreDB are the nearest.
        """
        from stanchion.router import _durable_options as options  # heavy; only who uses it pays

        durable = self._opened_durable("SignalRouter.subscribe_durable()")
        checked = options.checked_target(
            "SignalRouter.subscribe_durable",
            target,
            filter=filter,
            timeout=timeout,
            retries=retries,
            backoff=backoff,
            breaker=breaker,
            poison_after=poison_after,
        )
        options.checked_name("SignalRouter.subscribe_durable", name)
        patterns = Patterns("SignalRouter.subscribe_durable(pattern)", pattern)
        return await durable.subscribe(name, patterns, checked, start)

    async def replay(self, name: str, since: Since) -> None:
        """Have a durable subscription deliver again what it has had, on whichever node it is.

        Under other message ids, so that receivers do not take the signals for repeated ones.

        Args:
            name: The subscription.
            since: The first signal to deliver, by its id; or a time: what was stored then or later. ``"beginning"`` for all that
                the journal has: see ``SignalRouter(keep=...)``. What it has not delivered yet stays to be.

        Raises:
            SubscriptionNotFoundError: there is no such subscription.
            InvalidOptionError: ``since`` is wrong, or the id of no signal in the journal.
            StoreError: the database failed.
            RouterClosedError: the router is not open.
        """
        await self._opened_durable("SignalRouter.replay()").replay(name, since)

    async def redrive(self, name: str) -> int:
        """Make the dead letters of a durable subscription due again, those that wait and those that are exhausted.

        The node's redelivery sends them, under the message ids that they had; not in the order of the signals.

        Returns:
            How many there are.

        Raises:
            SubscriptionNotFoundError: there is no such subscription.
            StoreError: the database failed.
            BulkError: the database failed on the way.
            RouterClosedError: the router is not open.
        """
        return await self._opened_durable("SignalRouter.redrive()").redrive(name)

    async def forget(self, name: str) -> None:
        """Delete a durable subscription: its signals are kept for it no longer. Its dead letters stay.

        Raises:
            SubscriptionNotFoundError: there is no such subscription.
            StoreError: the database failed.
            RouterClosedError: the router is not open.
        """
        await self._opened_durable("SignalRouter.forget()").forget(name)

    async def durable_subscriptions(self) -> list[DurableInfo]:
        """Return every durable subscription in the database, by its name, whichever node has it.

        Look at ``behind``: signals that wait for a subscription are kept however many they are, so one that nobody
        serves any more is to be forgotten.

        Raises:
            StoreError: the database failed.
            RouterClosedError: the router is not open.
        """
        return await self._opened_durable("SignalRouter.durable_subscriptions()").all()

    async def _open_durable(
        self, node: Node, patterns: Sequence[tuple[str, ...]], *, keep: float | None, max_size: int
    ) -> None:
        """Open what is durable, if the node has a database.

        Raises:
            InvalidOptionError: it has none, and there are patterns of what to keep.
            StoreError: the database cannot be opened.
        """
        self._router_node = node
        outbox = letters = None
        # What is not loaded the node does not have; to load it would have the loop stand still for a good while.
        if "stanchion.outbox" in sys.modules:
            from stanchion.dead_letters import DeadLetterQueue
            from stanchion.outbox import Outbox

            outbox, letters = node.service(Outbox), node.service(DeadLetterQueue)
        if outbox is None or letters is None:
            if patterns:
                raise _no_database("SignalRouter(journal)", node)
            return
        from stanchion.router._durable import DurableSubscriptions
        from stanchion.router._journal import Journal

        journal = Journal(outbox.database, node, patterns=patterns, keep=keep, max_size=max_size)
        durable = DurableSubscriptions(node, journal, letters)
        await durable.open()
        self._durable = durable

    async def _close_durable(self) -> None:
        """Commit what waits for it; harmless when nothing is open."""
        durable, self._durable, self._router_node = self._durable, None, None
        if durable is not None:
            await durable.close()

    def _opened_durable(self, verb: str) -> DurableSubscriptions:
        if self._durable is not None:
            return self._durable
        if self._router_node is None:
            raise RouterClosedError(verb)
        raise _no_database(verb, self._router_node)


def _no_database(subject: str, node: Node) -> InvalidOptionError:
    return InvalidOptionError(
        subject,
        expected="a node with a database, for what is durable",
        got=f"{node!r}, which has none",
        fix="make the node with Node(database='sqlite:///app.db').",
    )
