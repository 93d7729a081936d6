# SPDX-License-Identifier: MIT
"""Who restarts it: supervisors, the specs of their children, and the application.

A message whose handling crashes its server ends here: the supervisor hears of the exit by its link, starts a fresh
server under the same name, and, by its strategy, those that depend on it.
"""

from __future__ import annotations

from stanchion._public import show_public_path
from stanchion.supervisor._application import Application
from stanchion.supervisor._child_spec import ChildSpec, ChildType, Restart, child_spec
from stanchion.supervisor._requests import (
    ChildCounts,
    ChildInfo,
    count_children,
    delete_child,
    restart_child,
    start_child,
    terminate_child,
    which_children,
)
from stanchion.supervisor._run import Loop, run
from stanchion.supervisor._strategies import Strategy
from stanchion.supervisor._supervisor import Supervisor, supervisor_spec

__all__ = [
    "Application",
    "ChildCounts",
    "ChildInfo",
    "ChildSpec",
    "ChildType",
    "Loop",
    "Restart",
    "Strategy",
    "Supervisor",
    "child_spec",
    "count_children",
    "delete_child",
    "restart_child",
    "run",
    "start_child",
    "supervisor_spec",
    "terminate_child",
    "which_children",
]

show_public_path(globals())
