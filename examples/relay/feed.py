# SPDX-License-Identifier: MIT
"""The other way in: events from a JSONL file or from standard input."""

from __future__ import annotations

import asyncio
import logging
from typing import Final, cast
from uuid import uuid4

import msgspec

import stanchion as st
from examples.relay.acceptance import accept
from examples.relay.event import Event
from examples.relay.lines import read_lines
from examples.relay.relay import TOP, Relay
from examples.relay.routing import event_type
from stanchion.kernel import ExitReason

_log = logging.getLogger("relay.feed")

# Seconds before an event that was not accepted is offered again.
_PAUSE: Final = 0.5


class _Line(msgspec.Struct):
    """``{"event": "issues", "payload": {...}}``, and optionally ``"id"``."""

    event: str
    payload: msgspec.Raw
    id: str | None = None


class Feed:
    """Reads events, one JSON object a line, and has each accepted. What is no event is told, counted and skipped.

    Attributes:
        accepted: Events accepted so far.
        malformed: Lines that were none.
    """

    def __init__(self, relay: Relay, path: str) -> None:
        self._relay = relay
        self._path = path
        self.accepted = 0
        self.malformed = 0

    async def run(self) -> None:
        """Feed all of the file, wait until every event is delivered or a dead letter, then stop the application.

        It is a process's function: a child of the tree, in the place of the ingress.
        """
        reason: ExitReason = "normal"
        try:
            async for number, line in read_lines(self._path, self._relay.config.max_body):
                await self._take(number, line)
            await self._relay.wait_handed_over()
        except Exception as error:  # noqa: BLE001 - whatever it is, a relay without a door has nothing to do
            reason = error
        await st.stop(TOP, reason, timeout=None)

    async def _take(self, number: int, line: bytes | None) -> None:
        if line is not None and not line.strip():
            return
        event = self._parse(line)
        if isinstance(event, str):
            self.malformed += 1
            _log.warning("%s:%d: skipped: %s", self._path, number, event)
            return
        subscribers = self._relay.config.matching(event.type)
        while (problem := await accept(self._relay.router, event, subscribers)) is not None:
            _log.warning("%s:%d: not accepted yet: %s", self._path, number, problem)
            await asyncio.sleep(_PAUSE)
        self.accepted += 1

    def _parse(self, line: bytes | None) -> Event | str:
        """Return the event that a line is, else what is wrong with it."""
        if line is None:
            return f"expected at most {self._relay.config.max_body} bytes, got more"
        try:
            parsed = msgspec.json.decode(line, type=_Line)
            payload = msgspec.json.decode(parsed.payload)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return f'expected {{"event": name, "payload": {{...}}}}: {error}'
        if not isinstance(payload, dict):
            return f"payload: expected an object, got a JSON {type(payload).__name__}"
        type_ = event_type(parsed.event, cast("dict[str, object]", payload))
        if type_ is None:
            return f"event: expected letters, digits, - and _, got {parsed.event[:100]!r}"
        return Event(id=parsed.id or uuid4().hex, type=type_, source="file", body=bytes(parsed.payload))
