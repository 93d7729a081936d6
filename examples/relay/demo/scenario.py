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
from examples.relay.demo.cast import MAX_BODY, ROLES, endpoint_options
from examples.relay.demo.chaos import BETWEEN_CRASHES, crash_processes
from examples.relay.demo.endpoints import RemoteEndpoint, endpoints
from examples.relay.demo.progress import Snapshot, progress
from examples.relay.demo.relay_process import Part
from examples.relay.demo.remote_relay import RemoteRelay, running
from examples.relay.demo.source import Source, Webhook, bad_requests
from examples.relay.demo.table import problems, table
from examples.relay.nightly import NAME as NIGHTLY

# Seconds: how long the source sends, how long the third endpoint is down, and from the start of the demo until it all
# stops in any case.
_SENDING: Final = 6.0
_DOWN: Final = 7.0
_DEADLINE: Final = 60.0

# How much of the events is accepted when the relay is killed by SIGKILL.
_KILLS: Final = (0.35, 0.7)


class Scenario:
    """One run of the demo.

    Args:
        webhooks: What is sent.
        database: The URL of the relay's database.
        log: The file that the relay's log goes to.
        source: Where everything random is drawn from.
    """

    def __init__(self, webhooks: Sequence[Webhook], database: str, log: str, source: random.Random) -> None:
        self._webhooks = webhooks
        self._database = database
        self._log = log
        self._random = source
        self._secret = secrets.token_hex(16)
        self._began = time.monotonic()
        self._replayed = 0

    async def run(self) -> bool:
        """Play it, print the table, and return whether everything is accounted for."""
        roles = ", ".join(f"{name} is {role.endpoint}" for name, role in ROLES.items())
        print(
            f"{len(self._webhooks)} events, one crash every {BETWEEN_CRASHES:g} s, {len(_KILLS)} times kill -9; {roles}",
            flush=True,
        )
        with socket.create_server(("127.0.0.1", 0)) as listener:
            async with endpoints(self._secret, endpoint_options(self._random)) as ends:
                urls = {name: end.url for name, end in ends.items()}
                part = Part(urls, self._secret, self._database, listener.fileno(), self._log)
                config = part.config()
                source = Source(f"http://127.0.0.1:{listener.getsockname()[1]}", self._secret.encode())
                async with running(part, source.url) as relay:
                    await self._play(relay, source, ends)
                accounts = await self._accounts(config, source.accepted, ends)
        return self._told(accounts, relay, source)

    # --- the play --------------------------------------------------------------------------------

    async def _play(self, relay: RemoteRelay, source: Source, ends: Mapping[str, RemoteEndpoint]) -> None:
        """Go on until nothing is under way any more, or it is late."""
        left = self._began + _DEADLINE - time.monotonic()
        try:
            async with asyncio.timeout(left), progress(lambda: self._snapshot(relay, source)):
                await self._storm(relay, source, ends)
                await self._calm(relay)
        except TimeoutError:
            print(f"stopped after {_DEADLINE:g} s; what the journal still has counts as lost")

    async def _storm(self, relay: RemoteRelay, source: Source, ends: Mapping[str, RemoteEndpoint]) -> None:
        """Send everything, while processes crash, the relay is killed, and one endpoint is down."""
        bad = bad_requests(self._secret.encode(), MAX_BODY)
        storm = asyncio.create_task(crash_processes(relay, list(ends), self._random))
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(ends["archive"].listen())
                group.create_task(ends["chat"].listen())
                group.create_task(ends["tickets"].listen(after=_DOWN))
                group.create_task(self._kill(relay, source))
                group.create_task(source.send(self._webhooks, bad, seconds=_SENDING))
        finally:
            storm.cancel()

    async def _kill(self, relay: RemoteRelay, source: Source) -> None:
        """Kill the relay, as an OS process, in the middle of its work, and start it again; twice."""
        for share in _KILLS:
            await source.wait_accepted(round(share * len(self._webhooks)))
            await relay.kill()
            print("the relay is killed by SIGKILL, and started again", flush=True)
            await relay.start()

    async def _calm(self, relay: RemoteRelay) -> None:
        """Wait until each event is delivered or waits for a person; replay those, and wait again."""
        # The night may be faster.
        while await relay.wait_settled():
            self._replayed += await replay_exhausted(self._database)

    # --- the account -----------------------------------------------------------------------------

    async def _accounts(
        self, config: RelayConfig, accepted: Sequence[Webhook], ends: Mapping[str, RemoteEndpoint]
    ) -> dict[str, Account]:
        """Ask the endpoints and the file of dead letters; the relay itself has ended, and is not asked."""
        async with st.DeadLetterQueue(self._database) as queue:
            letters = await letters_in(queue, "waiting", "retrying", "exhausted")
        accounts: dict[str, Account] = {}
        for subscriber in config.subscribers:
            expected = {webhook.id: webhook.digest for webhook in accepted if subscriber.wants(webhook.type)}
            arrivals = await ends[subscriber.name].arrivals()
            accounts[subscriber.name] = account(expected, arrivals, resting_for(subscriber.name, letters))
        return accounts

    # --- what is printed -------------------------------------------------------------------------

    async def _snapshot(self, relay: RemoteRelay, source: Source) -> Snapshot:
        health, tally = await relay.look(), relay.tally
        numbers = {
            name: [
                tally["sent", name] + tally["redelivered", name],
                0 if health is None else health.waiting[name],
                *(tally[word, name] for word in ("failed", "restarted", "dead-lettered", "redelivered")),
            ]
            for name in ROLES
        }
        return Snapshot(time.monotonic() - self._began, len(source.accepted), numbers)

    def _told(self, accounts: Mapping[str, Account], relay: RemoteRelay, source: Source) -> bool:
        """Print the result, and return whether it is good."""
        notes = {name: role.endpoint for name, role in ROLES.items()}
        print(f"\n{table(accounts, relay.tally, notes)}\n")
        resting = sum(one.resting for one in accounts.values())
        print(
            f"{len(source.accepted)} of {len(self._webhooks)} events accepted, {source.refused} bad requests refused, "
            f"{relay.tally['scheduled', NIGHTLY]} nights, {self._replayed} dead letters replayed by hand, "
            f"{resting} still resting; {self._elapsed()}"
        )
        found = [*source.surprises, *relay.problems, *problems(accounts)]
        print(*found[:20], sep="\n", end="\n" if found else "")
        print("FAILED, see above" if found else "Every accepted event arrived, or rests in the dead letters.")
        return not found

    def _elapsed(self) -> str:
        return f"{time.monotonic() - self._began:.1f} s"
