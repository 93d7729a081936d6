# SPDX-License-Identifier: MIT
"""Credits: a sender that has only so many messages on the way to one receiver, and waits before it sends more."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from types import TracebackType
from typing import NamedTuple, Self

from stanchion._validate import Seconds, seconds_or_none, whole_number
from stanchion.delivery._receipt import OVERDUE_TEXT
from stanchion.delivery._send import sending_node
from stanchion.kernel import (
    CAST,
    DEADLINE,
    Envelope,
    ExitReason,
    Node,
    Process,
    Ref,
    checked_ref,
    cut_by_deadline,
    doing,
    find,
    limit_cause,
    log_lost,
    undeliverable,
)
from stanchion.timeouts import DRAIN, POLICY, Policy


class CreditStatistics(NamedTuple):
    """How a ``CreditSender`` is doing; what its ``statistics()`` returns.

    Attributes:
        window: How many messages may be unhandled at a time.
        unhandled: How many are: they wait in the mailbox, are postponed or in hand.
        waiting: How many casts wait for a credit.
        handled: How many messages have been handled so far.
        lost: How many have not, and will not be: nobody was there, the mailbox was full, the receiver exited or refused
            them, or no credit came in time.
    """

    window: int
    unhandled: int
    waiting: int
    handled: int
    lost: int


class CreditSender:
    """Casts to one receiver with at most a window of messages unhandled; made by ``credits``.

    As a context manager it waits at the end of the block until everything that was sent is handled, as ``drain`` does;
    not when the block is left by an exception. Several tasks may share one: their casts wait in line.
    """

    __slots__ = ("_draining", "_handled", "_lost", "_node", "_ref", "_timeout", "_unhandled", "_waiting", "_window")

    def __init__(self, node: Node, ref: Ref, window: int, timeout: float | Policy | None) -> None:
        self._node = node
        self._ref = ref
        self._window = window
        self._timeout = timeout
        # Credits that are out: one for each message on the way, and one for each wait that has ended and not sent yet.
        self._unhandled = 0
        # Who waits for a credit, in order; whoever gives a credit back hands it to the first.
        # It is empty as long as there is one.
        self._waiting: OrderedDict[_Wait, None] = OrderedDict()
        # In order of arrival, which a set would not keep.
        self._draining: dict[_Wait, None] = {}
        self._handled = 0
        self._lost = 0

    async def cast(self, message: object) -> bool:
        """Send a message to ``handle_cast`` as soon as there is a credit for it.

        It takes one of the window's credits, which comes back when the message is handled, or cannot be any more: a
        receiver that exits gives all of them back, so nobody waits for a dead one. A full mailbox that blocks its senders
        lets the message wait in line, on its credit. In a ``stanchion.deadline`` scope it waits no longer than that
        lasts; the message carries the deadline, and a receiver that gets to it too late does not begin with it.

        Args:
            message: What ``handle_cast`` gets: the object itself, not a copy.

        Returns:
            True when it was sent, as by ``cast``: what becomes of it nobody learns. False when no credit came in time: it
            was not sent, and is told as a Dropped event with the reason ``"no_credit"``.

        Raises:
            NoNodeError: the receiver is a name, outside of every node.

        Cancellation: the message was not sent.

        Delivery: at most once; the casts of one sender keep their order.
        """
        if self._unhandled < self._window:
            self._unhandled += 1
        elif not await self._credit(message):
            self._lost += 1
            undeliverable(self._node, self._ref, message, "no_credit")
            return False
        self._send(message)
        return True

    async def drain(self, *, timeout: Seconds | Policy | None = POLICY) -> None:
        """Wait until no message is unhandled and no cast waits.

        Args:
            timeout: Seconds to wait; None for no limit. By default what ``credits`` was given, or else what the node's
                ``TimeoutPolicy`` says of ``stanchion.drain``.

        Raises:
            TimeoutError: the time is up, or the deadline in force has passed. The messages stay where they are.
            InvalidOptionError: ``timeout`` is wrong.

        Cancellation: harmless.
        """
        given = self._timeout if timeout is POLICY else seconds_or_none("CreditSender.drain(timeout)", timeout)
        if self._unhandled:
            limit = self._limit(given, DRAIN)
            wait = _Wait(self._node)
            self._draining[wait] = None
            try:
                drained = await wait.outcome(limit)
            finally:
                del self._draining[wait]
            if not drained:
                raise TimeoutError(self._not_drained(given, limit or 0.0))

    def statistics(self) -> CreditStatistics:
        """Return how it is doing at this moment."""
        return CreditStatistics(self._window, self._unhandled, len(self._waiting), self._handled, self._lost)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            await self.drain()

    def __repr__(self) -> str:
        return f"<credits for {self._ref!r}: {self._unhandled} of {self._window} out>"

    def _process(self) -> Process | None:
        """Return whom the ref means now, or None."""
        pid = find(self._ref, "CreditSender.cast()")
        return None if pid is None else pid._process

    def _code_and_name(self, process: Process | None) -> tuple[object, object]:
        """Return how a policy knows the receiver, of whom no more than the address may be known."""
        if process is None:
            return "", self._ref if isinstance(self._ref, str) else None
        return process.code, process.pid.name

    def _limit(self, timeout: float | Policy | None, request: object) -> float | None:
        """Return the seconds that a wait may last; None for no limit."""
        if timeout is POLICY:
            timeout = self._node.timeouts.limit(*self._code_and_name(self._process()), request)
        return cut_by_deadline(timeout)

    def _not_drained(self, timeout: float | Policy | None, limit: float) -> str:
        """Return the text for who has waited for the last message in vain."""
        process = self._process()
        code, name = self._code_and_name(process)
        rule, cut_by = limit_cause(self._node, code, name, DRAIN, timeout, limit)
        return (
            f"CreditSender.drain(): expected {self._ref!r} to handle all within {limit:.3g} s "
            f"({rule if cut_by is None else f'what was left of {cut_by}'}), got {self._unhandled} messages unhandled; "
            f"{'nobody is there' if process is None else doing(process).text}"
        )

    async def _credit(self, message: object) -> bool:
        """Wait for a credit for a message, and take it; return False when none came in time."""
        limit = self._limit(self._timeout, message)
        wait = _Wait(self._node)
        self._waiting[wait] = None
        try:
            return await wait.outcome(limit)
        except asyncio.CancelledError:
            if wait.granted:  # in the step of the cancellation
                self._give_back()
            raise
        finally:
            self._waiting.pop(wait, None)

    def _send(self, message: object) -> None:
        envelope: Envelope = (CAST, message, _Credit(self, message))
        try:
            pid = find(self._ref, "CreditSender.cast()")
        except BaseException:
            self._give_back()
            raise
        refusal = "noproc" if pid is None else pid._mailbox.put(envelope)
        if refusal == "overflow" and pid is not None and pid._mailbox.line_up(envelope):
            return
        if refusal is not None:
            self._returned(message, refusal)

    def _returned(self, message: object, why: str | None) -> None:
        """Take note that a message was handled; or was not, and why; None for one whose end was told already."""
        self._lost += 1
        if why == OVERDUE_TEXT:
            log_lost(self._node, self._ref, message, why)
        elif why is not None:
            undeliverable(self._node, self._ref, message, why)
        self._give_back()

    def _processed(self) -> None:
        self._handled += 1
        self._give_back()

    def _give_back(self) -> None:
        """Hand a credit to the first who waits for one, else put it back."""
        while self._waiting:
            wait, _ = self._waiting.popitem(last=False)
            if wait.grant():
                return
        self._unhandled -= 1
        if not self._unhandled:
            for wait in self._draining:
                wait.grant()


def credits(ref: Ref, *, window: int = 100, timeout: Seconds | Policy | None = POLICY) -> CreditSender:
    """Return a sender that has at most ``window`` messages unhandled at one receiver, and waits before it sends more.

    Use it where one sender is faster than its receiver, and must not fill the receiver's memory: it is slowed down to
    what the receiver handles. ``MailboxPolicy`` limits what all senders together put into a mailbox. Use
    ``send_supervised`` when the outcome of each message matters.

    Args:
        ref: A pid, a registered name or a via address. What is no pid is looked up at each cast, so a restarted process
            is found.
        window: How many messages may wait or be in hand at a time, at least 1.
        timeout: Seconds that a cast waits for a credit, and ``drain`` for the last message; None for no limit. By default
            what the node's ``TimeoutPolicy`` says of the message, and of ``stanchion.drain``.

    Returns:
        The sender: ``async with credits(...) as sender: await sender.cast(message)``.

    Raises:
        InvalidOptionError: an argument is wrong.
        NoNodeError: a name, or the pid of a process that has ended, outside of every node.

    Source: the credits of AMQP 1.0 links, as demand in Elixir's GenStage; there the receiver asks for more.
    """
    checked_ref(ref, "credits(ref)")
    node = sending_node(ref, "credits")
    whole_number("credits(window)", window, at_least=1)
    given = timeout if timeout is POLICY else seconds_or_none("credits(timeout)", timeout)
    return CreditSender(node, ref, window, given)


class _Wait:
    """One wait, under the node's deadlines."""

    __slots__ = ("_node", "future", "granted")

    def __init__(self, node: Node) -> None:
        self._node = node
        self.future: asyncio.Future[bool] = node.loop.create_future()
        self.granted = False

    async def outcome(self, limit: float | None) -> bool:
        """Return whether it was granted within ``limit`` seconds."""
        bucket = None if limit is None else self._node.wheel.add(limit, self)
        try:
            return await self.future
        finally:
            if bucket is not None:
                bucket.pop(self, None)

    def grant(self) -> bool:
        """End the wait; return False when it had ended."""
        if self.future.done():
            return False
        self.granted = True
        self.future.set_result(True)
        return True

    def expire(self) -> None:
        """End the wait because the time is up."""
        if not self.future.done():
            self.future.set_result(False)


class _Credit:
    """The token of one message that is on its way."""

    __slots__ = ("_message", "_sender", "deadline")

    def __init__(self, sender: CreditSender, message: object) -> None:
        # What was in force where it was sent.
        self.deadline = DEADLINE.get()
        # None once the credit is back.
        self._sender: CreditSender | None = sender
        self._message = message

    def processed(self) -> None:
        """Give the credit back."""
        sender, self._sender = self._sender, None
        if sender is not None:
            sender._processed()

    def refused(self, detail: str, *, known: bool, retry: bool, handled: bool = False) -> None:
        """Give it back, and tell of the message; of one without a clause the receiver told."""
        self._lost(f"rejected: {detail}" if known else None)

    def abandoned(self, reason: ExitReason, *, handled: bool, crashed: bool = False) -> None:
        """Give it back, and tell of a message that nobody saw."""
        self._lost(None if handled else "noproc")

    def displaced(self) -> None:
        """Give it back, and tell that the message was dropped."""
        self._lost("drop_oldest")

    def overdue(self) -> None:
        """Give it back, and log the message; the event was told already."""
        self._lost(OVERDUE_TEXT)

    def _lost(self, why: str | None) -> None:
        sender, self._sender = self._sender, None
        if sender is not None:
            sender._returned(self._message, why)
