# SPDX-License-Identifier: MIT
"""Who exists: processes with mailboxes, and how they hear of each other's end.

A message enters here: it is put into the mailbox of a live process, or it is refused, in one step. What happens to
it then is up to the floors above: a GenServer's loop, or the code of a plain process.
"""

from __future__ import annotations

from stanchion._public import show_public_path
from stanchion._validate import Seconds
from stanchion.kernel._clock import Clock, SystemClock, TimerHandle, checked_clock
from stanchion.kernel._context import NODE, PROCESS, current_node, current_process, is_self, self_pid
from stanchion.kernel._deadlines import Bucket, Deadlines, Expiring
from stanchion.kernel._dropped import StormGuard, log_lost, undeliverable
from stanchion.kernel._exit_reasons import ExitReason, ProcessExit, exit_reason, is_abnormal
from stanchion.kernel._limited_mailbox import LimitedMailbox, MailboxPolicy, Overflow, mailbox_policy
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
from stanchion.kernel._monitors import Down, MonitorRef, demonitor, monitor, unwatch, wait_exit, watch
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
from stanchion.kernel._node import Node, Service
from stanchion.kernel._once import DEFAULT_DEDUP, DedupWindow, Once, is_repeated, remember, skip_repeated
from stanchion.kernel._owned import Owned, disown, own, owned_of
from stanchion.kernel._pid import Pid
from stanchion.kernel._process import BURST, Process
from stanchion.kernel._run import run_process, was_cancelled
from stanchion.kernel._signals import Exit, exit, signal, terminate, trap_exit
from stanchion.kernel._spawn import CallRequest, label_of, receive, spawn, spawn_link, spawn_monitor
from stanchion.kernel._timers import TimerRef, cancel_timer, read_timer, send_after

__all__ = [
    "BURST",
    "CALL",
    "CAST",
    "DEFAULT_DEDUP",
    "INFO",
    "NODE",
    "ONCE",
    "PROCESS",
    "STOP",
    "SYSTEM",
    "Bucket",
    "CallRequest",
    "Clock",
    "Deadlines",
    "DedupWindow",
    "Down",
    "Envelope",
    "Exit",
    "ExitReason",
    "Expiring",
    "Kind",
    "LimitedMailbox",
    "Mailbox",
    "MailboxPolicy",
    "MonitorRef",
    "Name",
    "Node",
    "Notification",
    "Once",
    "Overflow",
    "Owned",
    "Pid",
    "Process",
    "ProcessExit",
    "Ref",
    "Refusal",
    "Seconds",
    "Service",
    "StormGuard",
    "SystemClock",
    "TimerHandle",
    "TimerRef",
    "Token",
    "Via",
    "cancel_timer",
    "checked_clock",
    "checked_ref",
    "connect",
    "current_node",
    "current_process",
    "demonitor",
    "disconnect",
    "disown",
    "exit",
    "exit_reason",
    "find",
    "is_abnormal",
    "is_repeated",
    "is_self",
    "label_of",
    "link",
    "log_lost",
    "mailbox_policy",
    "monitor",
    "own",
    "owned_of",
    "read_timer",
    "receive",
    "register",
    "registered",
    "remember",
    "run_process",
    "self_pid",
    "send_after",
    "signal",
    "skip_repeated",
    "spawn",
    "spawn_link",
    "spawn_monitor",
    "terminate",
    "trap_exit",
    "undeliverable",
    "unlink",
    "unregister",
    "unwatch",
    "valid_name",
    "wait_exit",
    "was_cancelled",
    "watch",
    "whereis",
]

show_public_path(globals())
