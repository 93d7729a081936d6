# SPDX-License-Identifier: MIT
"""Getting it there: sends whose outcome is known.

A message is put into a mailbox together with a token. The receiver's loop settles the token when the handler returned,
the kernel when the receiver exits, the node's deadlines when the time is up; the sender then retries or concludes.
"""

from __future__ import annotations

from stanchion._backoff import Backoff
from stanchion._public import show_public_path
from stanchion.delivery._broadcast import BroadcastReport, BroadcastStrategy, broadcast_supervised
from stanchion.delivery._credits import CreditSender, CreditStatistics, credits
from stanchion.delivery._delivery import Ack, Delivery, Failure, Outcome, Reason
from stanchion.delivery._options import DEFAULT_BACKOFF, OnError
from stanchion.delivery._outbox_delivery import OutboxDelivery
from stanchion.delivery._receipt import MessageInfo, message_info
from stanchion.delivery._redelivery import Redelivery
from stanchion.delivery._send import send_supervised
from stanchion.delivery._write_message import stored_message, write_message

__all__ = [
    "DEFAULT_BACKOFF",
    "Ack",
    "Backoff",
    "BroadcastReport",
    "BroadcastStrategy",
    "CreditSender",
    "CreditStatistics",
    "Delivery",
    "Failure",
    "MessageInfo",
    "OnError",
    "OutboxDelivery",
    "Outcome",
    "Reason",
    "Redelivery",
    "broadcast_supervised",
    "credits",
    "message_info",
    "send_supervised",
    "stored_message",
    "write_message",
]

show_public_path(globals())
