# SPDX-License-Identifier: MIT
"""How stored data and times are written."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from decimal import Decimal
from uuid import UUID

import pytest

from stanchion.cli._payload import Json, message_of
from stanchion.cli._times import clock_text, distance, duration, moment
from stanchion.errors import InvalidOptionError
from tests.cli.commands import NOON, letter


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (None, None),
        ("ä\n", "ä\n"),
        (2**70, 2**70),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
        (b"\x00\xff", {"base64": "AP8="}),
        ((1, [2.5, True]), [1, [2.5, True]]),
        ({"b", "a"}, ["a", "b"]),
        (frozenset({3}), [3]),
        ({"a": {"b": b""}}, {"a": {"b": {"base64": ""}}}),
        ({1: "a", None: (2,)}, [[1, "a"], [None, [2]]]),
        (datetime(2026, 3, 1, tzinfo=UTC), "2026-03-01T00:00:00+00:00"),
        (date(2026, 3, 1), "2026-03-01"),
        (time_of_day(9, 30), "09:30:00"),
        (timedelta(minutes=1.5), 90.0),
        (UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (Decimal("1.50"), "1.50"),
    ],
)
def test_message_is_shown_as_the_json_nearest_to_it(message: object, expected: Json) -> None:
    assert message_of(letter(1, message)) == (expected, None)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("1.5m", 90), ("2h", 7200), ("3d", 259200), ("1w", 604800), ("1H30m", 5400)]
)
def test_duration_is_read_in_seconds(text: str, seconds: float) -> None:
    assert duration("--older-than", text) == seconds


@pytest.mark.parametrize("text", ["", "2 h", "h", "5y", "-1h", "1h30"])
def test_duration_is_refused_when_it_is_none(text: str) -> None:
    with pytest.raises(InvalidOptionError, match=r"--older-than: expected a duration such as 90s"):
        duration("--older-than", text)


def test_duration_without_a_unit_is_asked_for_one() -> None:
    with pytest.raises(InvalidOptionError, match=r"got '30'\nFix: say of what: 30s, 30m, 30h or 30d\."):
        duration("--older-than", "30")


@pytest.mark.parametrize(
    "text", ["5s", "@1772366400", "2026-03-01T12:00", "2026-03-01 13:00+01:00", "20260301T120000Z"]
)
def test_moment_is_read_in_unix_seconds(text: str) -> None:
    assert moment("--since", text, NOON + 5) == NOON


@pytest.mark.parametrize(
    ("unix", "expected"),
    [
        (1000, "now"), (1000.9, "now"), (1001, "in 1 s"), (995, "5 s ago"), (1330, "in 5 min"), (-2600, "1 h ago"),
        (1000 + 86400 * 2, "in 2 d"),
    ],
)  # fmt: skip
def test_distance_is_in_the_largest_unit(unix: float, expected: str) -> None:
    assert distance(unix, 1000) == expected


def test_time_on_the_clock_is_local_and_says_its_offset_when_asked() -> None:
    assert clock_text(NOON) == "2026-03-01 12:00:00"
    assert clock_text(NOON + 0.7, offset=True) == "2026-03-01 12:00:00 +00:00"
    assert clock_text(1e300) == "@1e+300"
