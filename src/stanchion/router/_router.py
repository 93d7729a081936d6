# SPDX-License-Identifier: MIT
"""The signal router: what users hold, and what it does with a signal that is published."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final, cast

from stanchion._backoff import Backoff
from stanchion._validate import Seconds, cut, instance, seconds_or_none, whole_number
from stanchion.breakers import CircuitBreaker
from stanchion.delivery import DEFAULT_BACKOFF, Ack
from stanchion.errors import InvalidOptionError, RouterClosedError, SignalSizeError
from stanchion.kernel import BURST, Node, Overflow, Process, Ref, caller, code_limit, own, run_process
from stanchion.messages import stored_as
from stanchion.router._durable_records import DurableSubscription
from stanchion.router._durable_verbs import DurableVerbs
from stanchion.router._hooks import AfterPublish, BeforePublish, Hooks
from stanchion.router._pattern import parse_pattern
from stanchion.router._publication import Publication
from stanchion.router._routing import Blocked, route, wait_room
from stanchion.router._session import Session
from stanchion.router._signal import Signal
from stanchion.router._statistics import RouterStatistics, SubscriptionInfo
from stanchion.router._stream import SignalStream
from stanchion.router._subscribing import Filter, How, Mode, checked_wish, stream, subscribe
from stanchion.router._subscription import SignalSubscription
from stanchion.router._supervised import OnFailure
from stanchion.timeouts import POLICY, PUBLISH, Policy, checked_timeout

_WEEK: Final = 7 * 86_400.0
# A tuple: to write them as a union makes one at each check.
_SIZED: Final = (str, bytes, bytearray, memoryview)


class SignalRouter(DurableVerbs):
    """Brings signals to whoever has subscribed to them; a service of a node.

    A publisher names what happened, and needs not know who is interested; use ``cast`` or ``send_supervised`` where it
    does. Make a router, and give it to its node: ``Node(services=[router])``; ``node.router`` is the same object. It
    opens once.

    Each subscription has a buffer of its own, so that a slow one delays nobody. What is lost on the way is an event
    (``SIGNAL_DROPPED``), a count in ``statistics()``, and a line in the log.

    Args:
        before_publish: Plain functions that are called with each signal before it is routed, in order. Each returns the
            signal, another one in its place, or None to drop it.
        after_publish: Plain functions that are called with each signal after it was routed, and its ``Publication``.
            One that raises is logged.
        max_size: How many bytes the data of a signal may have: of bytes and text, and of whatever is stored.
        journal: Patterns of signals that are kept in the journal whoever has subscribed to them, to be replayed later. It
            takes a node with a database.
        keep: Seconds for which the journal keeps signals; longer only what a durable subscription has not passed. None
            for ever.

    Raises:
        InvalidOptionError: an argument is wrong.
        PatternError: a pattern of ``journal`` is malformed.

    Example:
        >>> import asyncio
        >>> import stanchion as st
        >>> class Stock(st.GenServer):
        ...     def init(self, router):
        ...         self.sold = []
        ...         router.subscribe("order.*", st.self_pid())
        ...     def handle_cast(self, signal):
        ...         self.sold.append(signal.data)
        ...     def handle_call(self, request, sender):
        ...         return self.sold
        >>> async def main():
        ...     async with st.Node(services=[st.SignalRouter()]) as node:
        ...         stock = await st.start(Stock, node.router)
        ...         await node.router.publish(st.Signal("order.placed", "A-1"))
        ...         return await st.call(stock, "sold")
        >>> asyncio.run(main())
        ['A-1']

    Source: the patterns are those of topics in AMQP and MQTT; Phoenix.PubSub, which has none, and the signal bus of Jido
        are the nearest to it in Elixir.
    """

    def __init__(
        self,
        *,
        before_publish: Iterable[BeforePublish] = (),
        after_publish: Iterable[AfterPublish] = (),
        max_size: int = 1 << 20,
        journal: Iterable[str] = (),
        keep: Seconds | None = _WEEK,
    ) -> None:
        self._hooks: Final = Hooks(before_publish, after_publish)
        self._max_size: Final = whole_number("SignalRouter(max_size)", max_size, at_least=1)
        if isinstance(journal, str) or not isinstance(journal, Iterable):
            expected, fix = "a list of patterns", "write it in a list." if isinstance(journal, str) else None
            raise InvalidOptionError("SignalRouter(journal)", expected=expected, got=cut(journal), fix=fix)
        self._patterns: Final = [parse_pattern("SignalRouter(journal)", pattern) for pattern in journal]
        self._keep: Final = seconds_or_none("SignalRouter(keep)", keep)
        # Set by open(), and stays.
        self._session: Session | None = None
        # How many signals are published before the others get their turn.
        self._turns = BURST

    # --- opening and closing ---------------------------------------------------------------------

    async def open(self, node: Node) -> None:
        """Begin: from now on signals are taken. The node calls this.

        Raises:
            InvalidOptionError: it was opened before; or ``journal`` takes a database, and the node has none.
            StoreError: the database cannot be opened.
        """
        if self._session is not None:
            raise InvalidOptionError(
                "Node(services)",
                expected="a router that was not opened before",
                got=f"one that {self._session.node!r} has, or had",
                fix="make a SignalRouter() for each node.",
            )
        session = self._session = Session(node, run_process(node, self._run, code="SignalRouter"))
        own(session.process, session)
        try:
            await self._open_durable(node, self._patterns, keep=self._keep, max_size=self._max_size)
        except BaseException:
            session.open = False
            raise

    async def close(self) -> None:
        """End: what is to be stored is, and the rest was told. The node calls this, when its processes have ended."""
        await self._close_durable()

    async def _run(self, process: Process) -> None:
        """Be there for as long as signals are taken; then give up what is left."""
        session = cast("Session", self._session)  # open() has set it
        try:
            await process.node.loop.create_future()
        finally:
            session.release()
            pumps = list(session.pumps)
            for pump in pumps:
                pump.cancel("stopped")
            while tasks := [pump.task for pump in pumps if pump.task is not None]:
                await asyncio.wait(tasks)
            await asyncio.gather(*(pump.give_up() for pump in pumps))

    # --- subscribing -----------------------------------------------------------------------------

    def subscribe(
        self,
        pattern: str,
        target: Ref | Callable[[Signal], object],
        *,
        mode: Mode = "cast",
        buffer: int = 1000,
        overflow: Overflow = "reject",
        warn_at: float | None = 0.8,
        filter: Filter | None = None,
        ack: Ack | str | None = None,
        timeout: Seconds | Policy | None = POLICY,
        retries: int = 3,
        backoff: Backoff = DEFAULT_BACKOFF,
        breaker: CircuitBreaker | str | None = None,
        on_error: OnFailure | None = None,
    ) -> SignalSubscription:
        """Have a process, or a function, get the signals that match a pattern, from now on.

        A process gets them in ``handle_cast``, or by ``receive``. Its subscription is gone when it exits, before anybody
        hears of the exit; so have it subscribe in its ``init``, then it does after each restart. Code outside of
        processes that wants to wait for signals takes ``stream``; a subscriber that must miss none, not even while it is
        away, ``subscribe_durable``.

        Args:
            pattern: Which types: segments with dots between them, of which ``*`` stands for any one, and ``**`` for any number
                of them, also none.
            target: The process, by its pid, its name or a via address, which is looked up now; or a function of one
                signal, which may be ``async``. That belongs to the running process, and ends with it; outside of
                processes, with the node. One target that has several subscriptions gets a signal once: by the first of them
                that matches, and whose filter lets it pass.
            mode: How it comes to a process: ``"cast"``, at most once; or ``"supervised"``, each by a ``send_supervised``
                which is awaited before the next one.
            buffer: How many signals wait for the target at most, besides the one that it has; at least 1.
            overflow: What becomes of one that finds the buffer full: ``"reject"`` and ``"drop_newest"`` drop it;
                ``"drop_oldest"`` takes it, and drops the one that has waited longest; ``"block"`` has the publisher wait
                in line, if it awaits ``publish``, and drops it otherwise.
            warn_at: From which part of its buffer on a subscription counts as slow, which is told once until it is below half of
                that again; None for never.
            filter: Which of the signals that match; None for all. A plain function. A signal that it raises on is dropped.
            ack: As for ``send_supervised``, and so are the next four; all but ``timeout`` are for ``mode="supervised"`` only.
            timeout: Seconds that one attempt may take; of an ``async`` function, that one call may. None for no limit. By
                default what the policy says of such a message, and of ``stanchion.signal_callback``.
            retries: How many attempts may follow the first one.
            backoff: How long to wait between attempts.
            breaker: What to ask before each attempt.
            on_error: What to do with a signal that was not confirmed: store it as a ``"dead_letter"``, ``"log"`` it, or
                ``"ignore"`` it. None for the first one where the node has a dead-letter queue, else for the second one.

        Returns:
            The subscription; ``unsubscribe()`` ends it.

        Raises:
            PatternError: the pattern is malformed.
            InvalidOptionError: another argument is wrong; or ``target`` is no live process of the router's node.
            RouterClosedError: the router is not open.

        Delivery: signals of one publisher come to a process that has them cast in their order, whichever of its
            subscriptions they come by; else in the order of each subscription. What a process leaves behind in its buffer is
            dropped. Not so with ``mode="supervised"``: it is sent to whoever has the name next, if the target was given by its
            name, within the retries; and is else not confirmed.

        Source: ``Phoenix.PubSub.subscribe/3``, where the process is always the running one.
        """
        session = self._opened("subscribe")
        wish = checked_wish("subscribe", pattern, filter, buffer, overflow, warn_at, caller())
        how = How(mode, timeout, ack, retries, backoff, breaker, on_error)
        return subscribe(session, wish, target, how)

    def unsubscribe(self, subscription: SignalSubscription | DurableSubscription) -> bool:
        """End a subscription: after this call its target gets no signal that it did not begin with.

        What waits for it is dropped, and what it postponed. A call of a function that has begun, or a supervised send, goes
        on. What is stored of a durable subscription stays; ``forget`` deletes it.

        Returns:
            False when it had ended before.

        Raises:
            InvalidOptionError: it is no subscription, or one of another router.
        """
        if isinstance(subscription, DurableSubscription):
            return subscription.unsubscribe()
        one = instance("SignalRouter.unsubscribe(subscription)", subscription, SignalSubscription)
        if self._session is None or not one.is_in(self._session):
            raise InvalidOptionError(
                "SignalRouter.unsubscribe(subscription)",
                expected="a subscription of this router",
                got=f"{one!r} of another one",
                fix="write subscription.unsubscribe().",
            )
        return one.unsubscribe()

    def stream(
        self,
        pattern: str,
        *,
        buffer: int = 1000,
        overflow: Overflow = "drop_oldest",
        warn_at: float | None = 0.8,
        filter: Filter | None = None,
    ) -> SignalStream:
        """Return the signals that match a pattern, from now on, to be iterated over: ``async for signal in stream``.

        For code that waits for signals, within processes or outside; ``subscribe`` has them come by themselves. The
        stream ends with the process that makes it, and with the router; and by itself when nobody holds it any more.

        Args:
            pattern: As for ``subscribe``.
            buffer: How many signals wait to be read at most, at least 1.
            overflow: What becomes of one that finds the buffer full; as for ``subscribe``, but for the default.
            warn_at: As for ``subscribe``.
            filter: As for ``subscribe``.

        Raises:
            PatternError: the pattern is malformed.
            InvalidOptionError: another argument is wrong.
            RouterClosedError: the router is not open.

        Delivery: at most once, in the order of each publisher; ``stream.missed`` counts what was dropped.
        """
        session = self._opened("stream")
        wish = checked_wish("stream", pattern, filter, buffer, overflow, warn_at, caller())
        return stream(session, wish)

    # --- publishing ------------------------------------------------------------------------------

    async def publish(self, signal: object, *, timeout: Seconds | Policy | None = POLICY) -> Publication:
        """Bring a signal to all who have subscribed to it.

        It returns when each of them has it, in its mailbox or its buffer, or has refused it; nobody's handling is waited
        for. Only subscriptions with ``overflow="block"`` have a publisher wait, after all others have their signal; and
        the commit of a signal that is kept. Use ``publish_nowait`` where nothing can be awaited.

        Args:
            signal: The signal; or an instance of a message class, for ``Signal.of(message)``.
            timeout: Seconds to wait for room in buffers; 0 waits for the loop's next step only, None as long as it takes.
                By default what the policy says of ``stanchion.publish``. A deadline in force cuts it.

        Returns:
            What became of it; true when nobody has refused it. A signal without subscribers is no failure, but an event.

        Raises:
            MiddlewareError: a hook raised. Here and below, nobody has got the signal.
            SignalSizeError: its data is too large.
            InvalidOptionError: ``signal`` is none; or ``timeout`` is wrong.
            RouterClosedError: the router is not open.
            MessageEncodeError: it is to be kept, and cannot become data.
            StoreError: it is to be kept, and could not be stored.

        Cancellation: while it waits for room, those who have none do not get it. While it waits for its commit, it may be
            kept, and come to durable subscriptions alone.

        Delivery: see ``subscribe``. Signals of one publisher, who awaits each call, keep their order.

        Source: ``Phoenix.PubSub.broadcast/3``.
        """
        session = self._opened("publish")
        limit = timeout if timeout is POLICY else seconds_or_none("SignalRouter.publish(timeout)", timeout)
        checked, filtered = self._checked("publish", signal)
        if filtered:
            return self._filtered(session, checked)
        stored: int | None = None
        kept = self._durable is not None and self._durable.journal.wants(checked.type)
        if kept and self._durable is not None:
            stored = await self._durable.journal.append(checked)
        routed = route(session, checked, stored, may_wait=True, kept=kept)
        publication = await wait_room(routed, self._limit(session, limit)) if isinstance(routed, Blocked) else routed
        if self._ends(session, publication):
            await asyncio.sleep(0)
        return publication

    def publish_nowait(self, signal: object) -> Publication:
        """Bring a signal to all who have subscribed to it, as ``publish``, and wait for nothing.

        A subscription with ``overflow="block"`` whose buffer is full refuses it. A signal that is kept is committed later;
        the log says so if it cannot be.

        Args:
            signal: The signal; or an instance of a message class.

        Raises:
            MiddlewareError, SignalSizeError, InvalidOptionError, RouterClosedError, MessageEncodeError: as for ``publish``.
            StoreError: it is to be kept, and too many wait for their commit.
        """
        session = self._opened("publish_nowait")
        checked, filtered = self._checked("publish_nowait", signal)
        if filtered:
            return self._filtered(session, checked)
        kept = self._durable is not None and self._durable.journal.wants(checked.type)
        if kept and self._durable is not None:
            self._durable.journal.append_nowait(checked)
        publication: Publication = route(session, checked, None, may_wait=False, kept=kept)  # type: ignore[assignment]
        if self._hooks.after:
            self._hooks.run_after(publication)
        return publication

    async def publish_many(
        self, signals: Iterable[object], *, timeout: Seconds | Policy | None = POLICY
    ) -> list[Publication]:
        """Bring signals to all who have subscribed to them, in order, as ``publish`` does one.

        Those that are kept are committed together, before the first one is routed.

        Args:
            signals: Signals, and instances of message classes.
            timeout: Seconds to wait for room in buffers, for all of them; see ``publish``.

        Returns:
            What became of each, in their order.

        Raises:
            As for ``publish``: of what is found before anything is stored, nobody has got any of the signals.
            StoreError: some could not be stored, others may be; nobody but durable subscriptions gets any.

        Cancellation: the signals after the one that waits go to nobody.
        """
        session = self._opened("publish_many")
        limit = checked_timeout("SignalRouter.publish_many(timeout)", timeout)
        checked = [self._checked("publish_many", signal) for signal in _several(signals)]
        limit = self._limit(session, limit)
        until = None if limit is None else session.node.clock.monotonic() + limit
        positions = await self._append([signal for signal, filtered in checked if not filtered])
        publications: list[Publication] = []
        for signal, filtered in checked:
            if filtered:
                publications.append(self._filtered(session, signal))
                continue
            stored = positions.get(signal)
            routed = route(session, signal, stored, may_wait=True, kept=stored is not None)
            left = None if until is None else max(0.0, until - session.node.clock.monotonic())
            publication = await wait_room(routed, left) if isinstance(routed, Blocked) else routed
            if self._ends(session, publication):
                await asyncio.sleep(0)
            publications.append(publication)
        return publications

    # --- looking ---------------------------------------------------------------------------------

    def subscriptions(self) -> list[SubscriptionInfo]:
        """Return how each subscription stands at this moment, in the order in which they were made.

        Raises:
            RouterClosedError: the router is not open.
        """
        return [subscription.info() for subscription in self._opened("subscriptions").live]

    def statistics(self) -> RouterStatistics:
        """Return what became of all signals since the router opened.

        Raises:
            RouterClosedError: the router was never open; one that has closed tells how it all came out.
        """
        if self._session is None:
            raise RouterClosedError("SignalRouter.statistics()")
        return self._session.statistics()

    def __repr__(self) -> str:
        if self._session is None:
            return "<SignalRouter new>"
        state = "open" if self._session.open else "closed"
        return f"<SignalRouter of node {self._session.node.name} {state}, {len(self._session.live)} subscriptions>"

    # --- inside ----------------------------------------------------------------------------------

    def _opened(self, verb: str) -> Session:
        session = self._session
        if session is None or not session.open:
            raise RouterClosedError(f"SignalRouter.{verb}()")
        return session

    def _checked(self, verb: str, given: object) -> tuple[Signal, bool]:
        """Return the signal to be routed, and whether a hook has dropped it."""
        signal = given if isinstance(given, Signal) else _signal_of(verb, given)
        if self._hooks.before:
            result = self._hooks.run_before(signal)
            if result is None:
                return signal, True
            signal = result
        if isinstance(signal.data, _SIZED):
            size = _size_of(signal)
            if size > self._max_size:
                raise SignalSizeError(signal.id, signal_type=signal.type, size=size, limit=self._max_size)
        return signal, False

    def _filtered(self, session: Session, signal: Signal) -> Publication:
        """Tell of a signal that a hook has dropped."""
        session.drop(signal, "filtered")
        publication = Publication(signal, 0, 0, filtered=True)
        self._hooks.run_after(publication)
        return publication

    async def _append(self, signals: list[Signal]) -> dict[Signal, int]:
        """Store those signals that are kept; return their positions."""
        durable = self._durable
        kept = [] if durable is None else [signal for signal in signals if durable.journal.wants(signal.type)]
        if durable is None or not kept:
            return {}
        return dict(zip(kept, await durable.journal.append_all(kept), strict=True))

    def _ends(self, session: Session, publication: Publication) -> bool:
        """End a publication; return whether to let those run who have much to do.

        A publisher that never waits would fill all buffers.
        """
        if self._hooks.after:
            self._hooks.run_after(publication)
        self._turns -= 1
        if not session.crowded and self._turns:
            return False
        session.crowded = False
        self._turns = BURST
        return True

    def _limit(self, session: Session, limit: float | Policy | None) -> float | None:
        return code_limit("SignalRouter.publish(timeout)", session.node, "SignalRouter", None, PUBLISH, limit)


def _signal_of(verb: str, given: object) -> Signal:
    if stored_as(type(given)) is None:
        raise InvalidOptionError(
            f"SignalRouter.{verb}(signal)",
            expected="a Signal, or an instance of a message class",
            got=cut(given),
            fix=f"write Signal({given!r}, data)." if isinstance(given, str) else None,
        )
    return Signal.of(given)


def _size_of(signal: Signal) -> int:
    """Return how many bytes there are in a signal's data, which is one of ``_SIZED``."""
    data = signal.data
    if isinstance(data, str):
        return len(data) if data.isascii() else len(data.encode(errors="surrogatepass"))
    return memoryview(cast("bytes", data)).nbytes


def _several(signals: Iterable[object]) -> list[object]:
    if isinstance(signals, str | Signal) or not isinstance(signals, Iterable):
        fix = "write publish()." if isinstance(signals, Signal) else None
        raise InvalidOptionError("SignalRouter.publish_many(signals)", expected="signals", got=cut(signals), fix=fix)
    return list(signals)
