# SPDX-License-Identifier: MIT
"""All attempts: one message on its way to one recipient, until it is confirmed or no more may be made."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from stanchion._validate import cut
from stanchion.delivery._attempt import REFUSALS, acknowledged, enqueue, recipient
from stanchion.delivery._delivery import Delivery, Failure, Outcome, Reason
from stanchion.delivery._options import Options
from stanchion.kernel import Envelope, Node, Pid, Process, Ref, Refusal
from stanchion.telemetry import DELIVERY_RETRY


class Sending:
    """One message on its way to one recipient.

    Attributes:
        message: The message.
        message_id: What all its attempts carry.
        attempts: How many attempts have begun.
        failures: Why each one failed, with its wall-clock time; what a dead letter will tell.
    """

    __slots__ = ("_handled", "_node", "_options", "_ref", "_started", "attempts", "failures", "message", "message_id")

    def __init__(
        self,
        node: Node,
        ref: Ref,
        message: object,
        options: Options,
        message_id: str,
        started: float,
        attempts: int = 0,
    ) -> None:
        self._node = node
        self._ref = ref
        self._options = options
        self._started = started
        # Whether any attempt may have been processed: then the outcome can never again be "rejected".
        self._handled = False
        self.message = message
        self.message_id = message_id
        self.attempts = attempts
        self.failures: list[tuple[float, Failure]] = []

    @property
    def metadata(self) -> Mapping[str, object] | None:
        """What the sender gave."""
        return self._options.metadata

    async def run(self) -> Delivery:
        """Make attempts until the outcome is known."""
        return await self.after(await self._attempt())

    async def after(self, failure: Failure | None) -> Delivery:
        """Go on after an attempt that ended so, until the outcome is known."""
        while failure is not None:
            delay = self.failed(failure)
            if delay is None:
                return self.given_up()
            self.tell_retry(failure, delay)
            await asyncio.sleep(delay)
            failure = await self._attempt()
        return self._end(Outcome.CONFIRMED)

    async def after_acceptance(self, process: Process, envelope: Envelope) -> Delivery:
        """Go on with an attempt whose envelope is in the mailbox already."""
        return await self.after(await acknowledged(self._node, process, envelope, self._limit()))

    def recipient(self) -> Process | None:
        """Return whom the ref means now; see ``recipient``."""
        return recipient(self._ref, self._options.ack)

    def enqueue(self, process: Process) -> tuple[Envelope, Refusal | None]:
        """Begin an attempt; see ``enqueue``."""
        self.attempts += 1
        chosen = self._options
        return enqueue(self._node, process, self.message, chosen.ack, self.message_id, self.attempts, chosen.metadata)

    def failed(self, failure: Failure) -> float | None:
        """Record a failed attempt; return the seconds until the next one, or None when there is none."""
        self._handled = self._handled or failure.handled
        self.failures.append((self._node.clock.time(), failure))
        return self._delay_before_next(failure)

    def given_up(self) -> Delivery:
        """Return the outcome after the last attempt failed."""
        return self._end(Outcome.UNKNOWN if self._handled else Outcome.REJECTED, self.failures[-1][1])

    async def _attempt(self) -> Failure | None:
        try:
            process = self.recipient()
        except Exception as error:
            if not self.attempts:
                raise  # nothing was sent: the mistake is the sender's
            # A via address that fails now. What was sent before must come to an outcome.
            self.attempts += 1
            return REFUSALS["noproc"]._replace(detail=cut(error))
        if process is None:
            self.attempts += 1
            return REFUSALS["noproc"]
        envelope, refusal = self.enqueue(process)
        if refusal is not None:
            return REFUSALS[refusal]
        return await acknowledged(self._node, process, envelope, self._limit())

    def _limit(self) -> float | None:
        """Return the seconds that the current attempt may wait: the timeout, or what the deadline leaves."""
        limit, deadline = self._options.first_limit(self._node), self._options.deadline
        if deadline is None or self.attempts == 1:
            return limit
        left = max(0.0, deadline - self._elapsed())
        return left if limit is None else min(left, limit)

    def _delay_before_next(self, failure: Failure) -> float | None:
        options = self._options
        # A pid that is gone stays gone; a name may be taken again, by a restart.
        gone = isinstance(self._ref, Pid) and failure.reason in (Reason.NOPROC, Reason.DOWN)
        if gone or not failure.retry or self.attempts > options.retries:
            return None
        delay = options.backoff.delay(self.attempts, self._node.random)
        if options.deadline is not None and self._elapsed() + delay >= options.deadline:
            return None
        return delay

    def _elapsed(self) -> float:
        return self._node.clock.monotonic() - self._started

    def _end(self, outcome: Outcome, failure: Failure | None = None) -> Delivery:
        return Delivery(outcome, self._ref, self.message_id, self.attempts, self._elapsed(), failure)

    def tell_retry(self, failure: Failure, delay: float) -> None:
        """Tell that another attempt follows."""
        telemetry = self._node.telemetry
        if telemetry.attached:
            telemetry.emit(
                DELIVERY_RETRY,
                {"attempt": self.attempts, "delay": delay},
                {
                    "node": self._node.name,
                    "recipient": self._ref,
                    "message_id": self.message_id,
                    "reason": failure.text,
                },
            )
