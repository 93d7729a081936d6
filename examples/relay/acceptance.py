# SPDX-License-Identifier: MIT
"""Accepting an event: it is published, and the router keeps it for each subscriber that wants it."""

from __future__ import annotations

from collections.abc import Sequence

import stanchion as st
from examples.relay.config import SubscriberConfig
from examples.relay.event import Event


async def accept(router: st.SignalRouter, event: Event, subscribers: Sequence[SubscriberConfig]) -> str | None:
    """Publish an event, and wait until it is committed: for all of its subscribers in one.

    Args:
        router: Where durable subscriptions were made for all subscribers.
        event: The event.
        subscribers: Who is to get it; nobody needs to.

    Returns:
        None when it is accepted: from here on it will be delivered to each of them, or rest in the dead letters, even if
        this program is killed. Else why not; then it may be stored all the same, and a source that sends it again makes
        a duplicate.
    """
    try:
        publication = await router.publish(event.signal)
    except st.StanchionError as error:  # the disk is full, or the node is stopping
        return str(error)
    if subscribers and publication.stored is None:  # somebody made the router forget a subscription
        return f"nothing of type {event.type} is kept"
    return None
