# SPDX-License-Identifier: MIT
"""What is wrong with leaked monitors, and how to mend it, in words."""

from __future__ import annotations

from typing import Final

from stanchion.kernel import Node, Pid, Site, place_of
from stanchion.monitors._look import Found, Look
from stanchion.monitors._records import LeakKind, MonitorLeak

_WHY: Final[dict[LeakKind, str]] = {
    "dropped": "nobody keeps the ref, so nobody can end it",
    "outlived": "what it was for is over",
    "unread": "its Down has been in the mailbox for {waited:.3g} s",
    "repeated": "that is more than {repeated} of one target",
    "owner_gone": "its owner is gone",
}
_FIX: Final[dict[LeakKind, str]] = {
    "dropped": (
        "keep the ref and demonitor() it when it has served, or write `async with monitoring(target):`; if it is meant to "
        "last as long as its target, monitor(target, until='exit')."
    ),
    "outlived": "demonitor() it when that is done, or write `async with monitoring(target):` around what it is for.",
    "unread": "have the process read its mailbox: let its handlers return sooner; or demonitor() what it does not handle.",
    "repeated": "monitor once and keep the ref, or demonitor() each when it has served.",
    "owner_gone": "this is a fault of Stanchion's: please report it.",
}


class Places:
    """The text of sites, made once for each: many monitors are made in few places."""

    def __init__(self) -> None:
        self._texts: dict[tuple[int, int], str] = {}

    def text(self, site: Site) -> str:
        """Return the file and line of a site of something that lives on meanwhile."""
        code, offset = site
        key = (id(code), offset)  # by identity, for the hash of code takes as long as the text
        text = self._texts.get(key)
        if text is None:
            text = self._texts[key] = place_of(site)
        return text


def leaks_of(look: Look, node: Node, repeated: int | None) -> list[MonitorLeak]:
    """Return what a look found, each process by itself."""
    places = Places()
    return [_leak(key[0], [found], places.text(found.site), node, repeated) for key, found in look.found.items()]


def leaks_by_site(look: Look, node: Node, repeated: int | None) -> dict[tuple[LeakKind, str | None, str], MonitorLeak]:
    """Return what a look found, by kind, tag and site."""
    places = Places()
    together: dict[tuple[LeakKind, str | None, str], list[Found]] = {}
    for key, found in look.found.items():
        together.setdefault((key[0], found.tag, places.text(found.site)), []).append(found)
    return {key: _leak(key[0], found, key[2], node, repeated) for key, found in together.items()}


def _leak(kind: LeakKind, found: list[Found], site: str, node: Node, repeated: int | None) -> MonitorLeak:
    first, now = found[0], node.monotonic()
    count = sum(one.count for one in found)
    several = any(one.several or one.target is not first.target for one in found)
    waited = now - min(one.since for one in found)
    why = (
        f"{'a monitor' if count == 1 else f'{count} monitors'}{f' {first.tag!r}' if first.tag else ''} of "
        f"{'several targets' if several else _text(first.target)} by {_text(first.owner)}{_others_text(len(found) - 1)}, made at {site}: "
        f"{_WHY[kind].format(waited=waited, repeated=repeated)}"
    )
    age = now - min(one.made for one in found)
    target = None if several else first.target
    return MonitorLeak(kind, count, first.tag, site, first.owner, target, age, why, _FIX[kind])


def _text(pid: Pid | None) -> str:
    if pid is None:
        return "nobody"
    return repr(pid) if pid._process is None else repr(pid._process)


def _others_text(others: int) -> str:
    return "" if not others else " and another process" if others == 1 else f" and {others} other processes"
