# SPDX-License-Identifier: MIT
"""Answering HTTP requests: ``POST /hooks/{source}`` and ``GET /health``."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, cast
from uuid import uuid4

import msgspec
from aiohttp import web

import stanchion as st
from examples.relay.acceptance import accept
from examples.relay.config import RelayConfig, SourceConfig
from examples.relay.event import Event
from examples.relay.routing import event_type
from examples.relay.signature import is_signed

Health = Callable[[], Awaitable[Mapping[str, object]]]

_RETRY_AFTER: Final = {"Retry-After": "1"}
_ID: Final = re.compile(r"[!-~]{1,200}")


class Refused(Exception):  # noqa: N818 - an answer, not a failure
    """The request gets this status, and this text."""

    def __init__(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.response = web.json_response({"error": text}, status=status, headers=headers)


class Hooks:
    """What the HTTP server serves. It answers 202 only when an event is accepted.

    Args:
        config: Sources, subscribers and limits.
        router: Where events go.
        health: What ``GET /health`` tells.
    """

    def __init__(self, config: RelayConfig, router: st.SignalRouter, health: Health) -> None:
        self._config = config
        self._router = router
        self._health = health
        self._sources = {source.name: source for source in config.sources}
        self._at_once = 0

    def application(self) -> web.Application:
        """Return the aiohttp application."""
        application = web.Application(client_max_size=self._config.max_body, middlewares=[_errors_as_json])
        application.router.add_post("/hooks/{source}", self._receive)
        application.router.add_get("/health", self._tell_health)
        return application

    async def _tell_health(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok", **await self._health()})

    async def _receive(self, request: web.Request) -> web.Response:
        source = self._sources.get(request.match_info["source"])
        if source is None:
            raise Refused(404, f"no source is called {request.match_info['source']!r}")
        if self._at_once >= self._config.max_requests:
            limit = self._config.max_requests
            raise Refused(503, f"expected at most {limit} requests at once, got more; send it again", _RETRY_AFTER)
        self._at_once += 1
        try:
            return await self._accept(source, request)
        finally:
            self._at_once -= 1

    async def _accept(self, source: SourceConfig, request: web.Request) -> web.Response:
        body = await self._body(request)
        _check_signature(source, request, body)
        event = _event(source, request, body)
        subscribers = self._config.matching(event.type)
        problem = await accept(self._router, event, subscribers)
        if problem is not None:
            raise Refused(503, f"not accepted, send it again: {problem}", _RETRY_AFTER)
        answer = {"id": event.id, "event": event.type, "subscribers": len(subscribers)}
        return web.json_response(answer, status=202)

    async def _body(self, request: web.Request) -> bytes:
        limit = self._config.max_body
        if request.content_length is not None and request.content_length > limit:
            raise Refused(413, f"expected a body of at most {limit} bytes, got {request.content_length}")
        try:
            async with asyncio.timeout(self._config.read_timeout):
                return await request.read()
        except web.HTTPRequestEntityTooLarge:
            raise Refused(413, f"expected a body of at most {limit} bytes, got more") from None
        except TimeoutError:
            raise Refused(408, f"expected the body within {self._config.read_timeout:g} s") from None


def _check_signature(source: SourceConfig, request: web.Request, body: bytes) -> None:
    signature = request.headers.get(source.signature_header)
    if signature is None:
        raise Refused(401, f"expected the header {source.signature_header}, got none")
    if not is_signed(source.secret, body, signature):
        raise Refused(401, f"{source.signature_header} does not fit the body and the secret of {source.name!r}")


def _event(source: SourceConfig, request: web.Request, body: bytes) -> Event:
    name = request.headers.get(source.event_header)
    if name is None:
        raise Refused(400, f"expected the header {source.event_header}, got none")
    try:
        payload = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(400, f"expected a JSON body: {error}") from None
    if not isinstance(payload, dict):
        raise Refused(400, f"expected a JSON object, got a JSON {type(payload).__name__}")
    type_ = event_type(name, cast("dict[str, object]", payload))
    if type_ is None:
        raise Refused(400, f"{source.event_header}: expected letters, digits, - and _, got {name[:100]!r}")
    return Event(id=_id(source, request), type=type_, source=source.name, body=body)


def _id(source: SourceConfig, request: web.Request) -> str:
    """Return the source's own id: what it sends a second time, subscribers recognise."""
    given = request.headers.get(source.id_header)
    if given is None:
        return uuid4().hex
    if not _ID.fullmatch(given):
        raise Refused(400, f"{source.id_header}: expected up to 200 visible ASCII characters, got {given[:100]!r}")
    return given


@web.middleware
async def _errors_as_json(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refused as refused:
        return refused.response
    except web.HTTPMethodNotAllowed as error:
        text = f"expected {' or '.join(sorted(error.allowed_methods))}, got {error.method}"
        return Refused(405, text, {"Allow": error.headers["Allow"]}).response
    except web.HTTPNotFound:
        return Refused(404, "expected /hooks/{source} or /health").response
