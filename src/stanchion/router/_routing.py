# SPDX-License-Identifier: MIT
"""The way of one signal to its subscriptions."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

from stanchion.router._entry import InLine, Room
from stanchion.router._publication import DroppedSignal, Publication, published
from stanchion.router._session import Session
from stanchion.router._signal import Signal
from stanchion.router._subscription import FULL, SignalSubscription
from stanchion.telemetry import SIGNAL_ROUTED


class Blocked(NamedTuple):
    """What a publisher waits for: room in buffers that are full.

    Attributes:
        room: The wait.
        line: Where it waits.
        publication: What became of the signal elsewhere.
    """

    room: Room
    line: list[InLine]
    publication: Publication


def route(session: Session, signal: Signal, stored: int | None, *, may_wait: bool, kept: bool) -> Publication | Blocked:
    """Bring a signal to all that want it.

    Args:
        session: Who may want it.
        signal: The signal.
        stored: Its position in the journal, where that is known.
        may_wait: Whether its publisher can wait for room.
        kept: Whether it is in the journal, or on its way there, so that it has not come to nobody.
    """
    # On the path of each publish: loops and calls are spelled out.
    clock = session.node.monotonic
    at, seconds = clock(), 0.0
    session.published += 1
    found: Sequence[SignalSubscription] | None = session.trie._answers.get(signal.type)
    if found is None:
        found = session.trie.match(signal.type)
        seconds = clock() - at
        session.matching += seconds
    matched = 0
    refused: list[DroppedSignal] = []
    room: Room | None = None
    line: list[InLine] = []
    seen: set[Hashable] | None = set() if session.shared and len(found) > 1 else None
    for subscription in found:
        if not subscription.active or (seen is not None and subscription.key in seen):
            continue
        if subscription.filter is not None:
            wanted = subscription.passes(signal)
            if wanted is None:
                matched += 1
                refused.append(DroppedSignal(subscription, "filter_failed"))
            # The filter may have ended its own subscription.
            if not wanted or not subscription.active:
                continue
        matched += 1
        if seen is not None:
            seen.add(subscription.key)
        reason = subscription.offer(signal, at, may_wait=may_wait)
        if reason is FULL:
            room = room or Room(session.node)
            line.append(subscription.line_up(signal, at, room))
        elif reason is not None:
            refused.append(DroppedSignal(subscription, reason))
    if session.node.telemetry.attached:
        about = {"node": session.node.name, "type": signal.type, "signal_id": signal.id}
        session.node.telemetry.emit(SIGNAL_ROUTED, {"matched": matched, "seconds": seconds}, about)
    if not matched and not kept:
        session.unrouted += 1
        session.drop(signal, "no_subscriber")
    publication = published(signal, matched, matched - len(refused) - len(line), tuple(refused), stored)
    return publication if room is None else Blocked(room, line, publication)


async def wait_room(blocked: Blocked, limit: float | None) -> Publication:
    """Wait ``limit`` seconds at most until what was full had room; return what became of the signal."""
    reason = "cancelled"
    try:
        await blocked.room.wait(limit)
        reason = "timeout"
    finally:
        for one in blocked.line:
            if one.waits:
                one.entry.subscription.leave_line(one)
                one.refuse(reason)
    refused = [DroppedSignal(one.entry.subscription, one.reason) for one in blocked.line if one.reason is not None]
    publication = blocked.publication
    return publication._replace(
        accepted=publication.accepted + len(blocked.line) - len(refused), dropped=(*publication.dropped, *refused)
    )
