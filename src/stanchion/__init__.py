# SPDX-License-Identifier: MIT
"""Supervised processes for asyncio: no message is lost in silence, nothing leaks, and no call waits for ever.

The way of a message through the package, from top to bottom:

    errors.py        every error, in one tree
    messages.py      messages that can be stored: types, versions, upgrades
    telemetry/       what happens is told here: named events, attach and detach
    timeouts/        how long: the policy that gives every wait its limit
    kernel/          who exists: processes, mailboxes, links, monitors, exit signals, names, the node
    server/          who handles it: GenServer, call, cast, reply
    state_machine/   who handles it, when that depends on what came before: StateMachine
    registry/        finding processes by more than a name: Registry, ProcessGroups
    supervisor/      who restarts it: child_spec, strategies, dynamic and task supervisors
    monitors/        who watches whom, and who owns what: blocks and groups, leaks, the audit
    application/     what runs: trees with a name and a configuration, run
    storage/         where what is durable is kept: SQLite or PostgreSQL, schemas, commits
    breakers/        when not to try: circuit breakers
    dead_letters/    where the undeliverable rests: the queue, its stores
    outbox/          what was promised to be delivered: durable messages, in a database until that is done
    delivery/        getting it there: supervised send, broadcast, redelivery
    router/          who else hears it: signals, patterns, subscriptions
    scheduler/       when: once, at intervals, by the calendar
    _node.py         the node that users make: the kernel's, with a database, dead letters and an outbox
    testing/         the test kit: virtual time, seeded orders, probes, faults
    cli/             the command line

Everyday names are here; the stations have the rest.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from stanchion._node import Node
from stanchion.breakers import BreakerPolicy, CircuitBreaker
from stanchion.delivery import (
    Ack,
    Backoff,
    BroadcastReport,
    CreditSender,
    Delivery,
    MessageInfo,
    Outcome,
    Reason,
    broadcast_supervised,
    credits,
    message_info,
    send_supervised,
    write_message,
)
from stanchion.errors import StanchionError
from stanchion.kernel import (
    CallRequest,
    DedupWindow,
    Down,
    Exit,
    ExitReason,
    MailboxPolicy,
    MonitorRef,
    Pid,
    ProcessExit,
    Ref,
    Seconds,
    Service,
    TimerRef,
    Via,
    cancel_timer,
    deadline,
    demonitor,
    exit,
    link,
    monitor,
    read_timer,
    receive,
    register,
    remaining,
    self_pid,
    send_after,
    spawn,
    spawn_link,
    spawn_monitor,
    trap_exit,
    unlink,
    unregister,
    wait_exit,
    whereis,
)
from stanchion.registry import ProcessGroups, Registry
from stanchion.server import (
    IGNORE,
    NO_REPLY,
    TIMEOUT,
    UNHANDLED,
    Continue,
    GenServer,
    Reject,
    Reply,
    Sender,
    StateHolder,
    Stop,
    Timeout,
    abcast,
    call,
    cast,
    multi_call,
    reply,
    send,
    start,
    start_link,
    stop,
)
from stanchion.supervisor import (
    ChildSpec,
    DynamicSupervisor,
    PartitionSupervisor,
    Supervisor,
    Task,
    TaskExit,
    TaskOk,
    TaskResult,
    TaskSupervisor,
    child_spec,
    supervisor_spec,
)
from stanchion.timeouts import POLICY, TimeoutPolicy

if TYPE_CHECKING:
    from stanchion.application import Application, run
    from stanchion.dead_letters import DeadLetter, DeadLetterQueue
    from stanchion.messages import Call, Message
    from stanchion.monitors import TrackedMonitors, monitor_group, monitoring
    from stanchion.outbox import Outbox
    from stanchion.router import Signal, SignalRouter
    from stanchion.scheduler import SchedulerManager
    from stanchion.state_machine import StateMachine

__version__ = "0.1.0"

__all__ = [
    "IGNORE",
    "NO_REPLY",
    "POLICY",
    "TIMEOUT",
    "UNHANDLED",
    "Ack",
    "Application",
    "Backoff",
    "BreakerPolicy",
    "BroadcastReport",
    "Call",
    "CallRequest",
    "ChildSpec",
    "CircuitBreaker",
    "Continue",
    "CreditSender",
    "DeadLetter",
    "DeadLetterQueue",
    "DedupWindow",
    "Delivery",
    "Down",
    "DynamicSupervisor",
    "Exit",
    "ExitReason",
    "GenServer",
    "MailboxPolicy",
    "Message",
    "MessageInfo",
    "MonitorRef",
    "Node",
    "Outbox",
    "Outcome",
    "PartitionSupervisor",
    "Pid",
    "ProcessExit",
    "ProcessGroups",
    "Reason",
    "Ref",
    "Registry",
    "Reject",
    "Reply",
    "SchedulerManager",
    "Seconds",
    "Sender",
    "Service",
    "Signal",
    "SignalRouter",
    "StanchionError",
    "StateHolder",
    "StateMachine",
    "Stop",
    "Supervisor",
    "Task",
    "TaskExit",
    "TaskOk",
    "TaskResult",
    "TaskSupervisor",
    "Timeout",
    "TimeoutPolicy",
    "TimerRef",
    "TrackedMonitors",
    "Via",
    "abcast",
    "broadcast_supervised",
    "call",
    "cancel_timer",
    "cast",
    "child_spec",
    "credits",
    "deadline",
    "demonitor",
    "exit",
    "link",
    "message_info",
    "monitor",
    "monitor_group",
    "monitoring",
    "multi_call",
    "read_timer",
    "receive",
    "register",
    "remaining",
    "reply",
    "run",
    "self_pid",
    "send",
    "send_after",
    "send_supervised",
    "spawn",
    "spawn_link",
    "spawn_monitor",
    "start",
    "start_link",
    "stop",
    "supervisor_spec",
    "trap_exit",
    "unlink",
    "unregister",
    "wait_exit",
    "whereis",
    "write_message",
]

# Heavier than the runtime, so loaded by whoever uses them.
_LAZY = {
    "Application": "stanchion.application",
    "Call": "stanchion.messages",
    "DeadLetter": "stanchion.dead_letters",
    "DeadLetterQueue": "stanchion.dead_letters",
    "Message": "stanchion.messages",
    "Outbox": "stanchion.outbox",
    "SchedulerManager": "stanchion.scheduler",
    "Signal": "stanchion.router",
    "SignalRouter": "stanchion.router",
    "StateMachine": "stanchion.state_machine",
    "TrackedMonitors": "stanchion.monitors",
    "monitor_group": "stanchion.monitors",
    "monitoring": "stanchion.monitors",
    "run": "stanchion.application",
}

Node.__module__ = __name__  # where users import it; the other names show their stations


def __getattr__(name: str) -> object:
    home = _LAZY.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(home), name)
    globals()[name] = value
    return value
