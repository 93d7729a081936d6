# SPDX-License-Identifier: MIT
"""A relay in the test's own event loop, with endpoints that do what the test says."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, Callable
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from typing import Any, Protocol

import aiohttp
from aiohttp import web

from examples.relay.config import NightlyConfig, RedeliveryConfig, RelayConfig, SourceConfig, SubscriberConfig
from examples.relay.relay import Relay
from examples.relay.signature import sign

SECRET = b"a secret"


class Endpoint:
    """A subscriber's end. It answers ``statuses`` in turn, then the last one for ever; 0 drops the connection."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses or (200,))
        self.requests: list[tuple[str, bytes]] = []
        self.headers: list[dict[str, str]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.url = ""

    @property
    def ids(self) -> list[str]:
        return [id_ for id_, _ in self.requests]

    async def take(self, request: web.Request) -> web.Response:
        self.requests.append((request.headers["X-Relay-Id"], await request.read()))
        self.headers.append(dict(request.headers))
        await self.open.wait()
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        if not status and request.transport is not None:
            request.transport.abort()
        return web.Response(status=status or 500)


def subscriber(name: str, *events: str, **options: Any) -> SubscriberConfig:
    given: dict[str, Any] = {"timeout": 5.0, "retries": 3, "initial": 0.01, "maximum": 0.05, "url": "", **options}
    return SubscriberConfig(name=name, events=events or ("**",), **given)


class MakeRelay(Protocol):
    """Makes a relay whose database is a new file of the test, unless ``database`` says another one."""

    def __call__(self, *subscribers: SubscriberConfig, **options: Any) -> Relay: ...


def relay_with(database: str, *subscribers: SubscriberConfig, **options: Any) -> Relay:
    """Make a relay; ``options`` are those of its configuration."""
    given: dict[str, Any] = {
        "database": database,
        "max_restarts": 100,
        "redelivery": RedeliveryConfig(initial=0.05, maximum=0.1, attempts=0),
        "nightly": NightlyConfig(cron=None),
        **options,
    }
    sources = (SourceConfig(name="github", secret=SECRET),)
    # Without the watchdog of blocked loops: its thread is joined when the node is left, and that blocks the loop.
    return Relay(RelayConfig(sources=sources, subscribers=subscribers, **given), block_threshold=None)


@asynccontextmanager
async def serving(*endpoints: Endpoint) -> AsyncGenerator[None, None]:
    """Serve endpoints during the block, and tell each its URL."""
    before = asyncio.all_tasks()
    runners = []
    for endpoint in endpoints:
        application = web.Application()
        application.router.add_post("/webhook", endpoint.take)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        runners.append(runner)
        endpoint.url = f"http://127.0.0.1:{runner.addresses[0][1]}/webhook"
    try:
        yield
    finally:
        for endpoint in endpoints:
            endpoint.open.set()
        for runner in runners:
            await runner.cleanup()
        await connections_ended(before)


async def connections_ended(before: AbstractSet[asyncio.Task[Any]]) -> None:
    """Wait for the tasks of connections, which aiohttp cancels and does not wait for."""
    if left := asyncio.all_tasks() - before:
        await asyncio.wait(left, timeout=5)


class Client:
    """A source of webhooks."""

    def __init__(self, session: aiohttp.ClientSession, port: int) -> None:
        self.session = session
        self.port = port

    async def post(
        self, body: bytes | dict[str, object] = b"{}", path: str = "/hooks/github", **headers: str | None
    ) -> tuple[int, dict[str, object]]:
        """POST a signed webhook; keyword arguments change its headers, and None leaves one out."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {"X-GitHub-Event": "push", "X-Hub-Signature-256": sign(SECRET, data)}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        kept = {name: value for name, value in given.items() if value is not None}
        async with self.session.post(path, data=data, headers=kept) as response:
            return response.status, await response.json()

    async def post_until_answered(self) -> int:
        """POST as ``post`` does, again while the connection breaks; return the status."""
        while True:
            try:
                return (await self.post())[0]
            except aiohttp.ClientError:
                await asyncio.sleep(0.01)


@asynccontextmanager
async def running(relay: Relay) -> AsyncGenerator[Client, None]:
    """Run a relay with its HTTP server during the block."""
    before = asyncio.all_tasks()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with relay.node:
            await relay.application(relay.ingress(listener)).start()
            port = listener.getsockname()[1]
            async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
                yield Client(session, port)
    # Endpoints may go on: their `serving` ends them.
    await connections_ended(before | {task for task in asyncio.all_tasks() if not task.cancelling()})


async def wait_settled(relay: Relay) -> None:
    """Wait until every event is delivered, or is a dead letter that waits for a person."""
    await relay.wait_handed_over()
    while True:
        seen = relay.letters.changes
        stats = await relay.letters.stats()
        if not stats.waiting + stats.retrying:
            return
        await relay.letters.wait_changed(seen)


async def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds that nothing signals."""
    while not condition():
        await asyncio.sleep(0.005)
