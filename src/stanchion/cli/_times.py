# SPDX-License-Identifier: MIT
"""Times as people write and read them; everywhere else they are Unix seconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from stanchion._validate import cut
from stanchion.errors import InvalidOptionError

_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION: Final = re.compile(r"(?:\d+(?:\.\d+)?[smhdw])+")
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")


def duration(option: str, text: str) -> float:
    """Return ``90s``, ``15m``, ``1h30m``, ``2d`` or ``1w`` in seconds.

    Raises:
        InvalidOptionError: it is no duration.
    """
    seconds = _seconds(text)
    if seconds is not None:
        return seconds
    raise InvalidOptionError(
        option,
        expected="a duration such as 90s, 15m, 2h, 3d or 1h30m",
        got=cut(text),
        fix=f"say of what: {text}s, {text}m, {text}h or {text}d." if text.isdecimal() else None,
    )


def moment(option: str, text: str, now: float) -> float:
    """Return a time in Unix seconds: a duration before ``now``, ISO 8601, or ``@`` and Unix seconds.

    Raises:
        InvalidOptionError: it is none of these.
    """
    seconds = _seconds(text)
    if seconds is not None:
        return now - seconds
    try:
        if text.startswith("@"):
            return float(text[1:])
        return datetime.fromisoformat(text).timestamp()  # without an offset it is the time on this machine's clock
    except (ValueError, OverflowError, OSError):
        raise InvalidOptionError(
            option,
            expected="a time such as 2h (ago), 2026-03-01, 2026-03-01T09:30+01:00 or @1772354000 (Unix seconds)",
            got=cut(text),
        ) from None


def _seconds(text: str) -> float | None:
    text = text.lower()
    if not _DURATION.fullmatch(text):
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))


def clock_text(unix: float, *, offset: bool = False) -> str:
    """Return a time on this machine's clock, ``2026-03-01 09:30:00``; with its offset if that is asked for."""
    try:
        local = datetime.fromtimestamp(unix, UTC).astimezone()
    except (ValueError, OverflowError, OSError):
        return f"@{unix:g}"
    text = local.isoformat(" ", "seconds")
    return f"{text[:19]} {text[19:]}" if offset else text[:19]


def distance(unix: float, now: float) -> str:
    """Return how far away a time is: ``in 5 min``, ``2 h ago``, ``now``."""
    size = abs(unix - now)
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        if size >= length:
            return f"in {size // length:.0f} {unit}" if unix > now else f"{size // length:.0f} {unit} ago"
    return "now"
