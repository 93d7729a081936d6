# SPDX-License-Identifier: MIT
"""Who exists: processes with mailboxes, and how they hear of each other's end.

A message enters here: it is put into the mailbox of a live process, or it is refused, in one step. What happens to
it then is up to the floors above: a GenServer's loop, or the code of a plain process.
"""

from __future__ import annotations

from stanchion._public import show_public_path
from stanchion._validate import Seconds
from stanchion.kernel._bounded import Bounded, is_overdue
from stanchion.kernel._clock import Clock, SystemClock, TimerHandle, checked_clock
from stanchion.kernel._context import (
    DEADLINE,
    DEADLINES,
    NODE,
    PROCESS,
    current_node,
    current_process,
    is_self,
    self_pid,
)
from stanchion.kernel._deadline import Deadline, DeadlineScope, cut_by_deadline, deadline, remaining
from stanchion.kernel._deferred import Deferred, Postponable, defer
from stanchion.kernel._doing import Doing, doing, waits_for
from stanchion.kernel._dropped import StormGuard, log_lost, undeliverable
from stanchion.kernel._exit_reasons import ExitReason, ProcessExit, exit_reason, is_abnormal
from stanchion.kernel._limited_mailbox import LimitedMailbox, MailboxPolicy, Overflow, mailbox_policy
from stanchion.kernel._limits import LimitCause, code_limit, limit_cause, own_limit, policy_limit, rule_text, wait_limit
from stanchion.kernel._links import connect, disconnect, link, unlink
from stanchion.kernel._mailbox import (
    CALL,
    CAST,
    INFO,
    ONCE,
    STOP,
    SYSTEM,
    Envelope,
    Kind,
    Mailbox,
    Notification,
    Refusal,
    Token,
)
from stanchion.kernel._monitors import (
    Down,
    Keeper,
    MonitorRef,
    Purpose,
    Until,
    checked_until,
    demonitor,
    flush_downs,
    monitor,
    unwatch,
    wait_exit,
    watch,
)
from stanchion.kernel._names import (
    Name,
    Ref,
    Via,
    checked_ref,
    find,
    register,
    registered,
    unregister,
    valid_name,
    whereis,
)
from stanchion.kernel._node import Node, NodeStatistics, Service
from stanchion.kernel._once import DEFAULT_DEDUP, DedupWindow, Once, is_repeated, remember, skip_repeated
from stanchion.kernel._owned import Owned, Possession, disown, own, owned_of
from stanchion.kernel._pid import Pid
from stanchion.kernel._process import BURST, Process, label_of
from stanchion.kernel._run import run_process, was_cancelled
from stanchion.kernel._signals import Exit, exit, signal, terminate, trap_exit
from stanchion.kernel._site import Site, caller, place_of, stuck_at, task_place, waits_at
from stanchion.kernel._spawn import CallRequest, receive, spawn, spawn_link, spawn_monitor
from stanchion.kernel._timer_wheel import Bucket, Expiring, TimerWheel
from stanchion.kernel._timers import TimerRef, cancel_timer, read_timer, send_after

__all__ = [
    "BURST",
    "CALL",
    "CAST",
    "DEADLINE",
    "DEADLINES",
    "DEFAULT_DEDUP",
    "INFO",
    "NODE",
    "ONCE",
    "PROCESS",
    "STOP",
    "SYSTEM",
    "Bounded",
    "Bucket",
    "CallRequest",
    "Clock",
    "Deadline",
    "DeadlineScope",
    "DedupWindow",
    "Deferred",
    "Doing",
    "Down",
    "Envelope",
    "Exit",
    "ExitReason",
    "Expiring",
    "Keeper",
    "Kind",
    "LimitCause",
    "LimitedMailbox",
    "Mailbox",
    "MailboxPolicy",
    "MonitorRef",
    "Name",
    "Node",
    "NodeStatistics",
    "Notification",
    "Once",
    "Overflow",
    "Owned",
    "Pid",
    "Possession",
    "Postponable",
    "Process",
    "ProcessExit",
    "Purpose",
    "Ref",
    "Refusal",
    "Seconds",
    "Service",
    "Site",
    "StormGuard",
    "SystemClock",
    "TimerHandle",
    "TimerRef",
    "TimerWheel",
    "Token",
    "Until",
    "Via",
    "caller",
    "cancel_timer",
    "checked_clock",
    "checked_ref",
    "checked_until",
    "code_limit",
    "connect",
    "current_node",
    "current_process",
    "cut_by_deadline",
    "deadline",
    "defer",
    "demonitor",
    "disconnect",
    "disown",
    "doing",
    "exit",
    "exit_reason",
    "find",
    "flush_downs",
    "is_abnormal",
    "is_overdue",
    "is_repeated",
    "is_self",
    "label_of",
    "limit_cause",
    "link",
    "log_lost",
    "mailbox_policy",
    "monitor",
    "own",
    "own_limit",
    "owned_of",
    "place_of",
    "policy_limit",
    "read_timer",
    "receive",
    "register",
    "registered",
    "remaining",
    "remember",
    "rule_text",
    "run_process",
    "self_pid",
    "send_after",
    "signal",
    "skip_repeated",
    "spawn",
    "spawn_link",
    "spawn_monitor",
    "stuck_at",
    "task_place",
    "terminate",
    "trap_exit",
    "undeliverable",
    "unlink",
    "unregister",
    "unwatch",
    "valid_name",
    "wait_exit",
    "wait_limit",
    "waits_at",
    "waits_for",
    "was_cancelled",
    "watch",
    "whereis",
]

show_public_path(globals())
