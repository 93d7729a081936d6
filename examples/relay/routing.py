# SPDX-License-Identifier: MIT
"""Which subscribers want an event: by its name and, where it has one, its action."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_WORD: Final = re.compile(r"[A-Za-z0-9_-]+")


class Pattern(NamedTuple):
    """What a subscriber wants to hear of.

    ``issues.opened`` is one action of one event. ``issues.*`` or ``issues`` is every action, and the event without
    one. ``*.deleted`` is one action of any event. ``*`` is everything.

    Attributes:
        event: The event's name, or ``*``.
        action: The action, or ``*``.
    """

    event: str
    action: str

    def matches(self, event_type: str) -> bool:
        """Return whether an event of this type, ``event`` or ``event.action``, is wanted."""
        event, _, action = event_type.partition(".")
        return self.event in ("*", event) and self.action in ("*", action)


def parse_pattern(text: str) -> Pattern | None:
    """Return the pattern that a text means, None when it means none."""
    event, dot, action = text.partition(".")
    parts = (event, action) if dot else (event,)
    if all(part == "*" or _WORD.fullmatch(part) for part in parts):
        return Pattern(event, action or "*")
    return None


def event_type(event: str, payload: dict[str, object]) -> str | None:
    """Return ``event`` or ``event.action``, by which events are routed; None when ``event`` is no name."""
    if not _WORD.fullmatch(event):
        return None
    action = payload.get("action")
    return f"{event}.{action}" if isinstance(action, str) and _WORD.fullmatch(action) else event
