# SPDX-License-Identifier: MIT
"""What was promised to be delivered: messages that are kept in a database until that is done.

The outbox (``Outbox``) stores and removes them, says which is next, and which node has which. Nothing here sends: that
is the delivery's.
"""

from __future__ import annotations

from stanchion._public import show_public_path
from stanchion.outbox._lanes import Held
from stanchion.outbox._message import OutboxMessage
from stanchion.outbox._outbox import Outbox, OutboxStatistics
from stanchion.outbox._transactional import Transaction, create_tables, insert_message, insert_messages, pending_ids

__all__ = [
    "Held",
    "Outbox",
    "OutboxMessage",
    "OutboxStatistics",
    "Transaction",
    "create_tables",
    "insert_message",
    "insert_messages",
    "pending_ids",
]

show_public_path(globals())
