# SPDX-License-Identifier: MIT
"""What the router counts, and the records in which it tells of that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from stanchion.kernel import Pid


class SubscriptionInfo(NamedTuple):
    """How one subscription stands.

    Attributes:
        pattern: Its pattern.
        subscriber: The pid of a process; else what gets the signals, as text.
        owner: The process with which it ends; None for one that ends with the node.
        mode: ``"cast"``, ``"supervised"``, ``"callback"`` or ``"stream"``.
        buffered: How many signals wait in its buffer.
        buffer: How many may.
        waiting: How many publishers wait for room in it.
        delivered: How many signals were handled.
        dropped: How many were not and will not be, by reason.
        age: Seconds since it was made.
    """

    pattern: str
    subscriber: Pid | str
    owner: Pid | None
    mode: str
    buffered: int
    buffer: int
    waiting: int
    delivered: int
    dropped: Mapping[str, int]
    age: float


class PatternStatistics(NamedTuple):
    """What became of the signals of all subscriptions with one pattern.

    Attributes:
        routed: How many came to the subscriptions: they matched, and passed the filter.
        delivered: How many were handled.
        dropped: How many were not and will not be, by reason. The others are on their way.
        buffered_seconds: How long they waited in buffers, all together.
        longest_buffered: How long the one waited that waited longest.
    """

    routed: int
    delivered: int
    dropped: Mapping[str, int]
    buffered_seconds: float
    longest_buffered: float


class RouterStatistics(NamedTuple):
    """What became of all signals since the router opened; what ``SignalRouter.statistics`` returns.

    Attributes:
        subscriptions: How many subscriptions there are.
        published: How many signals were published.
        unrouted: How many of them nobody had subscribed to.
        routed: How many deliveries were to be made: one for each subscription that a signal came to.
        delivered: How many of those were made.
        dropped: How many will not be made, by reason; and the signals that had no subscriber, or that a hook filtered.
        matching_seconds: How long it took to find the subscriptions, where they were not known from a signal before.
        patterns: The same by pattern: of those that have subscribers, and of the last thousand that had.
    """

    subscriptions: int
    published: int
    unrouted: int
    routed: int
    delivered: int
    dropped: Mapping[str, int]
    matching_seconds: float
    patterns: Mapping[str, PatternStatistics]


class Counts:
    """What became of some signals."""

    __slots__ = ("buffered", "delivered", "dropped", "longest", "routed")

    def __init__(self) -> None:
        self.routed = 0
        self.delivered = 0
        self.dropped: dict[str, int] = {}
        self.buffered = 0.0
        self.longest = 0.0

    @property
    def on_their_way(self) -> int:
        """How many have not come to their end."""
        return self.routed - self.delivered - sum(self.dropped.values())

    def drop(self, reason: str) -> None:
        """Count one that will not be handled."""
        self.dropped[reason] = self.dropped.get(reason, 0) + 1

    def add(self, other: Counts) -> None:
        """Count what another has counted."""
        self.routed += other.routed
        self.delivered += other.delivered
        for reason, count in other.dropped.items():
            self.dropped[reason] = self.dropped.get(reason, 0) + count
        self.buffered += other.buffered
        self.longest = max(self.longest, other.longest)

    def record(self) -> PatternStatistics:
        """Return it as a record of this moment."""
        return PatternStatistics(self.routed, self.delivered, dict(self.dropped), self.buffered, self.longest)


def total(counts: Iterable[Counts]) -> Counts:
    """Return the sum of some counts."""
    whole = Counts()
    for one in counts:
        whole.add(one)
    return whole
