# SPDX-License-Identifier: MIT
"""What a process owns: timers, keys of a registry, memberships. It goes with the process."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import NamedTuple, TypeVar

from stanchion.kernel._pid import Pid
from stanchion.kernel._process import Process

_T = TypeVar("_T")

_log = logging.getLogger("stanchion.process")


class Possession(NamedTuple):
    """One thing that belongs to somebody, as ``Node.audit`` tells of it.

    Attributes:
        kind: What it is: ``"monitor"``, ``"link"``, ``"timer"``, ``"name"`` (a via address), ``"key"``, ``"membership"``,
            ``"subscription"``, ``"schedule"``, ``"reply"``, ``"task"`` or ``"stream"``.
        text: Which one, for people.
        made_at: The file and line where it was made; None where nobody took note.
        age: Seconds since it was made; None where nobody took note.
    """

    kind: str
    text: str
    made_at: str | None = None
    age: float | None = None

    def __str__(self) -> str:
        age = "" if self.age is None else f", {self.age:.3g} s old"
        return f"{self.kind}: {self.text}{age}" + (f", made at {self.made_at}" if self.made_at else "")


class Owned:
    """Something that belongs to one process and does not outlive it."""

    __slots__ = ()

    def release(self) -> None:
        """Take note that the owner exits: called once, when its name is free and before anyone hears of the exit.

        What is only there to be found by its owner has nothing to do.
        """

    def held(self) -> Iterable[Possession]:
        """Return what its owner has by it, for an audit; nothing for what is the runtime's own."""
        return ()

    def users(self) -> Iterable[Pid]:
        """Return those who have something in it that must go when they exit."""
        return ()


def own(process: Process, thing: Owned) -> None:
    """Have ``thing.release()`` called when a process that has not finished exits, the latest thing first."""
    if process.owned is None:
        process.owned = {}
    process.owned[thing] = None


def disown(process: Process, thing: Owned) -> None:
    """Take ``own`` back; harmless when there is none."""
    owned = process.owned
    if owned is not None:
        owned.pop(thing, None)
        if not owned:
            process.owned = None  # an emptied dict would keep its table


def owned_of(process: Process, kind: type[_T]) -> _T | None:
    """Return the first thing of this class that a process owns, or None."""
    for thing in process.owned or ():
        if isinstance(thing, kind):
            return thing
    return None


def release_owned(process: Process) -> None:
    """Release everything that a process owns, the latest first; what one release adds goes too."""
    while process.owned:
        thing = process.owned.popitem()[0]
        try:
            thing.release()
        except Exception:  # a via address of the user's that fails must not keep the exit from being told
            _log.exception("release of %r, which %r owned", thing, process)
    process.owned = None
