# SPDX-License-Identifier: MIT
"""Which function measures which budget."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Final

from bench import (
    calls,
    casts,
    dead_letters,
    flat_memory,
    idle,
    imports,
    journal,
    lateness,
    many_letters,
    memory,
    monitors,
    outbox,
    processes,
    publishing,
    publishing_peers,
    retry_pass,
    routes,
    schedules,
    sends,
    telemetry,
)
from bench._measure import Figures, Plan
from stanchion.telemetry import EVENTS

SUBJECTS: Final[dict[str, Callable[[Plan], Coroutine[object, object, Figures]]]] = {
    "cast": casts.measure,
    "call, 1 caller": partial(calls.measure, callers=1),
    "call, 100 callers": partial(calls.measure, callers=100),
    "send_supervised, 1 sender": partial(sends.measure, senders=1),
    "send_supervised, 100 senders": partial(sends.measure, senders=100),
    "send_supervised, 1 sender, attached": partial(sends.measure, senders=1, attached=EVENTS),
    "send_supervised, 100 senders, attached": partial(sends.measure, senders=100, attached=EVENTS),
    "call, 1 caller, rules and a deadline": partial(calls.measure_bounded, callers=1),
    "call, 100 callers, rules and a deadline": partial(calls.measure_bounded, callers=100),
    "send_supervised, 1 sender, rules and a deadline": partial(sends.measure_bounded, senders=1),
    "send_supervised, 100 senders, rules and a deadline": partial(sends.measure_bounded, senders=100),
    "telemetry, nobody attached": telemetry.measure,
    "spawn and stop, plain": processes.measure_plain,
    "start and stop, GenServer": processes.measure_servers,
    "memory, plain": partial(memory.measure, kind="plain"),
    "memory, GenServer": partial(memory.measure, kind="server"),
    "memory, 100,000 GenServers": partial(memory.measure, kind="server", full=100_000),
    "end a node of 100,000 GenServers": idle.measure,
    "monitor and demonitor": monitors.measure,
    "monitor and demonitor, 100,000 held": monitors.measure_held,
    "outbox on SQLite, 1 producer": partial(outbox.measure_on_sqlite, producers=1),
    "outbox on SQLite, 50 producers": partial(outbox.measure_on_sqlite, producers=50),
    "outbox on SQLite, 500 producers": partial(outbox.measure_on_sqlite, producers=500),
    "outbox on PostgreSQL, 1 producer": partial(outbox.measure_on_postgres, producers=1),
    "outbox on PostgreSQL, 50 producers": partial(outbox.measure_on_postgres, producers=50),
    "outbox on PostgreSQL, 500 producers": partial(outbox.measure_on_postgres, producers=500),
    "dead letters stored": dead_letters.measure,
    "retry pass, 100 of 100,000 due": retry_pass.measure,
    "publish, 10 of 10,000 subscriptions match": partial(routes.measure, new=False),
    "publish a new type, 10 of 10,000 subscriptions match": partial(routes.measure, new=True),
    "publish to 1 process": partial(publishing.measure_processes, subscribers=1),
    "publish to 10 processes": partial(publishing.measure_processes, subscribers=10),
    "publish to 1,000 processes": partial(publishing.measure_processes, subscribers=1_000),
    "publish to 1 callback": partial(publishing.measure_callbacks, subscribers=1),
    "publish to 10 callbacks": partial(publishing.measure_callbacks, subscribers=10),
    "publish to 1,000 callbacks": partial(publishing.measure_callbacks, subscribers=1_000),
    "publish to 10 callbacks, beside blinker": partial(publishing_peers.measure, peer=publishing_peers.through_blinker),
    "publish to 10 callbacks, beside pyee": partial(publishing_peers.measure, peer=publishing_peers.through_pyee),
    "publish to 10 callbacks, beside aiopubsub": partial(
        publishing_peers.measure, peer=publishing_peers.through_aiopubsub
    ),
    "signals stored on SQLite, 50 publishers": partial(journal.measure_on_sqlite, publishers=50),
    "signals stored on PostgreSQL, 50 publishers": partial(journal.measure_on_postgres, publishers=50),
    "durable subscription on SQLite": journal.measure_subscription_on_sqlite,
    "durable subscription on PostgreSQL": journal.measure_subscription_on_postgres,
    "add and cancel a schedule, 100,000 there": schedules.measure_adding,
    "fire a schedule, 100,000 there": schedules.measure_firing,
    "add and cancel a schedule, beside APScheduler": schedules.measure_adding_beside_apscheduler,
    "lateness p50, 10,000 messages": partial(lateness.measure, kind="messages", percent=50),
    "lateness p99, 10,000 messages": partial(lateness.measure, kind="messages", percent=99),
    "lateness p50, 10,000 tasks": partial(lateness.measure, kind="tasks", percent=50),
    "lateness p99, 10,000 tasks": partial(lateness.measure, kind="tasks", percent=99),
    "kept of 1,000,000 monitors that ended": partial(flat_memory.measure, kind="pairs"),
    "kept of 1,000,000 owners that died": partial(flat_memory.measure, kind="owner deaths"),
    "kept of 1,000,000 targets that died": partial(flat_memory.measure, kind="target deaths"),
    **{name: partial(many_letters.measure, work=work) for name, work in many_letters.WORK.items()},
    "import stanchion": imports.measure,
}

ONCE: Final = {*many_letters.WORK, *(name for name in SUBJECTS if name.startswith("kept of")), "import stanchion"}
"""What has little or nothing to do with event loops, and is measured once, on the first one."""

ON_POSTGRES: Final = {name for name in SUBJECTS if "PostgreSQL" in name}
"""What is left out where ``STANCHION_TEST_POSTGRES`` names no server."""
