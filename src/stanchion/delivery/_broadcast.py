# SPDX-License-Identifier: MIT
"""broadcast_supervised: one message to many recipients, and a report of each."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, Literal

from stanchion._backoff import Backoff
from stanchion._validate import Seconds, cut, one_of, whole_number
from stanchion.delivery._attempt import REFUSALS, recipient, take_back
from stanchion.delivery._delivery import Ack, Delivery, Failure, Reason
from stanchion.delivery._failed import conclude, letter_box
from stanchion.delivery._options import DEFAULT_BACKOFF, OnError, options
from stanchion.delivery._send import sending_node
from stanchion.delivery._sending import ABORTED, Sending, too_late
from stanchion.delivery._time_limits import give_up_time
from stanchion.errors import InvalidOptionError
from stanchion.kernel import DEADLINE, Pid, Process, Ref, Via, current_node
from stanchion.timeouts import POLICY, Policy

BroadcastStrategy = Literal["all_or_nothing", "best_effort", "at_least_one"]

_SHOWN: Final = 10  # recipients that a text names under one reason
_STRATEGIES: Final = ("all_or_nothing", "best_effort", "at_least_one")


class BroadcastReport:
    """What became of a broadcast; true when its strategy's promise was kept.

    ``all_or_nothing`` and ``best_effort``: every recipient confirmed. ``at_least_one``: at least one did.

    Attributes:
        strategy: The strategy.
        deliveries: One per recipient, in the order of the refs.
        elapsed: Seconds from the call to the last outcome.
    """

    __slots__ = ("deliveries", "elapsed", "strategy")

    def __init__(self, strategy: BroadcastStrategy, deliveries: tuple[Delivery, ...], elapsed: float) -> None:
        self.strategy = strategy
        self.deliveries = deliveries
        self.elapsed = elapsed

    def __bool__(self) -> bool:
        confirmed = len(self.confirmed)
        return confirmed > 0 if self.strategy == "at_least_one" else confirmed == len(self.deliveries)

    @property
    def confirmed(self) -> tuple[Delivery, ...]:
        """The deliveries that were confirmed."""
        return tuple(delivery for delivery in self.deliveries if delivery)

    @property
    def failed(self) -> tuple[Delivery, ...]:
        """The deliveries that were not."""
        return tuple(delivery for delivery in self.deliveries if not delivery)

    def failures(self) -> dict[Reason, tuple[Delivery, ...]]:
        """Return the deliveries that were not confirmed, by reason, in the order of the refs."""
        found: dict[Reason, list[Delivery]] = {}
        for delivery in self.deliveries:
            if delivery.failure is not None:
                found.setdefault(delivery.failure.reason, []).append(delivery)
        return {reason: tuple(failed) for reason, failed in found.items()}

    def __str__(self) -> str:
        """Return a text for people: how many were confirmed, and under each reason the recipients that were not."""
        lines = [f"{self.strategy}: {len(self.confirmed)} of {len(self.deliveries)} confirmed in {self.elapsed:.3f} s"]
        for reason, failed in self.failures().items():
            shown = ", ".join(f"{delivery.recipient!r} ({delivery.outcome})" for delivery in failed[:_SHOWN])
            more = f", and {len(failed) - _SHOWN} more" if len(failed) > _SHOWN else ""
            lines.append(f"  {reason}, {len(failed)}: {shown}{more}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return (
            f"<BroadcastReport {self.strategy}: {len(self.confirmed)} of {len(self.deliveries)} confirmed "
            f"in {self.elapsed:.3f} s>"
        )


async def broadcast_supervised(
    refs: Iterable[Ref],
    message: object,
    *,
    strategy: BroadcastStrategy = "best_effort",
    ack: Ack | str = Ack.PROCESSED,
    timeout: Seconds | Policy | None = POLICY,
    retries: int = 3,
    backoff: Backoff = DEFAULT_BACKOFF,
    deadline: Seconds | Policy | None = POLICY,
    on_error: OnError = "log",
    metadata: Mapping[str, object] | None = None,
    idempotency_key: str | None = None,
    poison_after: int | None = 3,
    concurrency: int | None = None,
) -> BroadcastReport:
    """Send one message to many recipients at the same time, and return what became of each.

    It has no ``breaker``: one for all would let the failures of some keep the message from the others; each recipient has
    its own with ``Node(breaker=...)``. And it has no ``ordered``: await one broadcast before the next, and every recipient
    gets them in that order.

    Args:
        refs: Pids, registered names and via addresses. One that is named twice gets the message twice, or once with an
            ``idempotency_key``. None at all is a broadcast that is confirmed by everybody, except for ``at_least_one``.
        message: What each ``handle_cast`` gets: the same object.
        strategy: ``"best_effort"`` sends to each for itself. ``"at_least_one"`` does the same and is content with one.
            ``"all_or_nothing"`` puts the message into every mailbox or into none, in one step that nothing can come
            between; while one recipient is missing or full nobody is given it, and the step is repeated as ``retries``,
            ``backoff`` and ``deadline`` say; where a recipient's circuit is open it is not. Once accepted by all, each is
            delivered as by ``send_supervised``.
        ack: See ``send_supervised``; so are the other options, which hold for each recipient.
        timeout: Seconds that one attempt waits for its ack.
        retries: How many attempts may follow the first one.
        backoff: How long to wait between attempts.
        deadline: Seconds for everything; by default what the node's ``TimeoutPolicy`` says of ``stanchion.send``. In a
            ``stanchion.deadline`` scope what remains of that, where it is less.
        on_error: What to do with each recipient's message that was not confirmed. With ``"raise"`` the first failed
            recipient's error is raised after all outcomes are known.
        metadata: What else to tell.
        idempotency_key: The message's id at every recipient; None for one id each. What each process remembers counts,
            and not what ``Node(remember_keys=...)`` does.
        poison_after: How many times a recipient may crash on the message.
        concurrency: How many recipients may be under way at once; those after them begin, in the order of the refs, as
            others end, and the deadline covers their wait. None for all. An ``all_or_nothing`` has all mailboxes take
            the message in one step whatever this says.

    Returns:
        The report: one Delivery per recipient, in order, and true or false by the strategy's promise. In an
        ``all_or_nothing`` that was not accepted, all are REJECTED: those who refused with their reason, the others with
        ``Reason.ABORTED``.

    Raises:
        InvalidOptionError: an option or a ref is wrong. Nothing was sent to anybody.
        DeliveryError: see ``on_error``, and ``send_supervised``.
        NoNodeError: a name, outside of every node.

    Cancellation: as ``send_supervised``, for each recipient.
    """
    strategy_checked: BroadcastStrategy = one_of("broadcast_supervised(strategy)", strategy, _STRATEGIES)  # type: ignore[assignment]
    targets = _targets(refs)
    node = sending_node(targets[0], "broadcast_supervised") if targets else current_node("broadcast_supervised()")
    chosen = options(
        "broadcast_supervised", ack, timeout, retries, backoff, deadline, on_error, metadata, idempotency_key,
        ordered=False, poison_after=poison_after, breaker=None,
    )  # fmt: skip
    at_once = (
        None if concurrency is None else whole_number("broadcast_supervised(concurrency)", concurrency, at_least=1)
    )
    letters = letter_box(node, chosen, "broadcast_supervised")
    started = node.clock.monotonic()
    key = chosen.idempotency_key
    for ref in targets:  # a wrong ref is an error before anybody is given the message
        recipient(ref, chosen.ack, "broadcast_supervised")
    sendings = [
        Sending(
            node, ref, message, chosen, node.unique_id() if key is None else key, started,
            give_up_time(node, chosen, started), checked=True,
        )
        for ref in targets
    ]  # fmt: skip
    in_force = DEADLINE.get()
    if in_force is not None and in_force.passed:
        deliveries = [sending.give_up(too_late(in_force)) for sending in sendings]
    elif strategy_checked == "all_or_nothing":
        deliveries = await _all_or_nothing(sendings)
    else:
        turn = None if at_once is None else asyncio.Semaphore(at_once)
        deliveries = await asyncio.gather(*(sending.run(turn) for sending in sendings))
    concluded = [
        conclude(node, sending, delivery, chosen, letters)
        for sending, delivery in zip(sendings, deliveries, strict=True)
    ]
    results = await asyncio.gather(*concluded, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return BroadcastReport(strategy_checked, tuple(deliveries), node.clock.monotonic() - started)


async def _all_or_nothing(sendings: list[Sending]) -> list[Delivery]:
    """Have the message accepted by all in one step, or by nobody; then deliver each."""
    while True:
        processes = [sending.recipient() for sending in sendings]
        rejections = [sending.enter() for sending in sendings]  # before the mailboxes are asked: listeners hear of it
        refusals = [rejection or refusal for rejection, refusal in zip(rejections, _refusals(processes), strict=True)]
        if not any(refusals):
            # No await since the mailboxes were asked, so each one takes it.
            accepted = [
                (sending, process, sending.enqueue(process)[0])
                for sending, process in zip(sendings, processes, strict=True)
                if isinstance(process, Process)
            ]
            try:
                return await asyncio.gather(
                    *(sending.after_acceptance(process, envelope) for sending, process, envelope in accepted)
                )
            except asyncio.CancelledError:
                # Those whose task was cancelled before its first step could not do it themselves.
                for sending, process, envelope in accepted:
                    take_back(process, envelope)
                    sending.leave()
                raise
        failures = [refusal or ABORTED for refusal in refusals]
        for sending, failure in zip(sendings, failures, strict=True):
            sending.attempts += 1
            sending.told(failure)
            sending.leave()
        delays = [sending.failed(failure) for sending, failure in zip(sendings, failures, strict=True)]
        waits = [delay for delay in delays if delay is not None]
        if len(waits) < len(delays) or not all(sending.lasts(max(waits)) for sending in sendings):
            return [sending.given_up() for sending in sendings]
        for sending, failure in zip(sendings, failures, strict=True):
            sending.tell_retry(failure, max(waits))
        await asyncio.sleep(max(waits))
        if not all(sending.lasts(0.0) for sending in sendings):
            return [sending.given_up() for sending in sendings]


def _refusals(processes: list[Process | Failure]) -> list[Failure | None]:
    """Return for each recipient why it cannot take its message now, or None; one in the list twice needs two places."""
    places = Counter(process.mailbox for process in processes if isinstance(process, Process))
    found: list[Failure | None] = []
    for process in processes:
        if isinstance(process, Failure):
            found.append(process)
        else:
            refusal = process.mailbox.refusal_of(places[process.mailbox])
            found.append(None if refusal is None else REFUSALS[refusal])
    return found


def _targets(refs: Iterable[Ref]) -> list[Ref]:
    one = isinstance(refs, str | Pid | Via)
    if one or not isinstance(refs, Iterable):
        raise InvalidOptionError(
            "broadcast_supervised(refs)",
            expected="an iterable of pids and registered names",
            got=cut(refs),
            fix="put the ref into a list, or use send_supervised()." if one else None,
        )
    return list(refs)
