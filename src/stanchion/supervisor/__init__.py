# SPDX-License-Identifier: MIT
"""Who restarts it: supervisors, and the specs of their children.

A message whose handling crashes its server ends here: the supervisor hears of the exit by its link, starts a fresh
server under the same name, and, by its strategy, those that depend on it.
"""

from __future__ import annotations

from stanchion._public import show_public_path
from stanchion.supervisor._child_spec import ChildSpec, Restart, child_spec
from stanchion.supervisor._dynamic_supervisor import DynamicSupervisor
from stanchion.supervisor._flags import AutoShutdown, Flags, Strategy, check_childspecs, checked_flags
from stanchion.supervisor._outcomes import TaskExit, TaskOk, TaskResult
from stanchion.supervisor._partition_supervisor import PartitionSupervisor
from stanchion.supervisor._requests import (
    ChildCounts,
    ChildInfo,
    count_children,
    delete_child,
    get_childspec,
    restart_child,
    start_child,
    terminate_child,
    which_children,
)
from stanchion.supervisor._restart_window import RestartBudget
from stanchion.supervisor._starts import ChildType, start_function
from stanchion.supervisor._supervisor import Supervisor, supervisor_spec
from stanchion.supervisor._task import Task
from stanchion.supervisor._task_supervisor import TaskSupervisor

__all__ = [
    "AutoShutdown",
    "ChildCounts",
    "ChildInfo",
    "ChildSpec",
    "ChildType",
    "DynamicSupervisor",
    "Flags",
    "PartitionSupervisor",
    "Restart",
    "RestartBudget",
    "Strategy",
    "Supervisor",
    "Task",
    "TaskExit",
    "TaskOk",
    "TaskResult",
    "TaskSupervisor",
    "check_childspecs",
    "checked_flags",
    "child_spec",
    "count_children",
    "delete_child",
    "get_childspec",
    "restart_child",
    "start_child",
    "start_function",
    "supervisor_spec",
    "terminate_child",
    "which_children",
]

show_public_path(globals())
