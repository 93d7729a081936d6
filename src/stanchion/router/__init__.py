# SPDX-License-Identifier: MIT
"""Who else hears it: signals, the patterns by which they are wanted, and their subscribers."""

from __future__ import annotations

from stanchion._public import show_public_path
from stanchion.router._cloudevents import from_cloudevent, to_cloudevent
from stanchion.router._durable_records import DurableInfo, DurableSubscription
from stanchion.router._hooks import AfterPublish, BeforePublish
from stanchion.router._pattern import pattern_matches
from stanchion.router._publication import DroppedSignal, Publication
from stanchion.router._router import SignalRouter
from stanchion.router._signal import Signal
from stanchion.router._statistics import PatternStatistics, RouterStatistics, SubscriptionInfo
from stanchion.router._stream import SignalStream
from stanchion.router._subscribing import Filter, Mode
from stanchion.router._subscription import SignalSubscription
from stanchion.router._supervised import OnFailure

__all__ = [
    "AfterPublish",
    "BeforePublish",
    "DroppedSignal",
    "DurableInfo",
    "DurableSubscription",
    "Filter",
    "Mode",
    "OnFailure",
    "PatternStatistics",
    "Publication",
    "RouterStatistics",
    "Signal",
    "SignalRouter",
    "SignalStream",
    "SignalSubscription",
    "SubscriptionInfo",
    "from_cloudevent",
    "pattern_matches",
    "to_cloudevent",
]

show_public_path(globals())
