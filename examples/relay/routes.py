# SPDX-License-Identifier: MIT
"""The routes: who gets what, as durable subscriptions of the signal router."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import stanchion as st
from examples.relay.config import SubscriberConfig

_log = logging.getLogger("relay.routes")


class Routes:
    """A service of the node that subscribes each subscriber to the events that it wants.

    The subscriptions are the node's, and not the subscribers': what is published while one is being restarted, or while
    the relay is down, is in the router's journal, and is delivered afterwards.
    """

    def __init__(self, router: st.SignalRouter, subscribers: Sequence[SubscriberConfig]) -> None:
        self._router = router
        self._subscribers = subscribers

    async def open(self, node: object) -> None:
        """Subscribe them; the node calls this, when the router is open."""
        for subscriber in self._subscribers:
            await self._router.subscribe_durable(
                subscriber.name,
                subscriber.events,
                subscriber.name,
                timeout=subscriber.ack_timeout,
                retries=subscriber.retries,
                backoff=st.Backoff(initial=subscriber.initial, maximum=subscriber.maximum),
            )
        names = {subscriber.name for subscriber in self._subscribers}
        for stored in await self._router.durable_subscriptions():
            if stored.name not in names:
                _log.warning(
                    "no subscriber is called %s any more; the events that it has not got are kept", stored.name
                )

    async def close(self) -> None:
        """Nothing: the subscriptions stay."""
