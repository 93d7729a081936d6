# SPDX-License-Identifier: MIT
"""A source of webhooks: sends them over HTTP, signed, and again until they are accepted, as sources should."""

from __future__ import annotations

import asyncio
import hashlib
import random
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import aiohttp
import msgspec

from examples.relay.routing import event_type
from examples.relay.signature import sign

_PAUSE: Final = 0.2


class Webhook(NamedTuple):
    """One webhook that is sent.

    Attributes:
        id: Its id.
        event: The name of the event.
        body: The payload.
        type: ``event`` or ``event.action``, by which it is to be routed.
    """

    id: str
    event: str
    body: bytes
    type: str

    @property
    def digest(self) -> str:
        """The SHA-256 of the body."""
        return digest_of(self.body)


class BadRequest(NamedTuple):
    """A request that must be refused.

    Attributes:
        what: What is wrong with it.
        status: The status that it must get.
        method: The HTTP method.
        path: Where it goes.
        headers: Its headers.
        body: Its body.
    """

    what: str
    status: int
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class _Line(msgspec.Struct):
    event: str
    payload: msgspec.Raw


def digest_of(body: bytes) -> str:
    """Return the SHA-256 of a body, as text."""
    return hashlib.sha256(body).hexdigest()


def read_webhooks(path: Path, source: random.Random) -> list[Webhook]:
    """Return the events of a JSONL file as webhooks; each gets an id."""
    webhooks: list[Webhook] = []
    for line in path.read_bytes().splitlines():
        parsed = msgspec.json.decode(line, type=_Line)
        payload = msgspec.json.decode(parsed.payload, type=dict[str, object])
        id_ = str(uuid.UUID(int=source.getrandbits(128), version=4))
        webhooks.append(
            Webhook(id_, parsed.event, bytes(parsed.payload), event_type(parsed.event, payload) or parsed.event)
        )
    return webhooks


def bad_requests(secret: bytes, max_body: int) -> list[BadRequest]:
    """Return one request of each kind that must be refused. Whatever arrives of these was let in by mistake."""

    def headers(body: bytes, **change: str) -> dict[str, str]:
        return {
            "X-GitHub-Event": "push",
            "X-GitHub-Delivery": f"refuse-{uuid.uuid4()}",
            "X-Hub-Signature-256": sign(secret, body),
        } | {name.replace("_", "-"): value for name, value in change.items()}

    good, broken, big = b'{"ref": "refs/heads/main"}', b'{"ref": ', b'"' + b"x" * max_body + b'"'
    forged = headers(good, X_Hub_Signature_256=sign(b"a guess", good))
    unsigned = {name: value for name, value in headers(good).items() if name != "X-Hub-Signature-256"}
    path = "/hooks/github"
    return [
        BadRequest("a forged signature", 401, "POST", path, forged, good),
        BadRequest("no signature", 401, "POST", path, unsigned, good),
        BadRequest("broken JSON", 400, "POST", path, headers(broken), broken),
        BadRequest("a JSON list", 400, "POST", path, headers(b"[]"), b"[]"),
        BadRequest("an event that is no name", 400, "POST", path, headers(good, X_GitHub_Event="?!"), good),
        BadRequest("too many bytes", 413, "POST", path, headers(big), big),
        BadRequest("an unknown source", 404, "POST", "/hooks/nobody", headers(good), good),
        BadRequest("the wrong method", 405, "PUT", path, headers(good), good),
    ]


class Source:
    """Sends webhooks to a relay.

    Attributes:
        url: Where the relay is.
        accepted: What was answered with 202.
        refused: How many requests were refused as they had to be.
        surprises: Answers that should have been others, as text.
    """

    def __init__(self, url: str, secret: bytes) -> None:
        self.url = url
        self._secret = secret
        self.accepted: list[Webhook] = []
        self.refused = 0
        self.surprises: list[str] = []
        self._one_more = asyncio.Event()

    async def send(self, webhooks: Sequence[Webhook], bad: Sequence[BadRequest], *, seconds: float) -> None:
        """Send all of these, spread over so many seconds."""
        limit = aiohttp.ClientTimeout(total=10.0)
        async with aiohttp.ClientSession(self.url, timeout=limit) as session, asyncio.TaskGroup() as group:
            for number, webhook in enumerate(webhooks):
                group.create_task(self._until_accepted(session, webhook))
                if number < len(bad):
                    group.create_task(self._refuse(session, bad[number]))
                await asyncio.sleep(seconds / len(webhooks))

    async def wait_accepted(self, count: int) -> None:
        """Wait until so many are accepted."""
        while len(self.accepted) < count:
            self._one_more.clear()
            await self._one_more.wait()

    async def _until_accepted(self, session: aiohttp.ClientSession, webhook: Webhook) -> None:
        headers = {
            "X-GitHub-Event": webhook.event,
            "X-GitHub-Delivery": webhook.id,
            "X-Hub-Signature-256": sign(self._secret, webhook.body),
        }
        request = BadRequest("", 202, "POST", "/hooks/github", headers, webhook.body)
        if await self._answer(session, request) == 202:
            self.accepted.append(webhook)
            self._one_more.set()
        else:
            self.surprises.append(f"{webhook.type} {webhook.id} was not accepted")

    async def _refuse(self, session: aiohttp.ClientSession, bad: BadRequest) -> None:
        status = await self._answer(session, bad)
        if status == bad.status:
            self.refused += 1
        else:
            self.surprises.append(f"{bad.what}: expected status {bad.status}, got {status}")

    async def _answer(self, session: aiohttp.ClientSession, request: BadRequest) -> int:
        """Send a request until it gets an answer other than "later"; the ingress may be crashing just now."""
        while True:
            try:
                async with session.request(
                    request.method, request.path, headers=request.headers, data=request.body
                ) as response:
                    if response.status != 503:
                        return response.status
            except (aiohttp.ClientError, TimeoutError):
                pass
            await asyncio.sleep(_PAUSE)
