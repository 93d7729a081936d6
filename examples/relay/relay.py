# SPDX-License-Identifier: MIT
"""The relay as a whole: its node, and the supervision tree.

    relay_sup                  one_for_one
    ├── tickets.lane           one_for_one, one per subscriber: its crashes are nobody else's
    │   ├── tickets            POSTs
    │   └── tickets.outbox     sends to the one above, with a linked sender for each event
    ├── audit.lane
    │   └── …
    └── ingress                HTTP; started last and stopped first

What must outlive every process is no process: the backlogs, the connections, the dead letters, the listening socket.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Final

import stanchion as st
from examples.relay.backlog import Backlog
from examples.relay.config import RelayConfig, SubscriberConfig
from examples.relay.http_client import HttpClient
from examples.relay.ingress import Ingress
from examples.relay.outbox import Outbox
from examples.relay.subscriber import Subscriber
from stanchion.supervisor import ChildSpec

_NAME: Final = "relay"
TOP: Final = f"{_NAME}_sup"
"""The registered name of the top supervisor; ``st.Application`` makes it so."""


class Relay:
    """What outlives the processes of a relay: its node, its backlogs, its connections, its dead letters.

    Args:
        config: How it is configured.
        block_threshold: Seconds that a handler may block the event loop before it is reported; None reports none.

    Attributes:
        config: How it is configured.
        letters: The dead-letter queue.
        backlogs: What each subscriber was promised, by its name.
        node: The node to run on; not entered yet.
    """

    def __init__(self, config: RelayConfig, *, block_threshold: float | None = 0.25) -> None:
        self.config = config
        again = config.redelivery
        self.letters = st.DeadLetterQueue(
            config.dead_letters,
            backoff=st.Backoff(initial=again.initial, maximum=again.maximum),
            max_attempts=again.attempts,
        )
        self.backlogs = {
            subscriber.name: Backlog(subscriber.name, subscriber.backlog, self.letters)
            for subscriber in config.subscribers
        }
        self._http = HttpClient()
        self.node = st.Node(
            _NAME,
            dead_letters=self.letters,
            # A redelivery waits this long for its outcome: long enough for the slowest subscriber.
            call_timeout=max(subscriber.ack_timeout for subscriber in config.subscribers),
            block_threshold=block_threshold,
            services=[*self.backlogs.values(), self._http],
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
        stats = await self.letters.stats()
        return {
            "backlog": {name: len(backlog) for name, backlog in self.backlogs.items()},
            "dead_letters": {"waiting": stats.waiting + stats.retrying, "exhausted": stats.exhausted},
        }

    async def wait_settled(self) -> None:
        """Wait until every event is delivered, or is a dead letter that waits for a person."""
        for backlog in self.backlogs.values():
            await backlog.wait_below(1)
        while True:
            seen = self.letters.changes
            stats = await self.letters.stats()
            if not stats.waiting + stats.retrying:
                return
            await self.letters.wait_changed(seen)

    def _lane(self, subscriber: SubscriberConfig) -> ChildSpec:
        children = [
            st.child_spec(Subscriber, subscriber, self._http, name=subscriber.name),
            st.child_spec(Outbox, subscriber, self.backlogs[subscriber.name], name=subscriber.outbox),
        ]
        return st.supervisor_spec(
            children,
            name=f"{subscriber.name}.lane",
            max_restarts=self.config.max_restarts,
            max_seconds=self.config.max_seconds,
        )
