# SPDX-License-Identifier: MIT
"""One time that a router is open: who has subscribed, by pattern and by target."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Hashable, Iterable
from contextvars import Context
from typing import TYPE_CHECKING, Final

from stanchion._validate import cut
from stanchion.kernel import NODE, PROCESS, Node, Owned, Pid, Process
from stanchion.router._statistics import Counts, RouterStatistics, total
from stanchion.router._trie import Trie
from stanchion.telemetry import SIGNAL_DROPPED

if TYPE_CHECKING:
    from stanchion.router._cast import Lane
    from stanchion.router._pump import Pump
    from stanchion.router._signal import Signal
    from stanchion.router._subscription import SignalSubscription

_log = logging.getLogger("stanchion.router")

PATTERNS_KEPT: Final = 1000
"""Of how many patterns without subscribers the statistics are kept."""


class Session(Owned):
    """One time that a router is open: its subscriptions, and what they share; the router's process owns it.

    Attributes:
        node: The node.
        process: The router's process.
        open: Whether signals are taken.
        trie: The subscriptions by pattern.
        live: All of them, in the order in which they were made.
        lanes: How signals come to the processes that have them cast, by pid; a lane is there while a subscription is.
        pumps: Those that have a task.
        shared: How many subscriptions there are beyond the first one of a target.
        crowded: Whether a buffer has filled to its mark since it was last set to False.
        published: See ``RouterStatistics``.
        unrouted: See there.
        dropped: Of signals that came to no subscription, how many, by reason.
        matching: See ``matching_seconds`` there.
    """

    __slots__ = (
        "_by_target",
        "_ended",
        "_ending",
        "_past",
        "crowded",
        "dropped",
        "lanes",
        "live",
        "matching",
        "node",
        "open",
        "process",
        "published",
        "pumps",
        "shared",
        "trie",
        "unrouted",
    )

    def __init__(self, node: Node, process: Process) -> None:
        self.node: Final = node
        self.process: Final = process
        self.open = True
        self.trie: Final = Trie["SignalSubscription"]()
        self.live: Final[dict[SignalSubscription, None]] = {}
        self.lanes: Final[dict[Pid, Lane]] = {}
        self.pumps: Final[dict[Pump, None]] = {}
        self.shared = 0
        self.crowded = False
        self.published = 0
        self.unrouted = 0
        self.dropped: Final[dict[str, int]] = {}
        self.matching = 0.0
        # How many live subscriptions each target has.
        self._by_target: Final[defaultdict[Hashable, int]] = defaultdict(int)
        # Subscriptions that are no more, and have signals that have not come to their end.
        self._ending: Final[dict[SignalSubscription, None]] = {}
        # What those counted that have none: by pattern, the one that ended last at the end; and all together.
        self._ended: Final[dict[str, Counts]] = {}
        self._past: Final = Counts()

    def add(self, subscription: SignalSubscription) -> None:
        """Have a subscription get signals from now on."""
        self.live[subscription] = None
        self._by_target[subscription.key] += 1
        self.shared += self._by_target[subscription.key] > 1
        self.trie.add(subscription.segments, subscription)

    def remove(self, subscription: SignalSubscription) -> None:
        """Have a subscription get none any more."""
        del self.live[subscription]
        self.trie.remove(subscription.segments, subscription)
        key = subscription.key
        self.shared -= self._by_target[key] > 1
        self._by_target[key] -= 1
        if not self._by_target[key]:
            del self._by_target[key]
        self._ending[subscription] = None

    def settled(self, subscription: SignalSubscription) -> None:
        """Take note that a subscription which is no more may have no signals on their way, either."""
        if subscription.counts.on_their_way or subscription not in self._ending:
            return
        del self._ending[subscription]
        self._past.add(subscription.counts)
        counts = self._ended.pop(subscription.pattern, None) or Counts()
        counts.add(subscription.counts)
        self._ended[subscription.pattern] = counts
        if len(self._ended) > PATTERNS_KEPT:
            del self._ended[next(iter(self._ended))]

    def release(self) -> None:
        """Take no more signals, and end all subscriptions: the router's process exits."""
        self.open = False
        for subscription in list(self.live):
            subscription.end("stopped")

    def users(self) -> Iterable[Pid]:
        """Return the processes that must go when they exit."""
        return [one.subscriber for one in self.live if isinstance(one.subscriber, Pid)]

    # --- telling ---------------------------------------------------------------------------------

    def drop(self, signal: Signal, reason: str) -> None:
        """Count and tell a signal that came to no subscription."""
        self.dropped[reason] = self.dropped.get(reason, 0) + 1
        self.tell_dropped(signal, reason, None, None)

    def tell_dropped(self, signal: Signal, reason: str, pattern: str | None, subscriber: Pid | str | None) -> None:
        """Tell a signal that somebody, or nobody, did not get."""
        telemetry = self.node.telemetry
        if telemetry.attached:
            about = {"node": self.node.name, "type": signal.type, "signal_id": signal.id}
            details = {**about, "pattern": pattern, "subscriber": subscriber, "reason": reason}
            telemetry.emit(SIGNAL_DROPPED, {"count": 1}, details)

    def log_dropped(self, subscription: SignalSubscription, signal: Signal, reason: str) -> None:
        """Write a line about a signal that was dropped, unless there were too many."""
        if self.node.storm_guard.admit("signals were dropped", _log):
            _log.warning("signal %s for %r was dropped (%s): %s", signal.id, subscription, reason, cut(signal))

    def statistics(self) -> RouterStatistics:
        """Return the counts of this moment."""
        patterns: defaultdict[str, Counts] = defaultdict(Counts)
        for pattern, counts in self._ended.items():
            patterns[pattern].add(counts)
        left = (*self._ending, *self.live)
        for one in left:
            patterns[one.pattern].add(one.counts)
        whole = total((self._past, *(one.counts for one in left)))
        for reason, count in self.dropped.items():
            whole.dropped[reason] = whole.dropped.get(reason, 0) + count
        return RouterStatistics(
            len(self.live),
            self.published,
            self.unrouted,
            whole.routed,
            whole.delivered,
            whole.dropped,
            self.matching,
            {pattern: counts.record() for pattern, counts in patterns.items()},
        )

    # --- whose code it is ------------------------------------------------------------------------

    def context(self) -> Context:
        """Return a new context of the router's process: for tasks of its own."""
        context = Context()
        context.run(PROCESS.set, self.process)
        context.run(NODE.set, self.node)
        return context
