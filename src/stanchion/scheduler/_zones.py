# SPDX-License-Identifier: MIT
"""Time zones: their names, and what clocks on the wall show there."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from stanchion._validate import cut, nearest
from stanchion.errors import InvalidOptionError

_EXPECTED: Final = "the name of a time zone, 'Europe/Berlin' say"
# Those that were read, by name; there are some hundreds in all.
_read: Final = {"UTC": ZoneInfo("UTC")}


def checked_zone(subject: str, name: object) -> str:
    """Return ``name`` when it is the name of a zone.

    Raises:
        InvalidOptionError: no zone that is known here has it; the error names the nearest one.
    """
    if not isinstance(name, str):
        fix = "write a name: what is a fixed time from UTC knows no summer."
        if isinstance(name, ZoneInfo) or name is UTC:
            fix = f"write {str(name)!r}."
        raise InvalidOptionError(subject, expected=_EXPECTED, got=cut(name), fix=fix)
    try:
        named(name)
    # A folder of zones, an empty name and a path are refused in as many ways.
    except (OSError, ValueError, LookupError) as error:
        raise InvalidOptionError(subject, expected=_EXPECTED, got=cut(name), fix=_fix(name)) from error
    return name


def named(name: str) -> ZoneInfo:
    """Return the zone of a name; each is read once, while zoneinfo itself keeps the last eight.

    Raises:
        OSError, ValueError, LookupError: there is no such zone.
    """
    zone = _read.get(name)
    if zone is None:
        zone = _read[name] = ZoneInfo(name)
    return zone


async def read_zone(subject: str, name: object) -> None:
    """Read a zone where that holds nobody up, so that ``checked_zone`` has nothing to read.

    Raises:
        InvalidOptionError: no zone that is known here has the name; the error names the nearest one.
    """
    if not isinstance(name, str) or name not in _read:
        await asyncio.to_thread(checked_zone, subject, name)


def wall_time(zone: ZoneInfo, moment: float) -> datetime:
    """Return what clocks on the wall show at a moment, without a zone; ``fold`` is 1 where they show it again."""
    return datetime.fromtimestamp(moment, zone).replace(tzinfo=None)


def unix_time(zone: ZoneInfo, wall: datetime, *, fold: int) -> float:
    """Return when clocks on the wall show ``wall``: for the first time, or again with ``fold`` 1."""
    return wall.replace(tzinfo=zone, fold=fold).timestamp()


def shows(zone: ZoneInfo, moment: float, wall: datetime) -> bool:
    """Whether clocks on the wall show ``wall`` at a moment; no moment does, for a time in a gap."""
    return wall_time(zone, moment) == wall


def transition(zone: ZoneInfo, wall: datetime) -> float:
    """Return when the clocks are set, for a time on the wall that is left out or repeated by that."""
    # As if the clocks had not been set yet, and as if they had: one is before that moment, and one is not.
    before, after = sorted((unix_time(zone, wall, fold=0), unix_time(zone, wall, fold=1)))
    offset = datetime.fromtimestamp(after, zone).utcoffset()
    while after - before > 1:
        middle = (before + after) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == offset:
            after = middle
        else:
            before = middle
    return after


def _fix(name: str) -> str | None:
    zones = sorted(available_timezones())
    inside = [zone for zone in zones if zone.startswith(f"{name}/")]
    if inside:
        return f"name a place in it: {inside[0]!r}, say."
    if name.isupper() and len(name) <= 5:
        return "name a place: several zones share an abbreviation, and it changes twice a year."
    written = name.strip().replace(" ", "_")
    cities = {zone.rpartition("/")[2]: zone for zone in reversed(zones)}
    guess = nearest(written, zones) if "/" in written else cities.get(nearest(written, cities) or "")
    return f"write {guess!r}." if guess else None
