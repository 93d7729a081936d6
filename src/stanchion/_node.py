# SPDX-License-Identifier: MIT
"""The node that users make: a kernel node together with the services that they asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from stanchion import kernel
from stanchion._validate import Seconds, cut, seconds, seconds_or_none
from stanchion.breakers import BreakerPolicy, Breakers, breakers_of
from stanchion.errors import InvalidOptionError, NodeStateError
from stanchion.kernel import DEFAULT_DEDUP, Clock, DedupWindow, Service
from stanchion.timeouts import TimeoutPolicy

if TYPE_CHECKING:
    from stanchion.dead_letters import DeadLetterQueue
    from stanchion.monitors import LeakChecker, MonitorManager, NodeAudit
    from stanchion.outbox import Outbox
    from stanchion.router import SignalRouter
    from stanchion.scheduler import SchedulerManager
    from stanchion.storage import Database

_S = TypeVar("_S")


class Node(kernel.Node):
    """Everything that lives together: processes, names, clock, telemetry, dead letters and outbox.

    Enter it with ``async with``: the processes that are started inside belong to it, and leaving it stops them all,
    the latest first, then closes what it keeps. Code in the block, and in tasks started there, addresses the node's
    processes by name. Two nodes in one interpreter do not see each other.

    Example:
        >>> import asyncio
        >>> import stanchion as st
        >>> async def main():
        ...     async with st.Node("shop", dead_letters="memory:") as node:
        ...         return await st.send_supervised("nobody", "hello", retries=0, on_error="dead_letter")
        >>> asyncio.run(main()).reason
        <Reason.NOPROC: 'noproc'>
    """

    def __init__(
        self,
        name: str = "node",
        *,
        database: Database | str | None = None,
        dead_letters: DeadLetterQueue | str | None = None,
        redeliver: bool = True,
        remember_keys: Seconds | None = None,
        clock: Clock | None = None,
        timeouts: TimeoutPolicy | Seconds = 5.0,
        shutdown_timeout: Seconds | None = 30.0,
        exit_grace: Seconds = 5.0,
        block_threshold: Seconds | None = 0.25,
        leak_check: Seconds | None = 60.0,
        seed: int | None = None,
        dedup: DedupWindow = DEFAULT_DEDUP,
        breaker: BreakerPolicy | None = None,
        services: Sequence[Service] = (),
    ) -> None:
        """Make a node; nothing runs before ``async with``.

        Args:
            name: A word without spaces or dots.
            database: Where it keeps what is durable, dead letters and outbox: a database, or its URL
                (``"sqlite:///app.db"``, ``"postgresql://host/app"``). None for nothing durable but what
                ``dead_letters`` says.
            dead_letters: A queue, or the URL of its store (``"sqlite:///letters.db"``, ``"memory:"``); None for the
                ``database``'s, if there is one. The node opens it first and closes it last.
            redeliver: Whether the node sends waiting letters again when they are due.
            remember_keys: Seconds for which the ``database`` keeps the idempotency keys of messages that were handled: a
                supervised send to a lasting address whose key it knows is confirmed, and not sent. None, the default,
                keeps none: a receiver knows what it has handled itself, until it is restarted.
            clock: Where to read the time; None for the machine's clock.
            timeouts: How long a wait may last where the code gives no timeout: a ``TimeoutPolicy``, or the seconds of one
                that has the same for all.
            shutdown_timeout: Seconds that each process started outside of processes has to stop when the node is
                left; then it is killed with all beneath it. None waits as long as it takes; 0 kills at once.
            exit_grace: Seconds that a process's task has to end after an exit signal; then the process is declared
                dead, and reported.
            block_threshold: Seconds that a handler may block the event loop before it is reported; None reports none.
            leak_check: How often, in seconds, to look for leaked monitors: those that it finds are an event and a warning
                in the log. None for never.
            seed: The seed of the jitter, to have the same delays again; None for another one each time.
            dedup: How many handled messages each process remembers, so that a repeated one is not handled again.
            breaker: When the circuit breaker opens that each recipient of supervised sends then has; None, the default,
                for no breakers of recipients: a breaker that opens while a supervisor restarts the recipient rejects
                what the retries of a send would have delivered.
            services: What else opens with the node, in this order, and closes in reverse.

        Raises:
            InvalidOptionError: an argument is wrong.
        """
        super().__init__(
            name,
            clock=clock,
            timeouts=timeouts,
            shutdown_timeout=shutdown_timeout,
            exit_grace=exit_grace,
            block_threshold=block_threshold,
            seed=seed,
            dedup=dedup,
            services=[*_kept(database, dead_letters, redeliver, remember_keys), *services],
        )
        if breaker is not None:
            self.breaker_table = Breakers(self, breaker)
        self._leak_check_every = None if leak_check is None else seconds("Node(leak_check)", leak_check)
        if self._leak_check_every == 0:
            raise InvalidOptionError(
                "Node(leak_check)", expected="seconds > 0", got="0", fix="pass None to look for no leaks."
            )
        # Made at the first monitor, for which its code is loaded.
        self._leak_checker: LeakChecker | None = None

    @property
    def monitors(self) -> MonitorManager:
        """The monitors of the node: who watches whom, and what of it looks leaked."""
        from stanchion.monitors import MonitorManager

        return MonitorManager(self)

    @property
    def leak_check(self) -> LeakChecker | None:
        """What looks for leaked monitors; None when nobody does."""
        if self._leak_checker is None and self._leak_check_every is not None:
            from stanchion.monitors import LeakChecker

            self._leak_checker = LeakChecker(self, self._leak_check_every)
        return self._leak_checker

    @property
    def breakers(self) -> Breakers:
        """The circuit breakers of the node: those added by name, and those of its recipients."""
        return breakers_of(self)

    def audit(self, *, owed_for: Seconds | None = 60.0) -> NodeAudit:
        """Return everything that the node's processes own at this moment, by owner, and what of it looks leaked.

        That is monitors, links, timers, keys of registries, memberships, monitors of groups, replies that are owed, and
        tasks that were made in a process. What was made in the node's block outside of processes is the node's. Look at
        ``leaks`` in a test or after a drill, and at all of it where memory grows. For monitors alone, and for a check
        that runs by itself, see ``monitors``.

        It looks at all processes and at all tasks of the loop in one step, so that a node of 100,000 processes stands
        still for about a second. The running task is left out.

        Args:
            owed_for: Seconds after which a reply that a server owes looks forgotten; None for never.

        Raises:
            NodeStateError: the node was not entered yet.
            InvalidOptionError: ``owed_for`` is wrong.

        Example:
            >>> import asyncio
            >>> import stanchion as st
            >>> async def forgetful():
            ...     st.send_after(st.spawn(asyncio.sleep, 0), "too late", 60)
            ...     await asyncio.sleep(60)
            >>> async def main():
            ...     async with st.Node(shutdown_timeout=0) as node:
            ...         st.spawn(forgetful)
            ...         await asyncio.sleep(0.01)
            ...         return node.audit().leaks[0].kind
            >>> asyncio.run(main())
            'target_gone'
        """
        limit = seconds_or_none("Node.audit(owed_for)", owed_for)
        if self.state == "new":
            raise NodeStateError(self.name, operation="audit()", expected="a node that was entered", got="new")
        from stanchion.monitors import audit

        return audit(self, limit)

    @property
    def dead_letters(self) -> DeadLetterQueue:
        """The dead-letter queue.

        Raises:
            InvalidOptionError: the node has none.
        """
        from stanchion.dead_letters import DeadLetterQueue

        return self._part("dead_letters", DeadLetterQueue, "a dead-letter queue", "dead_letters='sqlite:///letters.db'")

    @property
    def outbox(self) -> Outbox:
        """The outbox: what was sent with ``durable=True`` and is not delivered yet.

        Raises:
            InvalidOptionError: the node has none.
        """
        from stanchion.outbox import Outbox

        return self._part("outbox", Outbox, "an outbox", "database='sqlite:///app.db'")

    @property
    def router(self) -> SignalRouter:
        """The signal router.

        Raises:
            InvalidOptionError: the node has none.
        """
        from stanchion.router import SignalRouter

        return self._part("router", SignalRouter, "a signal router", "services=[st.SignalRouter()]")

    @property
    def scheduler(self) -> SchedulerManager:
        """The scheduler.

        Raises:
            InvalidOptionError: the node has none.
        """
        from stanchion.scheduler import SchedulerManager

        return self._part("scheduler", SchedulerManager, "a scheduler", "services=[st.SchedulerManager()]")

    def _part(self, name: str, kind: type[_S], what: str, option: str) -> _S:
        """Return the service of a kind.

        Raises:
            InvalidOptionError: the node has none.
        """
        service = self.service(kind)
        if service is None:
            raise InvalidOptionError(
                f"Node.{name}",
                expected=f"a node with {what}",
                got=repr(self),
                fix=f"make it with Node({option}).",
            )
        return service


def _kept(
    database: Database | str | None,
    dead_letters: DeadLetterQueue | str | None,
    redeliver: bool,
    remember_keys: Seconds | None,
) -> list[Service]:
    """Return what keeps what is durable, and then what sends it."""
    if database is None:
        if remember_keys is not None:
            raise InvalidOptionError(
                "Node(remember_keys)",
                expected="a node with a database to keep keys in",
                got=cut(remember_keys),
                fix="pass database='sqlite:///app.db' too.",
            )
        return _letter_services(dead_letters, redeliver)
    from stanchion.dead_letters import DeadLetterQueue, SqlStore
    from stanchion.delivery import OutboxDelivery
    from stanchion.outbox import Outbox
    from stanchion.storage import database_of

    if isinstance(database, str):
        database = database_of(database)
    elif not all(callable(getattr(database, verb, None)) for verb in ("open", "close", "read", "write", "listen")):
        raise InvalidOptionError("Node(database)", expected="a database, its URL, or None", got=cut(database))
    outbox = Outbox(database, remember_keys=remember_keys)
    letters = DeadLetterQueue(SqlStore(database)) if dead_letters is None else dead_letters
    queue, *redelivery = _letter_services(letters, redeliver)
    return [queue, outbox, *redelivery, OutboxDelivery(outbox)]


def _letter_services(dead_letters: DeadLetterQueue | str | None, redeliver: bool) -> list[Service]:
    if dead_letters is None:
        return []
    from stanchion.dead_letters import DeadLetterQueue
    from stanchion.delivery import Redelivery

    queue = DeadLetterQueue(dead_letters) if isinstance(dead_letters, str) else dead_letters
    if not isinstance(queue, DeadLetterQueue):
        raise InvalidOptionError(
            "Node(dead_letters)", expected="a DeadLetterQueue, the URL of a store, or None", got=cut(dead_letters)
        )
    return [queue, Redelivery(queue)] if redeliver else [queue]
