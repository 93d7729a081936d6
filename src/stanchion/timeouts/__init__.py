# SPDX-License-Identifier: MIT
"""How long: the policy that gives every wait its limit where the code gives none.

A message has its limit when it is sent: the ``timeout=`` of the call, or else what the policy says of such a message to
such a server; and a deadline (kernel/_deadline.py) cuts it.
"""

from __future__ import annotations

from stanchion._public import show_public_path
from stanchion.timeouts._debugger import debugger_attached, held_by_debugger
from stanchion.timeouts._decision import TimeoutDecision
from stanchion.timeouts._marker import POLICY, Policy, checked_timeout
from stanchion.timeouts._operations import (
    APPLICATION_CALLBACK,
    AWAIT,
    COUNT_CHILDREN,
    DELETE_CHILD,
    DRAIN,
    GET_CHILDSPEC,
    GET_STATE,
    GET_STATUS,
    INIT,
    INIT_SUPERVISOR,
    PUBLISH,
    REPLACE_STATE,
    RESTART_CHILD,
    RESUME,
    SCHEDULED_TASK,
    SEND,
    SHUTDOWN,
    SHUTDOWN_SUPERVISOR,
    SIGNAL_CALLBACK,
    START_CHILD,
    START_TASK,
    STOP_APPLICATION,
    STOPPING,
    STREAM,
    SUSPEND,
    TERMINATE_CHILD,
    WAIT_EMPTY,
    WHICH_CHILDREN,
    Operation,
)
from stanchion.timeouts._policy import Code, TimeoutPolicy, timeouts_of
from stanchion.timeouts._rules import Limits, Rule, RuleKind

__all__ = [
    "APPLICATION_CALLBACK",
    "AWAIT",
    "COUNT_CHILDREN",
    "DELETE_CHILD",
    "DRAIN",
    "GET_CHILDSPEC",
    "GET_STATE",
    "GET_STATUS",
    "INIT",
    "INIT_SUPERVISOR",
    "POLICY",
    "PUBLISH",
    "REPLACE_STATE",
    "RESTART_CHILD",
    "RESUME",
    "SCHEDULED_TASK",
    "SEND",
    "SHUTDOWN",
    "SHUTDOWN_SUPERVISOR",
    "SIGNAL_CALLBACK",
    "START_CHILD",
    "START_TASK",
    "STOPPING",
    "STOP_APPLICATION",
    "STREAM",
    "SUSPEND",
    "TERMINATE_CHILD",
    "WAIT_EMPTY",
    "WHICH_CHILDREN",
    "Code",
    "Limits",
    "Operation",
    "Policy",
    "Rule",
    "RuleKind",
    "TimeoutDecision",
    "TimeoutPolicy",
    "checked_timeout",
    "debugger_attached",
    "held_by_debugger",
    "timeouts_of",
]

show_public_path(globals())
