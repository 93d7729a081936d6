# SPDX-License-Identifier: MIT
"""Where undeliverable messages rest: kept durably, seen, retried, replayed; no message is lost in silence.

The queue (``DeadLetterQueue``) has the rules, a store (``Store``) keeps the letters, the codec makes messages
data. Nothing here sends: redelivery is the delivery's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stanchion._public import show_public_path
from stanchion.dead_letters._changes import Change, Subscription
from stanchion.dead_letters._codec import EncodedMessage, decode, encode
from stanchion.dead_letters._filter import LetterFilter, Page, Stats
from stanchion.dead_letters._hook import ExhaustedHook
from stanchion.dead_letters._jsonl import Imported, LetterFile
from stanchion.dead_letters._letter import STATES, Attempt, DeadLetter, State, storable
from stanchion.dead_letters._purging import Retention
from stanchion.dead_letters._queue import DeadLetterQueue
from stanchion.dead_letters._selection import BulkResult, Selection
from stanchion.dead_letters._statistics import Growth, GrowthAlarm, GrowthHook, QueueStatistics
from stanchion.dead_letters._store import Key, Store, Write
from stanchion.dead_letters.stores.memory import MemoryStore

if TYPE_CHECKING:
    from stanchion.dead_letters.stores.sql import SqlStore

__all__ = [
    "STATES",
    "Attempt",
    "BulkResult",
    "Change",
    "DeadLetter",
    "DeadLetterQueue",
    "EncodedMessage",
    "ExhaustedHook",
    "Growth",
    "GrowthAlarm",
    "GrowthHook",
    "Imported",
    "Key",
    "LetterFile",
    "LetterFilter",
    "MemoryStore",
    "Page",
    "QueueStatistics",
    "Retention",
    "Selection",
    "SqlStore",
    "State",
    "Stats",
    "Store",
    "Subscription",
    "Write",
    "decode",
    "encode",
    "storable",
]

show_public_path(globals())


def __getattr__(name: str) -> object:
    if name == "SqlStore":  # SQLAlchemy is loaded by whoever asks for it
        from stanchion.dead_letters.stores.sql import SqlStore

        SqlStore.__module__ = __name__
        return SqlStore
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
