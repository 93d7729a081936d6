# SPDX-License-Identifier: MIT
"""All attempts: one message on its way to one recipient, until it is confirmed or no more may be made."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from stanchion._validate import cut
from stanchion.breakers import Permit, breaker_for
from stanchion.delivery._attempt import REFUSALS, acknowledged, enqueue, recipient
from stanchion.delivery._delivery import Delivery, Failure, Outcome, Reason
from stanchion.delivery._options import Options
from stanchion.delivery._receipt import OnceReceipt
from stanchion.delivery._time_limits import timeout_of
from stanchion.errors import CircuitOpenError
from stanchion.kernel import DEADLINE, Deadline, Envelope, Node, Pid, Process, Ref, Refusal
from stanchion.telemetry import DELIVERY_POISON, DELIVERY_RETRY

ABORTED: Final = Failure(
    Reason.ABORTED, handled=False, retry=True, detail="another recipient could not take the message"
)
"""What ends the attempts of an ``all_or_nothing`` broadcast to those who could have taken it."""

# What tells a circuit breaker that the recipient fails. Who refuses a message is there and answers.
_COUNTED: Final = frozenset({Reason.NOPROC, Reason.OVERFLOW, Reason.TIMEOUT, Reason.DOWN})
_NO_TURN: Final = Failure(Reason.TIMEOUT, handled=False, retry=False, detail="the deadline passed before its turn came")
_NOT_LOOKED_UP: Final = Failure(
    Reason.TIMEOUT,
    handled=False,
    retry=False,
    detail="the deadline passed while its key was looked up; it was not sent",
)

Turn = asyncio.Lock | asyncio.Semaphore


class Sending:
    """One message on its way to one recipient.

    Args:
        node: The node.
        ref: The recipient.
        message: The message.
        options: How to send it.
        message_id: What all its attempts carry.
        started: When the sender called, by the node's monotonic clock.
        until: When the sender gives up, by the same clock; see ``give_up_time``.
        attempts: How many attempts were made elsewhere.
        handled: Whether the message may have been processed in an attempt that was made elsewhere.
        crashes: How many times its receiver crashed while it handled the message, in attempts that were made elsewhere.
        checked: Whether the ref was looked up before: then a via address that fails in the first attempt is no mistake of
            the sender's any more, as in those after it.

    Attributes:
        message: The message.
        message_id: What all its attempts carry.
        until: When the sender gives up, by the node's monotonic clock; None for never.
        attempts: How many attempts have begun.
        failures: Why each one failed, with its wall-clock time; what a dead letter will tell.
    """

    __slots__ = (
        "_breaker",
        "_checked",
        "_crashes",
        "_deadline",
        "_duplicate",
        "_handled",
        "_node",
        "_options",
        "_permit",
        "_ref",
        "_started",
        "attempts",
        "failures",
        "message",
        "message_id",
        "until",
    )

    def __init__(
        self,
        node: Node,
        ref: Ref,
        message: object,
        options: Options,
        message_id: str,
        started: float,
        until: float | None,
        *,
        attempts: int = 0,
        handled: bool = False,
        crashes: int = 0,
        checked: bool = False,
    ) -> None:
        self._node = node
        self._ref = ref
        self._options = options
        self._started = started
        # What is in force where it is sent.
        self._deadline: Final = DEADLINE.get()
        # Whether any attempt may have been processed: then the outcome can never again be "rejected".
        self._handled = handled
        self._crashes = crashes
        self._checked = checked
        self._breaker: Final = breaker_for(node, ref, options.breaker)
        # What the breaker gave for the attempt under way.
        self._permit: Permit | None = None
        # Whether the receiver confirmed it as one that it had handled before.
        self._duplicate = False
        self.message = message
        self.message_id = message_id
        self.until = until
        self.attempts = attempts
        self.failures: list[tuple[float, Failure]] = []

    @property
    def metadata(self) -> Mapping[str, object] | None:
        """What the sender gave."""
        return self._options.metadata

    async def run(self, turn: Turn | None = None, known: Callable[[], Awaitable[bool]] | None = None) -> Delivery:
        """Make attempts until the outcome is known.

        Args:
            turn: What to hold meanwhile; the wait for it takes from the deadline.
            known: Asked first whether the message was handled before; then no attempt is made.
        """
        deadline = self._deadline
        if deadline is not None and deadline.passed:
            return self.give_up(too_late(deadline))
        if turn is None:
            return await self._run(known)
        try:
            async with asyncio.timeout(self.left()):
                await turn.acquire()
        except TimeoutError:
            return self.give_up(_NO_TURN)
        try:
            return await self._run(known)
        finally:
            turn.release()

    async def after(self, failure: Failure | None) -> Delivery:
        """Go on after an attempt that ended so, until the outcome is known."""
        while failure is not None:
            delay = self.failed(failure)
            if delay is None:
                return self.given_up()
            self.tell_retry(failure, delay)
            await asyncio.sleep(delay)
            if not self.lasts(0.0):  # a loop that was held up wakes late
                return self.given_up()
            failure = await self._attempt()
        return self._end(Outcome.CONFIRMED)

    async def after_acceptance(self, process: Process, envelope: Envelope) -> Delivery:
        """Go on with an attempt that the breaker let through, and whose envelope is in the mailbox already."""
        try:
            failure = await self._acknowledged(process, envelope)
            self.told(failure)
        finally:
            self.leave()
        return await self.after(failure)

    def enter(self) -> Failure | None:
        """Ask the circuit breaker to let an attempt through; return why it does not."""
        if self._breaker is None:
            return None
        try:
            self._permit = self._breaker.enter()
        except CircuitOpenError as error:
            again = "" if error.retry_after is None else f", for {error.retry_after:.3g} s more"
            detail = f"breaker {error.name!r} is {error.state} ({error.reason}){again}"
            return Failure(Reason.CIRCUIT_OPEN, handled=False, retry=False, detail=detail)
        return None

    def recipient(self) -> Process | Failure:
        """Return whom the ref means now, or why it means nobody; see ``recipient``."""
        try:
            process = recipient(self._ref, self._options.ack)
        except Exception as error:
            if not (self.attempts or self._checked):
                raise  # nothing was sent: the mistake is the sender's
            # A via address that fails now. What was sent before, or to others, must come to an outcome.
            return REFUSALS["noproc"]._replace(detail=cut(error))
        return REFUSALS["noproc"] if process is None else process

    def enqueue(self, process: Process) -> tuple[Envelope, Refusal | None]:
        """Begin an attempt; see ``enqueue``."""
        self.attempts += 1
        options = self._options
        once = self._handled or options.idempotency_key is not None
        return enqueue(
            self._node, process, self.message, options, self.message_id, self.attempts, self.until, self._deadline, once
        )

    def told(self, failure: Failure | None) -> None:
        """Tell the circuit breaker how the attempt ended that it let through."""
        permit = self._permit
        if permit is None or failure is ABORTED:
            self.leave()
        elif failure is None:
            permit.succeeded()
        else:
            permit.failed(failure, counts=failure.reason in _COUNTED)

    def leave(self) -> None:
        """Have an attempt that did not end count neither way; nothing when the breaker was told of its end."""
        permit, self._permit = self._permit, None
        if permit is not None:
            permit.cancelled()

    def failed(self, failure: Failure) -> float | None:
        """Record a failed attempt; return the seconds until the next one, or None when there is none."""
        self._handled = self._handled or failure.handled
        self._crashes += failure.crashed
        limit = self._options.poison_after
        if failure.crashed and limit is not None and self._crashes >= limit:
            failure = self._poisoned(failure)
        self.failures.append((self._node.clock.time(), failure))
        return self._delay_before_next(failure)

    def left(self) -> float | None:
        """Return the seconds until the sender gives up; None for no limit."""
        return None if self.until is None else max(0.0, self.until - self._node.clock.monotonic())

    def lasts(self, delay: float) -> bool:
        """Return whether the sender still wants it in ``delay`` seconds."""
        return self.until is None or self._node.clock.monotonic() + delay < self.until

    def give_up(self, failure: Failure) -> Delivery:
        """Return the outcome of a send that ends with this, which is no attempt's."""
        self.failed(failure)
        return self.given_up()

    def given_up(self) -> Delivery:
        """Return the outcome after the last attempt failed."""
        return self._end(Outcome.UNKNOWN if self._handled else Outcome.REJECTED, self.failures[-1][1])

    async def _run(self, known: Callable[[], Awaitable[bool]] | None) -> Delivery:
        if known is not None:
            try:
                async with asyncio.timeout(self.left()):
                    self._duplicate = await known()
            except TimeoutError:
                return self.give_up(_NOT_LOOKED_UP)
            if self._duplicate:
                return self._end(Outcome.CONFIRMED)
        return await self.after(await self._attempt())

    async def _attempt(self) -> Failure | None:
        if self._breaker is None:
            return await self._try()
        rejection = self.enter()
        if rejection is not None:
            return rejection
        try:
            failure = await self._try()
            self.told(failure)
        finally:
            self.leave()
        return failure

    async def _try(self) -> Failure | None:
        process = self.recipient()
        if isinstance(process, Failure):
            self.attempts += 1
            return process
        envelope, refusal = self.enqueue(process)
        if refusal is not None:
            return REFUSALS[refusal]
        return await self._acknowledged(process, envelope)

    async def _acknowledged(self, process: Process, envelope: Envelope) -> Failure | None:
        failure = await acknowledged(self._node, process, envelope, self._limit(process))
        token = envelope[2]
        self._duplicate = isinstance(token, OnceReceipt) and token.duplicate
        return failure

    def _delay_before_next(self, failure: Failure) -> float | None:
        options = self._options
        # A pid that is gone stays gone; a name may be taken again, by a restart.
        gone = isinstance(self._ref, Pid) and failure.reason in (Reason.NOPROC, Reason.DOWN)
        if gone or not failure.retry or self.attempts > options.retries:
            return None
        delay = options.backoff.delay(self.attempts, self._node.random)
        return delay if self.lasts(delay) else None

    def _limit(self, process: Process) -> float | None:
        """Return the seconds that the current attempt may wait: the timeout, or what the deadline leaves."""
        limit, left = timeout_of(process, self.message, self._options.timeout), self.left()
        return limit if left is None or (limit is not None and limit <= left) else left

    def _elapsed(self) -> float:
        return self._node.clock.monotonic() - self._started

    def _end(self, outcome: Outcome, failure: Failure | None = None) -> Delivery:
        return Delivery(
            outcome, self._ref, self.message_id, self.attempts, self._elapsed(), failure, duplicate=self._duplicate
        )

    def _poisoned(self, failure: Failure) -> Failure:
        """Tell that the message is poison, and return the failure that says so."""
        telemetry = self._node.telemetry
        if telemetry.attached:
            telemetry.emit(
                DELIVERY_POISON, {"crashes": self._crashes}, {**self._about(), "reason": failure.exit_reason}
            )
        times = "once" if self._crashes == 1 else f"{self._crashes} times"
        detail = f"its receiver crashed {times} while it handled it, at last by {cut(failure.exit_reason)}"
        return failure._replace(reason=Reason.POISON, retry=False, detail=detail)

    def tell_retry(self, failure: Failure, delay: float) -> None:
        """Tell that another attempt follows."""
        telemetry = self._node.telemetry
        if telemetry.attached:
            measured = {"attempt": self.attempts, "delay": delay}
            telemetry.emit(DELIVERY_RETRY, measured, {**self._about(), "reason": failure.text})

    def _about(self) -> dict[str, object]:
        return {"node": self._node.name, "recipient": self._ref, "message_id": self.message_id}


def too_late(deadline: Deadline) -> Failure:
    """Return why a send was not begun."""
    return Failure(Reason.TIMEOUT, handled=False, retry=False, detail=f"{deadline!r} had passed; it was not sent")
