# SPDX-License-Identifier: MIT
"""The supervision tree, and what outlives its processes: router, scheduler, dead letters, connections, the socket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from typing import Final

import stanchion as st
from examples.relay.config import IN_FLIGHT, RelayConfig, SubscriberConfig
from examples.relay.http_client import HttpClient
from examples.relay.ingress import Ingress
from examples.relay.nightly import NAME as NIGHTLY
from examples.relay.nightly import Nightly
from examples.relay.routes import Routes
from examples.relay.subscriber import Subscriber
from stanchion.dead_letters import SqlStore
from stanchion.delivery import OutboxDelivery, Redelivery
from stanchion.outbox import Outbox
from stanchion.storage import database_of
from stanchion.supervisor import ChildSpec

_ENVELOPE: Final = 65_536  # bytes that an event has besides its body, at most; as text a body is half as large again
_POLL: Final = 0.1

_NAME: Final = "relay"
TOP: Final = f"{_NAME}_sup"
"""The registered name of the top supervisor; ``st.Application`` makes it so."""


class Relay:
    """What outlives the processes of a relay: its node, its connections, its database.

    Args:
        config: How it is configured.
        block_threshold: Seconds that a handler may block the event loop before it is reported; None reports none.

    Attributes:
        config: How it is configured.
        letters: The dead-letter queue.
        router: What keeps accepted events, and delivers them.
        node: The node to run on; not entered yet.
    """

    def __init__(self, config: RelayConfig, *, block_threshold: float | None = 0.25) -> None:
        self.config = config
        again = config.redelivery
        database = database_of(config.database)
        self.letters = st.DeadLetterQueue(
            SqlStore(database),
            backoff=st.Backoff(initial=again.initial, maximum=again.maximum),
            max_attempts=again.attempts,
        )
        outbox = Outbox(database, per_recipient=IN_FLIGHT)
        self.router = st.SignalRouter(max_size=2 * config.max_body + _ENVELOPE, keep=config.keep)
        self._scheduler = st.SchedulerManager()
        slowest = max(subscriber.ack_timeout for subscriber in config.subscribers)
        self._http = HttpClient()
        self.node = st.Node(
            _NAME,
            block_threshold=block_threshold,
            services=[
                self.letters,
                outbox,
                self._http,
                Redelivery(self.letters, per_recipient=IN_FLIGHT, timeout=slowest),
                OutboxDelivery(outbox),
                self.router,
                Routes(self.router, config.subscribers),
                self._scheduler,
            ],
        )

    def application(self, *doors: ChildSpec) -> st.Application:
        """Return the tree: a lane for each subscriber, and after them the doors by which events come in."""
        nightly = st.child_spec(Nightly, self.config.nightly, self.letters, self._scheduler, name=NIGHTLY)
        return st.Application(
            _NAME,
            children=[*map(self._lane, self.config.subscribers), nightly, *doors],
            max_restarts=self.config.max_restarts,
            max_seconds=self.config.max_seconds,
        )

    def ingress(self, listener: socket.socket) -> ChildSpec:
        """Return the door for HTTP; ``listener`` is a bound socket, and stays the caller's."""
        return st.child_spec(Ingress, self.config, self.router, listener, self.health, name="ingress")

    async def health(self) -> Mapping[str, object]:
        """Return what ``GET /health`` tells: how much is under way, and how many letters are in which state."""
        # In this order: an event that moves from the one to the other meanwhile is in both, and never in none.
        waiting = await self._waiting()
        stats = await self.letters.stats()
        return {
            "waiting": waiting,
            "dead_letters": {"waiting": stats.waiting + stats.retrying, "exhausted": stats.exhausted},
        }

    async def wait_handed_over(self) -> None:
        """Wait until each accepted event is delivered or a dead letter."""
        while any((await self._waiting()).values()):  # noqa: ASYNC110 - nothing signals it
            await asyncio.sleep(_POLL)

    async def _waiting(self) -> dict[str, int]:
        """Count the accepted events that were neither delivered nor became dead letters yet, by subscriber."""
        # In the outbox is what a relay from before there was a router has left there.
        before = await self.node.outbox.count()
        behind = {stored.name: stored.behind for stored in await self.router.durable_subscriptions()}
        names = [subscriber.name for subscriber in self.config.subscribers]
        return {name: before.get(name, 0) + behind.get(name, 0) for name in names}

    def _lane(self, subscriber: SubscriberConfig) -> ChildSpec:
        return st.supervisor_spec(
            [st.child_spec(Subscriber, subscriber, self._http, name=subscriber.name)],
            name=f"{subscriber.name}.lane",
            max_restarts=self.config.max_restarts,
            max_seconds=self.config.max_seconds,
        )
