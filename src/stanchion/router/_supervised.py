# SPDX-License-Identifier: MIT
"""Signals that are sent supervised: each until it is confirmed, or is given up as its subscription says."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, cast

from stanchion._backoff import Backoff
from stanchion._validate import instance, one_of, whole_number
from stanchion.breakers import CircuitBreaker, checked_breaker
from stanchion.delivery import Ack, send_supervised
from stanchion.errors import InvalidOptionError
from stanchion.kernel import Node, Pid, Ref, find
from stanchion.registry import RegistryVia
from stanchion.router._entry import Entry
from stanchion.router._pump import Pump
from stanchion.router._session import Session
from stanchion.router._subscription import SignalSubscription
from stanchion.timeouts import Policy

if TYPE_CHECKING:
    from stanchion.dead_letters import DeadLetterQueue

_log = logging.getLogger("stanchion.router")

OnFailure = Literal["log", "dead_letter", "ignore"]
"""What is done with a signal that was sent supervised and not confirmed; see ``SignalRouter.subscribe``."""

_ON_FAILURE: Final = ("log", "dead_letter", "ignore")
_ACKS: Final = (Ack.ENQUEUED.value, Ack.PROCESSED.value)


class Sends(NamedTuple):
    """How the signals of a subscription are sent; see ``SignalRouter.subscribe``."""

    ack: str
    timeout: float | Policy | None
    retries: int
    backoff: Backoff
    breaker: CircuitBreaker | str | None
    on_error: OnFailure
    letters: DeadLetterQueue | None


class Supervised(Pump):
    """How signals come to a process that confirms them.

    What has been accepted is not lost with the process: it is sent to whoever has the name next, if the subscription was
    made by a name, and becomes a dead letter otherwise.
    """

    __slots__ = ("_pid", "_ref", "_sends")

    def __init__(self, session: Session, subscription: SignalSubscription, ref: Ref, sends: Sends) -> None:
        super().__init__(session, subscription, session.context())
        self._ref: Final = ref
        self._pid: Final = cast("Pid", subscription.subscriber)
        self._sends: Final = sends

    def is_running(self) -> bool:
        """See ``Outlet.is_running``."""
        process = self._pid._process
        return super().is_running() or (process is not None and process.task is asyncio.current_task())

    def drains(self, reason: str) -> bool:
        """See ``Outlet.drains``."""
        return reason != "unsubscribed"

    def end(self, subscription: SignalSubscription, reason: str) -> None:
        """Nothing: see ``Outlet.end``. What is left is sent, or given up when the router has stopped."""

    async def deliver(self, entry: Entry) -> None:
        """Send it, and wait for what becomes of it."""
        sends = self._sends
        try:
            delivery = await send_supervised(
                self._recipient(),
                entry.signal,
                ack=sends.ack,
                timeout=sends.timeout,
                retries=sends.retries,
                backoff=sends.backoff,
                breaker=sends.breaker,
                on_error=sends.on_error,
            )
        except Exception:  # noqa: BLE001 - its letter could not be stored, or its via address failed
            _log.exception("signal %s for %r could not be sent", entry.signal.id, self._subscription)
            confirmed = False
        else:
            confirmed = bool(delivery)
        if confirmed:
            self._subscription.delivered(entry)
        else:
            self._subscription.lost(entry, "failed", logged=True)

    def interrupted(self, entry: Entry, reason: str) -> None:
        """Have it be given up with the others."""
        self._subscription.waiting.appendleft(entry)

    async def give_up(self) -> None:
        """Store what is left as dead letters, or log it."""
        left = list(self._subscription.waiting)
        if self._sends.on_error == "dead_letter":
            await asyncio.gather(*map(self._bury, left))
        self._subscription.drop_all("stopped")

    def _recipient(self) -> Ref:
        """Return the subscriber: by what it was given as, if that means it, or whoever has come in its place."""
        if isinstance(self._ref, Pid) or not self._pid.alive:
            return self._ref
        found = None
        with suppress(Exception):  # a via address of the user's
            found = find(self._ref, "SignalRouter.subscribe(target)")
        return self._ref if found is self._pid else self._pid

    async def _bury(self, entry: Entry) -> None:
        ref, letters = self._ref, self._sends.letters
        address = ref.text if isinstance(ref, RegistryVia) else ref if isinstance(ref, str) else None
        try:
            await letters.add(  # type: ignore[union-attr]  # on_error="dead_letter" takes one
                recipient=repr(ref) if address is None else address,
                redeliverable=address is not None,
                message=entry.signal,
                reason="noproc",
                error="the router stopped before it was sent",
            )
        except Exception:  # noqa: BLE001 - the others are to be stored all the same
            _log.exception("signal %s for %r could not be stored as a dead letter", entry.signal.id, self._subscription)


def checked_sends(
    node: Node,
    ack: Ack | str | None,
    timeout: float | Policy | None,
    retries: int,
    backoff: Backoff,
    breaker: CircuitBreaker | str | None,
    on_error: OnFailure | None,
) -> Sends:
    """Check the options of a subscription by which signals are sent supervised; ``timeout`` was checked before.

    Raises:
        InvalidOptionError: one is wrong.
    """
    name = "SignalRouter.subscribe"
    breaker = checked_breaker(f"{name}(breaker)", breaker)
    letters = _letters(node)
    if on_error is None:
        on_error = "log" if letters is None else "dead_letter"
    elif one_of(f"{name}(on_error)", on_error, _ON_FAILURE) == "dead_letter" and letters is None:
        raise InvalidOptionError(
            f"{name}(on_error)",
            expected="a node with a dead-letter queue for on_error='dead_letter'",
            got=f"{node!r}, which has none",
            fix="make the node with Node(dead_letters='sqlite:///letters.db').",
        )
    return Sends(
        Ack.PROCESSED.value if ack is None else one_of(f"{name}(ack)", ack, _ACKS),
        timeout,
        whole_number(f"{name}(retries)", retries),
        instance(f"{name}(backoff)", backoff, Backoff),
        breaker,
        on_error,
        letters,
    )


def _letters(node: Node) -> DeadLetterQueue | None:
    from stanchion.dead_letters import DeadLetterQueue  # heavy; only who uses it pays

    return node.service(DeadLetterQueue)
