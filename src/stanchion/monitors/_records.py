# SPDX-License-Identifier: MIT
"""What is told of monitors: records of one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from stanchion.kernel import Pid

LeakKind = Literal["owner_gone", "dropped", "outlived", "unread", "repeated"]
"""What is wrong with a monitor; see ``MonitorLeak``."""


class MonitorInfo(NamedTuple):
    """One monitor.

    Attributes:
        owner: Whose it is: who gets the ``Down``.
        target: Who is monitored; None when there was nobody.
        tag: The tag given to ``monitor``, or None.
        site: The file and line where it was made.
        age: Seconds since then.
        purpose: What it is for, as text; None when nobody said so.
        unread: Seconds for which its ``Down`` has been in the owner's mailbox; None while the target lives.
        stack: The stack by which it was made, as text; None unless ``record_stacks`` asked for it.
    """

    owner: Pid
    target: Pid | None
    tag: str | None
    site: str
    age: float
    purpose: str | None
    unread: float | None
    stack: str | None


@dataclass(frozen=True, slots=True)  # a NamedTuple has a method count()
class MonitorLeak:
    """Monitors that look leaked, all for one reason; as text it is ``why`` and ``fix``.

    Attributes:
        kind: ``"dropped"``: nobody keeps the ref, so that nobody can end the monitor, and it was not meant to last until
            the target's exit. ``"outlived"``: what it was for is over. ``"unread"``: its ``Down`` waits in the mailbox for
            too long. ``"repeated"``: one process has too many of one target. ``"owner_gone"``: the owner is gone and the
            monitor is not, which would be the runtime's own fault.
        count: How many.
        tag: Their tag, or None; that of the first one where several differ.
        site: The file and line where they were made; likewise.
        owner: Whose they are; of the first one where there are several.
        target: Who is monitored; None when there are several, or nobody.
        age: How old the oldest one is, in seconds.
        why: What is wrong, for people.
        fix: How to mend it, for people.
    """

    kind: LeakKind
    count: int
    tag: str | None
    site: str
    owner: Pid
    target: Pid | None
    age: float
    why: str
    fix: str

    def __str__(self) -> str:
        return f"{self.why}\n  Fix: {self.fix}"


class MonitorStatistics(NamedTuple):
    """The monitors of a node in numbers.

    Attributes:
        monitors: How many there are, of targets that live.
        owners: How many processes have some.
        targets: How many processes are monitored.
        oldest: How old the oldest one is, in seconds; 0 when there is none.
        tags: How many there are of each tag; None stands for those without one.
        unread: How many ``Down`` messages wait in mailboxes.
    """

    monitors: int
    owners: int
    targets: int
    oldest: float
    tags: Mapping[str | None, int]
    unread: int
