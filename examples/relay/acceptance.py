# SPDX-License-Identifier: MIT
"""Accepting an event: it is stored in the outbox, once for each subscriber that wants it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import stanchion as st
from examples.relay.config import SubscriberConfig
from examples.relay.event import Event


async def accept(event: Event, subscribers: Sequence[SubscriberConfig]) -> str | None:
    """Store an event for its subscribers, and wait until that is committed.

    Returns:
        None when it is accepted: from here on it will be delivered, or rest in the dead letters, even if this program
        is killed. Else why not; then it may be stored for a part of them all the same, and a source that sends it again
        makes duplicates there.
    """
    # Asked for together, so that they share a commit.
    results = await asyncio.gather(*(_store(event, subscriber) for subscriber in subscribers), return_exceptions=True)
    for result in results:
        if isinstance(result, st.StanchionError):  # the disk is full, or the node is stopping
            return str(result)
        if isinstance(result, BaseException):
            raise result
    return None


async def _store(event: Event, subscriber: SubscriberConfig) -> st.Delivery:
    return await st.send_supervised(
        subscriber.name,
        event,
        durable=True,
        timeout=subscriber.ack_timeout,
        retries=subscriber.retries,
        backoff=st.Backoff(initial=subscriber.initial, maximum=subscriber.maximum),
        deadline=None,  # retries and timeouts bound it
        metadata={"event": event.type, "source": event.source, "id": event.id},
    )
