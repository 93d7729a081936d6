# SPDX-License-Identifier: MIT
"""Who watches whom, who owns what, and what of it looks leaked.

A monitor is made in the kernel and keeps its own record. Here are the shapes that end it by themselves, a block of code, a
group, a server's mixin; and here somebody looks at all monitors of a node, now and then or when asked to.
"""

from __future__ import annotations

from stanchion._public import show_public_path
from stanchion.monitors._audit import audit
from stanchion.monitors._audit_records import Leak, NodeAudit, OwnerAudit
from stanchion.monitors._check import LeakChecker
from stanchion.monitors._group import MonitorGroup, monitor_group
from stanchion.monitors._manager import MonitorManager
from stanchion.monitors._monitoring import Monitoring, monitoring
from stanchion.monitors._records import LeakKind, MonitorInfo, MonitorLeak, MonitorStatistics
from stanchion.monitors._tracked import TrackedMonitors

__all__ = [
    "Leak",
    "LeakChecker",
    "LeakKind",
    "MonitorGroup",
    "MonitorInfo",
    "MonitorLeak",
    "MonitorManager",
    "MonitorStatistics",
    "Monitoring",
    "NodeAudit",
    "OwnerAudit",
    "TrackedMonitors",
    "audit",
    "monitor_group",
    "monitoring",
]

show_public_path(globals())
