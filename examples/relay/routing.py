# SPDX-License-Identifier: MIT
"""What events are called, and how a subscriber says which of them it wants: by patterns of the signal router."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from stanchion.errors import PatternError
from stanchion.router import pattern_matches

_WORD: Final = re.compile(r"[A-Za-z0-9_-]+")


class WantError(ValueError):
    """A pattern is none, or one that no event can match.

    Attributes:
        expected: What it should be.
        fix: What to write instead; None where nobody knows.
    """

    def __init__(self, expected: str, fix: str | None = None) -> None:
        super().__init__(expected)
        self.expected = expected
        self.fix = fix


def event_type(event: str, payload: dict[str, object]) -> str | None:
    """Return ``event`` or ``event.action``, by which events are routed; None when ``event`` is no name."""
    if not _WORD.fullmatch(event):
        return None
    action = payload.get("action")
    return f"{event}.{action}" if isinstance(action, str) and _WORD.fullmatch(action) else event


def check_want(text: str) -> str:
    """Return a pattern if it is one of the router's that events can match.

    ``issues.opened`` is one action of one event, ``issues.*`` each of its actions, ``issues.**`` these and the event
    without an action, ``*.deleted`` one action of any event, and ``**`` everything. A word alone would be an event
    without an action, which is hardly ever what is meant, and is refused.

    Raises:
        WantError: it is none.
    """
    try:
        pattern_matches(text, "event.action")
    except PatternError as error:
        raise WantError(error.expected, error.fix) from None
    segments = text.split(".")
    if len(segments) == 1 and text != "**":
        whole = "**" if text == "*" else f"{text}.**"
        raise WantError(
            "an event and an action, as 'issues.opened', or '**'", f"write '{whole}', with whatever action."
        )
    if sum(segment != "**" for segment in segments) > 2:
        raise WantError("an event and an action at most, as 'issues.opened'")
    return text


def wants(patterns: Iterable[str], type_: str) -> bool:
    """Return whether one of these patterns matches an event of this type; the relay leaves that to its router."""
    return any(pattern_matches(pattern, type_) for pattern in patterns)
