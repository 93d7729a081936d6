# SPDX-License-Identifier: MIT
"""Sending one signal of a durable subscription after the other: each until it is handled, or a dead letter.

What counts as a failure of a signal is what its target did with it: refused it, crashed on it, took too long. A target
that is not there, is full, or has not begun with it, has nothing against it: the signal waits, and those behind it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, cast

from stanchion.dead_letters import Attempt, EncodedMessage, decode
from stanchion.delivery import Failure, Reason, send_supervised
from stanchion.errors import DeadLetterError, MessageDecodeError, StoreError
from stanchion.kernel import Node
from stanchion.router._tables import Signalled
from stanchion.telemetry import SIGNAL_DELIVERED, SIGNAL_DROPPED

if TYPE_CHECKING:
    from stanchion.dead_letters import DeadLetterQueue
    from stanchion.router._durable_options import Target
    from stanchion.router._signal import Signal

_log = logging.getLogger("stanchion.router")

SIGNAL_TYPE: Final = "stanchion.signal"
"""What a signal is stored as."""

_ENDED: Final = "the OS process ended each time that it was sent"

# What is no failure of the signal's, when the target has not begun with it.
_BUSY: Final = frozenset({Reason.CIRCUIT_OPEN, Reason.OVERFLOW, Reason.TIMEOUT})
_GONE: Final = frozenset({Reason.NOPROC, Reason.DOWN})


class NotNow(Exception):  # noqa: N818 - it leaves no part of the router
    """Why sending ends for now: the target is gone, or the subscription is not what it was, or another node's."""


class _Trying:
    """The attempts for one signal, over all waits for its target.

    Attributes:
        key: The message id of all of them.
        failures: Why they failed, with the time of each.
        crashes: How many times the target crashed on it.
    """

    __slots__ = ("crashes", "failures", "key")

    def __init__(self, key: str) -> None:
        self.key = key
        self.failures: list[tuple[float, Failure]] = []
        self.crashes = 0


class Sender:
    """Sends the signals of a durable subscription to its target.

    Args:
        node: The node.
        letters: Where those go that it gives up.
        name: The name of the subscription.
        pattern: Its pattern.
        target: To whom to send, and how.
        passed: Called with the position of each signal that needs not be sent any more.
        check: Raises ``NotNow`` when it is not ours to send any more; called before each other attempt.
        pause: Seconds to wait for what does not work now.

    Attributes:
        pattern: The pattern of the subscription, for telemetry.
        delivered: How many signals it has delivered.
        dead_letters: How many have become dead letters.
        filtered: How many the filter did not want.
    """

    def __init__(
        self,
        node: Node,
        letters: DeadLetterQueue,
        name: str,
        pattern: str,
        target: Target,
        passed: Callable[[int], None],
        check: Callable[[], None],
        *,
        pause: float,
    ) -> None:
        self._node: Final = node
        self._letters: Final = letters
        self._name: Final = name
        self.pattern = pattern
        self._target: Final = target
        self._passed: Final = passed
        self._check: Final = check
        self._pause: Final = pause
        self._trying = _Trying("")
        self._failing = False
        self.delivered = self.dead_letters = self.filtered = 0

    async def deliver(self, signalled: Signalled, key: str) -> None:
        """Return when a signal was handled, or is a dead letter.

        Args:
            signalled: The signal.
            key: The message id of all attempts, also of those that are made after ``NotNow``.

        Raises:
            NotNow: it was not, and has to be sent again later.
        """
        if self._trying.key != key:
            self._trying = _Trying(key)
        try:
            signal = cast("Signal", decode(SIGNAL_TYPE, signalled.version, signalled.payload))
        except MessageDecodeError as error:
            await self._bury_unknown(signalled, error)
            return
        if self._is_filtered(signal):
            self._passed(signalled.position)
            return
        while True:
            began = self._node.clock.monotonic()
            failure = await self._attempt(signal, signalled)
            if failure is None:
                self._tell_delivered(signal, signalled, began)
                self._passed(signalled.position)
                return
            if await self._is_last(failure):
                await self._bury(signal, signalled, *_why(failure, self._poisoned), final=not failure.retry)
                return
            self._check()

    async def _attempt(self, signal: Signal, signalled: Signalled) -> Failure | None:
        """Send a signal once; return why it was not handled.

        Raises:
            NotNow: that is no failure of the signal's.
        """
        target = self._target
        delivery = await send_supervised(
            target.ref,
            signal,
            timeout=target.timeout,
            retries=0,
            deadline=None,
            on_error="ignore",
            metadata={"subscription": self._name, "position": signalled.position},
            idempotency_key=self._trying.key,
            poison_after=None,
            breaker=target.breaker,
        )
        failure = delivery.failure
        if failure is None:
            return None
        if failure.reason in _BUSY and not failure.handled:
            await asyncio.sleep(self._pause)
            raise NotNow
        if failure.reason in _GONE and (not failure.handled or not self._node.running):
            raise NotNow
        return failure

    async def _is_last(self, failure: Failure) -> bool:
        """Take note of a failed attempt; return whether no other follows, else wait for its time."""
        trying, target = self._trying, self._target
        trying.failures.append((self._node.clock.time(), failure))
        trying.crashes += failure.crashed
        if self._poisoned or not failure.retry or len(trying.failures) > target.retries:
            return True
        await asyncio.sleep(target.backoff.delay(len(trying.failures), self._node.random))
        return False

    @property
    def _poisoned(self) -> bool:
        limit = self._target.poison_after
        return limit is not None and self._trying.crashes >= limit

    def _is_filtered(self, signal: Signal) -> bool:
        """Return whether the filter does not want it; one that raises is told, and does not want it either."""
        if self._target.filter is None:
            return False
        try:
            wanted = self._target.filter(signal)
        except Exception:  # noqa: BLE001 - the filter is the user's
            _log.exception("durable subscription %r: its filter failed; signal %s is dropped", self._name, signal.id)
            self._tell_dropped(signal, "filter_failed")
            wanted = False
        self.filtered += not wanted
        return not wanted

    # --- dead letters ----------------------------------------------------------------------------

    async def bury_poison(self, signalled: Signalled, key: str) -> None:
        """Have a signal rest in the dead letters that has ended this OS process each time it was sent."""
        self._trying = _Trying(key)
        await self._keep(_content(signalled), signalled, "poison", _ENDED, [], final=True)
        _log.error("durable subscription %r: signal %s is a dead letter: %s", self._name, signalled.id, _ENDED)

    async def _bury(self, signal: Signal, signalled: Signalled, reason: str, error: str, *, final: bool) -> None:
        attempts = [
            Attempt(at, str(failure.reason), failure.text, failure.traceback) for at, failure in self._trying.failures
        ]
        await self._keep(signal, signalled, reason, error, attempts, final=final)
        if self._node.storm_guard.admit("signals became dead letters", _log):
            _log.warning("durable subscription %r: signal %s is a dead letter: %s", self._name, signal.id, error)

    async def _bury_unknown(self, signalled: Signalled, error: MessageDecodeError) -> None:
        """Have a signal rest in the dead letters that this program does not know."""
        await self._keep(_content(signalled), signalled, "invalid", str(error), [], final=True)
        _log.error("durable subscription %r: signal %s cannot be read: %s", self._name, signalled.id, error)

    async def _keep(
        self, message: object, signalled: Signalled, reason: str, error: str, attempts: list[Attempt], *, final: bool
    ) -> None:
        """Add a dead letter, however long that takes: the signal must not be passed before."""
        while True:
            adding = asyncio.ensure_future(
                self._letters.add(
                    recipient=self._target.address,
                    message=message,
                    reason=reason,
                    error=error,
                    attempts=attempts,
                    metadata={"subscription": self._name, "position": signalled.position},
                    message_id=self._trying.key,
                    final=final,
                )
            )
            try:
                await asyncio.shield(adding)
            except asyncio.CancelledError:
                # It is stored all the same; to pass the signal then spares it a second letter.
                await asyncio.wait([adding])
                if not adding.cancelled() and adding.exception() is None:
                    self._passed(signalled.position)
                raise
            except (StoreError, DeadLetterError) as failed:
                if not self._failing:
                    _log.error(
                        "durable subscription %r: no dead letter can be stored of signal %s; it goes on trying: %s",
                        self._name, signalled.id, failed,
                    )  # fmt: skip
                self._failing = True
                await asyncio.sleep(self._pause)
            else:
                self._failing = False
                self.dead_letters += 1
                self._passed(signalled.position)
                return

    # --- telling ---------------------------------------------------------------------------------

    def _tell_delivered(self, signal: Signal, signalled: Signalled, began: float) -> None:
        self.delivered += 1
        telemetry = self._node.telemetry
        if telemetry.attached:
            clock = self._node.clock
            buffered = max(0.0, clock.time() - signalled.stored_at)
            measured = {"buffered": buffered, "seconds": clock.monotonic() - began}
            telemetry.emit(SIGNAL_DELIVERED, measured, self._about(signal))

    def _tell_dropped(self, signal: Signal, reason: str) -> None:
        telemetry = self._node.telemetry
        if telemetry.attached:
            telemetry.emit(SIGNAL_DROPPED, {"count": 1}, {**self._about(signal), "reason": reason})

    def _about(self, signal: Signal) -> dict[str, object]:
        return {
            "node": self._node.name,
            "type": signal.type,
            "signal_id": signal.id,
            "pattern": self.pattern,
            "subscriber": self._name,
        }


def _content(signalled: Signalled) -> EncodedMessage:
    return EncodedMessage(SIGNAL_TYPE, signalled.version, signalled.payload, f"<Signal {signalled.type!r}>")


def _why(failure: Failure, poisoned: bool) -> tuple[str, str]:
    """Return the reason of a dead letter, and its text."""
    if poisoned:
        return str(Reason.POISON), f"the target crashed each time it handled it, at last: {failure.text}"
    return str(failure.reason), failure.text
