# SPDX-License-Identifier: MIT
"""Accepting an event: it is handed to the outbox of every subscriber that wants it, or to none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import stanchion as st
from examples.relay.config import SubscriberConfig
from examples.relay.event import Event

_BACKOFF: Final = st.Backoff(initial=0.05, factor=2.0, maximum=0.5)


async def accept(event: Event, subscribers: Sequence[SubscriberConfig]) -> str | None:
    """Hand an event to the outboxes, and wait until each has taken it down.

    An outbox that is just being restarted is waited for, a second or so.

    Returns:
        None when it is accepted: from here on it will be delivered, or rest in the dead letters. Else why not; then a
        part of the outboxes may have it all the same, and a source that sends it again makes duplicates there.
    """
    try:
        report = await st.broadcast_supervised(
            [subscriber.outbox for subscriber in subscribers],
            event,
            strategy="all_or_nothing",
            timeout=2.0,
            retries=4,
            backoff=_BACKOFF,
            deadline=5.0,
            on_error="ignore",
        )
    except st.StanchionError as error:  # the node is stopping, say
        return str(error)
    if report:
        return None
    return "; ".join(f"{delivery.recipient}: {delivery.reason_text}" for delivery in report.failed)
