# SPDX-License-Identifier: MIT
"""The audit: everything that a node's processes own, by owner, and what of it looks leaked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from stanchion.kernel import Node, Pid, Possession, Process
from stanchion.monitors._audit_records import Leak, NodeAudit, OwnerAudit
from stanchion.monitors._audit_tasks import tasks_of
from stanchion.monitors._manager import MonitorManager
from stanchion.monitors._owned_by import Finding, entries_of_the_ended, owned_by, timers_of
from stanchion.monitors._records import MonitorInfo, MonitorLeak


def audit(node: Node, owed_for: float | None) -> NodeAudit:
    """Return what a node and its processes own; see ``Node.audit``."""
    # First: what comes after holds references of its own.
    leaks = [_leak_of(leak) for leak in MonitorManager(node).find_leaks()]
    things: defaultdict[Pid | None, list[Possession]] = defaultdict(list)
    names: dict[Pid | None, str] = {None: f"node {node.name}"}

    def add(owner: Process | None, findings: Iterable[Finding]) -> None:
        pid = None if owner is None else owner.pid
        if owner is not None:
            names[pid] = repr(owner)
        for possession, leak in findings:
            things[pid].append(possession)
            if leak is not None:
                leaks.append(leak)

    monitors: defaultdict[Pid, list[Finding]] = defaultdict(list)
    for info in MonitorManager(node).list():
        monitors[info.owner].append((_possession_of(info), None))
    for process in node.processes.values():
        add(process, monitors.pop(process.pid, ()))
        add(process, owned_by(process, owed_for))
        leaks.extend(entries_of_the_ended(process))
    add(None, timers_of(node))
    for owner, finding in tasks_of(node):
        add(owner, [finding])
    owners = (OwnerAudit(pid, names[pid], tuple(owned)) for pid, owned in things.items())
    return NodeAudit(node.name, tuple(owners), tuple(leaks))


def _possession_of(monitor: MonitorInfo) -> Possession:
    tag = "" if monitor.tag is None else f", tag {monitor.tag!r}"
    unread = "" if monitor.unread is None else ", whose Down is unread"
    return Possession("monitor", f"of {monitor.target!r}{tag}{unread}", monitor.site, monitor.age)


def _leak_of(leak: MonitorLeak) -> Leak:
    what = Possession("monitor", f"of {leak.target!r}", leak.site, leak.age)
    return Leak(leak.kind, leak.owner, what, leak.why, leak.fix)
