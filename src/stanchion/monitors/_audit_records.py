# SPDX-License-Identifier: MIT
"""What an audit comes to: a record of one moment, which keeps no process alive."""

from __future__ import annotations

from typing import NamedTuple

from stanchion.kernel import Pid, Possession


class Leak(NamedTuple):
    """Something that looks as if it were held in vain; as text it is ``why`` and ``fix``.

    Attributes:
        kind: ``"owner_gone"``: it outlived the process or the node that it belongs to. ``"target_gone"``: it is for a
            process that has ended. ``"dropped"``: nobody keeps it. ``"overdue"``: a reply that is owed for too long. And
            those of monitors: see ``MonitorLeak``.
        owner: The process that has it, or had it; None for the node.
        what: The thing itself: its kind, where it was made, how old it is. For monitors it may stand for several.
        why: What is wrong, for people, with who and what and where.
        fix: How to mend it, for people.
    """

    kind: str
    owner: Pid | None
    what: Possession
    why: str
    fix: str

    def __str__(self) -> str:
        return f"{self.why}\n  Fix: {self.fix}"


class OwnerAudit(NamedTuple):
    """Somebody who owns something.

    Attributes:
        pid: The process; None for the node, which owns what belongs to no process.
        name: What it is called, for people.
        things: What it owns, kind by kind.
    """

    pid: Pid | None
    name: str
    things: tuple[Possession, ...]

    def __str__(self) -> str:
        return "\n".join((self.name, *(f"  {thing}" for thing in self.things)))


class NodeAudit(NamedTuple):
    """Everything that a node and its processes own; a record of one moment.

    As text it is a list, by owner, with the leaks at its end.

    Attributes:
        node: The name of the node.
        owners: Who owns anything: processes in the order of their start, the node itself, and processes that have ended
            and still have a task.
        leaks: What looks leaked; empty for a node that is in order.
    """

    node: str
    owners: tuple[OwnerAudit, ...]
    leaks: tuple[Leak, ...]

    def of(self, pid: Pid | None, kind: str | None = None) -> tuple[Possession, ...]:
        """Return what a process owns, or the node for None; of one kind, if it is given."""
        things = (thing for owner in self.owners if owner.pid is pid for thing in owner.things)
        return tuple(thing for thing in things if kind in (None, thing.kind))

    def __str__(self) -> str:
        things = sum(len(owner.things) for owner in self.owners)
        first = f"node {self.node}: {len(self.owners)} owners, {things} things, {len(self.leaks)} leaks"
        return "\n".join((first, *map(str, self.owners), *(f"leak: {leak}" for leak in self.leaks)))
