# SPDX-License-Identifier: MIT
"""What happens in the demo, in order, and what is made of it in the end."""

from __future__ import annotations

import asyncio
import random
import secrets
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Final

import stanchion as st
from examples.relay.config import RelayConfig
from examples.relay.demo.account import Account, account, resting_for
from examples.relay.demo.by_hand import letters_in, replay_exhausted
from examples.relay.demo.cast import ROLES, endpoint_options, relay_config
from examples.relay.demo.chaos import chaos
from examples.relay.demo.endpoints import RemoteEndpoint, endpoints
from examples.relay.demo.progress import Snapshot, progress
from examples.relay.demo.source import Source, Webhook, bad_requests
from examples.relay.demo.table import problems, table
from examples.relay.demo.tally import Tally
from examples.relay.relay import Relay

# Seconds: how long the source sends, how long the third endpoint is down, between two crashes, and from the start of
# the demo until it all stops in any case.
_SENDING: Final = 6.0
_DOWN: Final = 7.0
_BETWEEN_CRASHES: Final = 0.3
_DEADLINE: Final = 25.0


class Scenario:
    """One run of the demo.

    Args:
        webhooks: What is sent.
        letters: The URL of the dead letters.
        source: Where everything random is drawn from.
    """

    def __init__(self, webhooks: Sequence[Webhook], letters: str, source: random.Random) -> None:
        self._webhooks = webhooks
        self._letters_url = letters
        self._random = source
        self._secret = secrets.token_hex(16)
        self._began = time.monotonic()
        self._replayed = 0

    async def run(self) -> bool:
        """Play it, print the table, and return whether everything is accounted for."""
        roles = ", ".join(f"{name} is {role.endpoint}" for name, role in ROLES.items())
        print(f"{len(self._webhooks)} events, one crash every {_BETWEEN_CRASHES:g} s; {roles}", flush=True)
        async with endpoints(self._secret, endpoint_options(self._random)) as ends:
            urls = {name: end.url for name, end in ends.items()}
            relay = Relay(relay_config(urls, self._secret.encode(), self._letters_url))
            tally = Tally(relay.node.telemetry)
            source = await self._play(relay, tally, ends)
            accounts = await self._accounts(relay.config, source.accepted, ends)
        return self._told(accounts, tally, source)

    # --- the play --------------------------------------------------------------------------------

    async def _play(self, relay: Relay, tally: Tally, ends: Mapping[str, RemoteEndpoint]) -> Source:
        """Run the relay until nothing is under way any more, or it is late."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            source = Source(f"http://127.0.0.1:{listener.getsockname()[1]}", self._secret.encode())
            async with relay.node:
                await relay.application(relay.ingress(listener)).start()
                try:
                    left = self._began + _DEADLINE - time.monotonic()
                    async with asyncio.timeout(left), progress(lambda: self._snapshot(relay, tally, source)):
                        await self._storm(relay, source, ends)
                        await self._calm(relay)
                except TimeoutError:
                    print(f"stopped after {_DEADLINE:g} s")
        return source

    async def _storm(self, relay: Relay, source: Source, ends: Mapping[str, RemoteEndpoint]) -> None:
        """Send everything, while processes crash and one endpoint is down."""
        storm = asyncio.create_task(chaos(list(ends), self._random, pause=_BETWEEN_CRASHES))
        bad = bad_requests(self._secret.encode(), relay.config.max_body)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(ends["archive"].listen())
                group.create_task(ends["chat"].listen())
                group.create_task(ends["tickets"].listen(after=_DOWN))
                group.create_task(source.send(self._webhooks, bad, seconds=_SENDING))
        finally:
            storm.cancel()

    async def _calm(self, relay: Relay) -> None:
        """Wait until each event is delivered or waits for a person; replay those, and wait again."""
        await relay.wait_settled()
        while replayed := await replay_exhausted(self._letters_url):
            self._replayed += replayed
            await relay.wait_settled()

    # --- the account -----------------------------------------------------------------------------

    async def _accounts(
        self, config: RelayConfig, accepted: Sequence[Webhook], ends: Mapping[str, RemoteEndpoint]
    ) -> dict[str, Account]:
        """Ask the endpoints and the file of dead letters; the relay itself has ended, and is not asked."""
        async with st.DeadLetterQueue(self._letters_url) as queue:
            letters = await letters_in(queue, "waiting", "retrying", "exhausted")
        accounts: dict[str, Account] = {}
        for subscriber in config.subscribers:
            expected = {webhook.id: webhook.digest for webhook in accepted if subscriber.wants(webhook.type)}
            arrivals = await ends[subscriber.name].arrivals()
            accounts[subscriber.name] = account(expected, arrivals, resting_for(subscriber.name, letters))
        return accounts

    # --- what is printed -------------------------------------------------------------------------

    def _snapshot(self, relay: Relay, tally: Tally, source: Source) -> Snapshot:
        numbers = {
            name: [
                tally["sent", name] + tally["redelivered", name],
                len(backlog),
                *(tally[word, name] for word in ("retried", "restarted", "dead-lettered", "redelivered")),
            ]
            for name, backlog in relay.backlogs.items()
        }
        return Snapshot(time.monotonic() - self._began, len(source.accepted), numbers)

    def _told(self, accounts: Mapping[str, Account], tally: Tally, source: Source) -> bool:
        """Print the result, and return whether it is good."""
        notes = {name: role.endpoint for name, role in ROLES.items()}
        print(f"\n{table(accounts, tally, notes)}\n")
        resting = sum(one.resting for one in accounts.values())
        print(
            f"{len(source.accepted)} of {len(self._webhooks)} events accepted, {source.refused} bad requests refused, "
            f"{self._replayed} dead letters replayed by hand, {resting} still resting; {self._elapsed()}"
        )
        found = [*source.surprises, *problems(accounts)]
        print(*found[:20], sep="\n", end="\n" if found else "")
        print("FAILED, see above" if found else "Every accepted event arrived, or rests in the dead letters.")
        return not found

    def _elapsed(self) -> str:
        return f"{time.monotonic() - self._began:.1f} s"
