# SPDX-License-Identifier: MIT
"""The supervision tree, and what outlives its processes: outbox and dead letters, connections, the listening socket."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Final

import stanchion as st
from examples.relay.config import IN_FLIGHT, RelayConfig, SubscriberConfig
from examples.relay.http_client import HttpClient
from examples.relay.ingress import Ingress
from examples.relay.subscriber import Subscriber
from stanchion.dead_letters import SqlStore
from stanchion.delivery import OutboxDelivery, Redelivery
from stanchion.outbox import Outbox
from stanchion.storage import database_of
from stanchion.supervisor import ChildSpec

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
            ],
        )

    def application(self, *doors: ChildSpec) -> st.Application:
        """Return the tree: a lane for each subscriber, and after them the doors by which events come in."""
        return st.Application(
            _NAME,
            children=[*map(self._lane, self.config.subscribers), *doors],
            max_restarts=self.config.max_restarts,
            max_seconds=self.config.max_seconds,
        )

    def ingress(self, listener: socket.socket) -> ChildSpec:
        """Return the door for HTTP; ``listener`` is a bound socket, and stays the caller's."""
        return st.child_spec(Ingress, self.config, listener, self.health, name="ingress")

    async def health(self) -> Mapping[str, object]:
        """Return what ``GET /health`` tells: how much is under way, and how many letters are in which state."""
        # In this order: an event that moves from the one to the other meanwhile is in both, and never in none.
        waiting = await self.node.outbox.count()
        stats = await self.letters.stats()
        return {
            "outbox": {subscriber.name: waiting.get(subscriber.name, 0) for subscriber in self.config.subscribers},
            "dead_letters": {"waiting": stats.waiting + stats.retrying, "exhausted": stats.exhausted},
        }

    def _lane(self, subscriber: SubscriberConfig) -> ChildSpec:
        return st.supervisor_spec(
            [st.child_spec(Subscriber, subscriber, self._http, name=subscriber.name)],
            name=f"{subscriber.name}.lane",
            max_restarts=self.config.max_restarts,
            max_seconds=self.config.max_seconds,
        )
