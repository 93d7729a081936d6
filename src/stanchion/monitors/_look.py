# SPDX-License-Identifier: MIT
"""A look at every monitor of a node, in slices, so that others get their turn in between.

A ref that nobody keeps is known by its reference count: the tables of owner and target have it, and nobody else. Whoever
keeps it adds one, be it a variable, an attribute, a list, a closure or a waiting coroutine. A cycle of garbage adds one
too until it is collected; so what was dropped may be found later, and what is kept is never taken for dropped.
"""

from __future__ import annotations

import sys
from asyncio import CancelledError
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from itertools import islice
from typing import Final, NamedTuple, cast

from stanchion.kernel import Down, Keeper, MonitorRef, Node, Pid, Process, Purpose
from stanchion.monitors._monitoring import BLOCK
from stanchion.monitors._records import LeakKind

SLICE: Final = 500
"""How many monitors are looked at before others get their turn."""
# In the time of one monitor so many envelopes are looked at.
_ENVELOPES: Final = 16


class Limits(NamedTuple):
    """What counts as a leak.

    Attributes:
        older_than: Seconds; younger monitors are left out.
        unread_after: Seconds that a ``Down`` may wait in the mailbox; None for as long as it likes.
        repeated: How many monitors of one target one process may have; None for as many as it likes.
    """

    older_than: float
    unread_after: float | None
    repeated: int | None


class Found:
    """Monitors of one process that look leaked for one reason.

    Attributes:
        count: How many.
        owner: Whose they are.
        tag: Their tag.
        site: Where they were made.
        target: Of whom; of the first one when there are several, and None for nobody.
        several: Whether there are several targets.
        since: When the oldest was made; of unread ones, when the ``Down`` came.
        made: When the oldest was made.
    """

    __slots__ = ("count", "made", "owner", "several", "since", "site", "tag", "target")

    def __init__(self, ref: MonitorRef, since: float) -> None:
        self.count = 0
        self.owner = ref.owner
        self.tag = ref.tag
        self.site = ref.site
        self.target = ref.target
        self.several = False
        self.since = since
        self.made = ref.made

    def add(self, ref: MonitorRef, since: float) -> None:
        """Count one more."""
        self.count += 1
        self.several = self.several or ref.target is not self.target
        self.since = min(self.since, since)
        self.made = min(self.made, ref.made)


# What the monitors of one record have in common. Code is known by its identity, for its hash takes as long as all the rest.
_Key = tuple[LeakKind, Pid, str | None, int, int] | tuple[LeakKind, Pid, Pid | None]


class Look:
    """One look at monitors, and what it finds.

    Args:
        node: Whose monitors.
        limits: What counts as a leak.
        suspects: Those whose purpose was over before; only they can have outlived it. None for all.

    Attributes:
        found: The leaks, by what they have in common.
        outlived: The monitors whose purpose is over.
        monitors: How many there are.
    """

    def __init__(self, node: Node, limits: Limits, suspects: Collection[MonitorRef] | None = None) -> None:
        self.found: dict[_Key, Found] = {}
        self.outlived: set[MonitorRef] = set()
        self.monitors = 0
        self._node = node
        self._limits = limits
        self._suspects = suspects

    def steps(self, owner: Process | None = None) -> Iterator[int]:
        """Look around, at the monitors of all processes or of one.

        Yields:
            How much the step cost: about the number of monitors that it looked at.
        """
        for process in list(self._node.monitor_owners) if owner is None else [owner]:
            yield from self._at_held(process)
            yield from self._at_mailbox(process)
            _forget_if_done(process)
        for process in list(self._node.processes.values()):
            yield from self._at_watchers(process, owner)

    def _at_held(self, process: Process) -> Iterator[int]:
        """Look at the monitors that a process has."""
        refs = list(process.held_monitors or ())
        of_target: dict[Pid | None, int] = {}
        for start in range(0, len(refs), SLICE):
            # Before a variable of this function's holds one.
            counts = _reference_counts(refs, start, start + SLICE)
            self._judge(process, islice(refs, start, start + SLICE), counts, of_target)
            yield len(counts)
        limit = self._limits.repeated
        repeated = {target for target, count in of_target.items() if limit is not None and count > limit}
        for start in range(0, len(refs) if repeated else 0, SLICE):
            for ref in islice(refs, start, start + SLICE):
                if ref.target in repeated and ref.until is not BLOCK:
                    self._add(("repeated", ref.owner, ref.target), ref, ref.made)
            yield SLICE
        yield 1

    def _judge(
        self, process: Process, refs: Iterable[MonitorRef], counts: list[int], of_target: dict[Pid | None, int]
    ) -> None:
        held, now, by_nobody = process.held_monitors or {}, self._node.monotonic(), _kept_by_nobody()
        latest = now - self._limits.older_than
        for ref, references in zip(refs, counts, strict=True):
            if ref not in held:  # it has ended since the first step
                continue
            self.monitors += 1
            if ref.made > latest:
                continue
            until = ref.until
            if until is not BLOCK:
                of_target[ref.target] = of_target.get(ref.target, 0) + 1
            if until is not None and is_over(until, now):
                self.outlived.add(ref)
                if self._suspects is None or ref in self._suspects:
                    self._add(_key("outlived", ref), ref, ref.made)
            elif references <= by_nobody and until != "exit":
                self._add(_key("dropped", ref), ref, ref.made)

    def _at_mailbox(self, process: Process) -> Iterator[int]:
        """Look for DOWN messages that wait."""
        if self._limits.unread_after is None:
            return
        envelopes = process.mailbox.envelopes()
        for start in range(0, len(envelopes), SLICE * _ENVELOPES):
            latest = self._node.monotonic() - self._limits.unread_after
            for _, message, _ in islice(envelopes, start, start + SLICE * _ENVELOPES):
                if type(message) is Down and message.ref.fired is not None and message.ref.fired <= latest:
                    self._add(_key("unread", message.ref), message.ref, message.ref.fired)
            yield min(SLICE, len(envelopes) // _ENVELOPES)

    def _at_watchers(self, process: Process, owner: Process | None) -> Iterator[int]:
        """Look for monitors whose owner knows nothing of them. There are none; here is where that is seen."""
        watchers = list(process.watchers or ())
        for start in range(0, len(watchers), SLICE):
            present = process.watchers or {}
            for ref in islice(watchers, start, start + SLICE):
                if not isinstance(ref, MonitorRef) or ref not in present:
                    continue
                holder = ref.owner._process
                if (owner is None or holder is owner) and (holder is None or ref not in (holder.held_monitors or ())):
                    self._add(_key("owner_gone", ref), ref, ref.made)
            yield min(SLICE, len(watchers))
        yield 1

    def _add(self, key: _Key, ref: MonitorRef, since: float) -> None:
        found = self.found.get(key)
        if found is None:
            found = self.found[key] = Found(ref, since)
        found.add(ref, since)


def _key(kind: LeakKind, ref: MonitorRef) -> _Key:
    code, offset = ref.site
    return kind, ref.owner, ref.tag, id(code), offset


def _forget_if_done(process: Process) -> None:
    """Take a process that has no monitors any more from those that have, until it makes the next one."""
    if not process.held_monitors and not process.mailbox.queue and process.held_monitors is not None:
        process.held_monitors = None
        del process.node.monitor_owners[process]


def is_over(until: object, now: float) -> bool:
    """Return whether what a monitor is for is over."""
    if isinstance(until, float):
        return now > until
    if until == "exit" or isinstance(until, Keeper):
        return False
    try:
        return bool(cast("Purpose", until).done())
    except (Exception, CancelledError):  # noqa: BLE001  # somebody's own done() that fails must not end the look
        return False


def _reference_counts(refs: list[MonitorRef], start: int, stop: int) -> list[int]:
    return list(map(sys.getrefcount, islice(refs, start, stop)))


@cache
def _kept_by_nobody() -> int:
    """Return the reference count of a monitor that only the two tables hold, and the list that is looked through.

    Measured and not known, for what a call adds differs from one Python to the next.
    """
    refs = [MonitorRef()]
    tables = [dict.fromkeys(refs), dict.fromkeys(refs)]
    (count,) = _reference_counts(refs, 0, 1)
    del tables
    return count
