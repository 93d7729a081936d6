# SPDX-License-Identifier: MIT
"""The monitors of one node: who watches whom, and what looks leaked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextvars import Context

from stanchion._validate import Seconds, cut, instance, seconds, seconds_or_none, whole_number
from stanchion.kernel import NODE, Down, MonitorRef, Node, Pid, Process, Ref, Until, checked_until, find
from stanchion.monitors._check import REPEATED, UNREAD_AFTER, LeakChecker
from stanchion.monitors._leaks import Places, leaks_of
from stanchion.monitors._look import Limits, Look
from stanchion.monitors._records import MonitorInfo, MonitorLeak, MonitorStatistics


class MonitorManager:
    """The monitors of one node: ``node.monitors``.

    It keeps nothing of its own: a monitor is its own record, and stands in the tables of its owner and its target. So
    these methods cost the monitors nothing, and go through all of them when they are called.
    """

    def __init__(self, node: Node) -> None:
        self._node = node

    def list(
        self,
        *,
        owner: Ref | None = None,
        target: Ref | None = None,
        tag: str | None = None,
        older_than: Seconds = 0.0,
    ) -> tuple[MonitorInfo, ...]:
        """Return the monitors, process by process and in the order in which they were made.

        Those whose target is gone follow while their ``Down`` is unread. ``older_than`` makes this an age report; to be old
        is no leak.

        Args:
            owner: Whose; None for those of all processes.
            target: Of whom; None for those of all targets.
            tag: With this tag; None for all.
            older_than: Seconds that they are old at least.

        Raises:
            InvalidOptionError: an argument is wrong.
        """
        least = seconds("monitors.list(older_than)", older_than)
        wanted = None if target is None else self._find(target, "monitors.list(target)")
        if target is not None and wanted is None:
            return ()
        now, places = self._node.monotonic(), Places()
        return tuple(
            _info(ref, now, places)
            for process in self._owners(owner, "monitors.list(owner)")
            for ref in [*(process.held_monitors or ()), *_unread(process)]
            if now - ref.made >= least and tag in (None, ref.tag) and wanted in (None, ref.target)
        )

    def statistics(self) -> MonitorStatistics:
        """Return how many monitors there are, and of what kind."""
        owners = [process for process in self._node.monitor_owners if process.held_monitors]
        refs = [ref for process in owners for ref in process.held_monitors or ()]
        return MonitorStatistics(
            monitors=len(refs),
            owners=len(owners),
            targets=len({ref.target for ref in refs}),
            oldest=self._node.monotonic() - min(ref.made for ref in refs) if refs else 0.0,
            tags=Counter(ref.tag for ref in refs),
            unread=sum(1 for process in self._node.monitor_owners for _ in _unread(process)),
        )

    def find_leaks(
        self,
        *,
        owner: Ref | None = None,
        older_than: Seconds = 0.0,
        unread_after: Seconds | None = UNREAD_AFTER,
        repeated: int | None = REPEATED,
    ) -> tuple[MonitorLeak, ...]:
        """Look for monitors that look leaked; see ``MonitorLeak`` for the kinds.

        It goes through all monitors at once: some 0.3 s for 100,000. The node's own check, ``Node(leak_check=...)``, does
        the same in slices, and tells what it finds.

        A ref that only a cycle of garbage holds counts as kept until ``gc.collect()``; one that is kept never counts as
        dropped.

        Args:
            owner: Whose; None for those of all processes.
            older_than: Seconds; younger monitors are left out.
            unread_after: Seconds that a ``Down`` may wait in its mailbox; None for as long as it likes.
            repeated: How many monitors of one target one process may have, those of ``monitoring`` blocks left out; None
                for as many as it likes.

        Returns:
            One record for the monitors of one process that have kind, tag and site in common; for ``"repeated"``, the
            target.

        Raises:
            InvalidOptionError: an argument is wrong.
        """
        limits = Limits(
            seconds("find_leaks(older_than)", older_than),
            seconds_or_none("find_leaks(unread_after)", unread_after),
            None if repeated is None else whole_number("find_leaks(repeated)", repeated),
        )
        process = None if owner is None else self._process(owner, "find_leaks(owner)")
        if owner is not None and process is None:
            return ()
        if isinstance(self._node.leak_check, LeakChecker):
            self._node.leak_check.start_over()  # what it has in hand has one reference more
        look = Look(self._node, limits)
        for _ in look.steps(process):
            pass
        return tuple(leaks_of(look, self._node, limits.repeated))

    def adopt(self, owner: Ref, *, tag: str | None = None, until: Until | None = "exit") -> tuple[MonitorInfo, ...]:
        """Give a tag and a purpose to the monitors of a process that have none, to have them in order step by step.

        For code that monitors without keeping the refs, as is usual in Erlang: once adopted, its monitors last until their
        target's exit, and are not told as leaks. Those that it makes later are its own again.

        Args:
            owner: Whose.
            tag: For those without one; their ``Down`` has it, too. None leaves them without.
            until: For those without a purpose; as in ``monitor``. None leaves them without.

        Returns:
            Those that were given something.

        Raises:
            InvalidOptionError: an argument is wrong.
        """
        if tag is not None:
            instance("adopt(tag)", tag, str)
        given = None if until is None else checked_until("adopt(until)", until, self._node)
        adopted: dict[MonitorRef, None] = {}
        for process in self._owners(owner, "adopt(owner)"):
            for ref in process.held_monitors or ():
                if ref.tag is None and tag is not None:
                    ref.tag = tag
                    adopted[ref] = None
                if ref.until is None and given is not None:
                    ref.until = given
                    adopted[ref] = None
        now, places = self._node.monotonic(), Places()
        return tuple(_info(ref, now, places) for ref in adopted)

    def record_stacks(self, on: bool = True) -> None:
        """Have each monitor that is made from now on keep its stack, for ``MonitorInfo.stack``.

        To find out who calls the function that monitors. It makes a monitor some twenty times as slow.

        Raises:
            InvalidOptionError: ``on`` is no bool.
        """
        self._node.record_stacks = instance("record_stacks(on)", on, bool)

    def _owners(self, owner: Ref | None, subject: str) -> Iterator[Process]:
        if owner is None:
            yield from self._node.monitor_owners
            return
        process = self._process(owner, subject)
        if process is not None:
            yield process

    def _process(self, ref: Ref, subject: str) -> Process | None:
        pid = self._find(ref, subject)
        process = None if pid is None else pid._process
        return process if process is not None and process.node is self._node else None

    def _find(self, ref: Ref, subject: str) -> Pid | None:
        """Return who is meant in this node, wherever the caller is."""
        context = Context()
        context.run(NODE.set, self._node)
        return context.run(find, ref, subject)

    def __repr__(self) -> str:
        return f"<monitors of {self._node!r}>"


def _info(ref: MonitorRef, now: float, places: Places) -> MonitorInfo:
    unread = None if ref.fired is None else now - ref.fired
    age = now - ref.made
    return MonitorInfo(
        ref.owner, ref.target, ref.tag, places.text(ref.site), age, _purpose_text(ref), unread, ref.stack
    )


def _unread(process: Process) -> Iterator[MonitorRef]:
    """Yield the monitors of a process whose DOWN messages wait."""
    for _, message, _ in process.mailbox.envelopes():
        if type(message) is Down:
            yield message.ref


def _purpose_text(ref: MonitorRef) -> str | None:
    until = ref.until
    if until is None:
        return None
    if isinstance(until, float):
        return f"{until - ref.made:.3g} s"
    return "its target's exit" if until == "exit" else cut(until)
