# SPDX-License-Identifier: MIT
"""What is to be reached: the one table of targets and goals."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple


class Budget(NamedTuple):
    """One line of the table.

    Attributes:
        name: What the row is called, in the table, in the JSON and after ``--only``.
        unit: The unit of the value and of the floor.
        of: What target and goal speak about: the ratio to the floor, or the value itself.
        better: Whether more is better, or less.
        first_target: What this line of work is to reach.
        goal: What it is to reach in the end.
        floor: What it is compared with, in words; empty where there is nothing.
    """

    name: str
    unit: str
    of: Literal["ratio", "value"]
    better: Literal["more", "less"]
    first_target: float
    goal: float
    floor: str

    def reached(self, mark: float, value: float, ratio: float | None) -> bool:
        """Return whether a figure reaches ``mark``, the first target or the goal."""
        figure = value if self.of == "value" or ratio is None else ratio
        return figure >= mark if self.better == "more" else figure <= mark


BUDGETS: Final = {
    budget.name: budget
    for budget in (
        Budget("cast", "1/s", "ratio", "more", 0.6, 1.0, "asyncio.Queue, one way"),
        Budget("call, 1 caller", "1/s", "ratio", "more", 0.6, 1.0, "Queue and Future, 1 caller"),
        Budget("call, 100 callers", "1/s", "ratio", "more", 0.4, 0.8, "Queue and Future, 100 callers"),
        Budget("send_supervised, 1 sender", "1/s", "ratio", "more", 0.45, 0.6, "Queue and Future, 1 caller"),
        Budget("send_supervised, 100 senders", "1/s", "ratio", "more", 0.3, 0.5, "Queue and Future, 100 callers"),
        Budget("send_supervised, 1 sender, attached", "1/s", "ratio", "more", 0.45, 0.6, "Queue and Future, 1 caller"),
        Budget(
            "send_supervised, 100 senders, attached", "1/s", "ratio", "more", 0.3, 0.5, "Queue and Future, 100 callers"
        ),
        Budget("call, 1 caller, rules and a deadline", "1/s", "ratio", "more", 0.6, 1.0, "Queue and Future, 1 caller"),
        Budget(
            "call, 100 callers, rules and a deadline", "1/s", "ratio", "more", 0.4, 0.8, "Queue and Future, 100 callers"
        ),
        Budget(
            "send_supervised, 1 sender, rules and a deadline",
            "1/s",
            "ratio",
            "more",
            0.45,
            0.6,
            "Queue and Future, 1 caller",
        ),
        Budget(
            "send_supervised, 100 senders, rules and a deadline",
            "1/s",
            "ratio",
            "more",
            0.3,
            0.5,
            "Queue and Future, 100 callers",
        ),
        Budget("telemetry, nobody attached", "%", "value", "less", 3.0, 1.0, ""),
        Budget("spawn and stop, plain", "1/s", "ratio", "more", 0.4, 0.6, "task and Queue"),
        Budget("start and stop, GenServer", "1/s", "ratio", "more", 0.4, 0.6, "task and Queue"),
        Budget("memory, plain", "B", "value", "less", 5_000, 4_000, "task and Queue"),
        Budget("memory, GenServer", "B", "value", "less", 5_000, 4_000, "task and Queue"),
        Budget("memory, 100,000 GenServers", "B", "value", "less", 5_000, 4_000, "task and Queue"),
        Budget("end a node of 100,000 GenServers", "1/s", "ratio", "more", 0.5, 0.8, "tasks, cancelled and gathered"),
        Budget("monitor and demonitor", "1/s", "value", "more", 400_000, 1_000_000, ""),
        Budget("monitor and demonitor, 100,000 held", "1/s", "value", "more", 400_000, 1_000_000, "none held"),
        Budget("outbox on SQLite, 1 producer", "1/s", "ratio", "more", 0.3, 0.5, "sqlite3, batches of 1"),
        Budget("outbox on SQLite, 50 producers", "1/s", "ratio", "more", 0.3, 0.5, "sqlite3, batches of 50"),
        Budget("outbox on SQLite, 500 producers", "1/s", "ratio", "more", 0.3, 0.5, "sqlite3, batches of 500"),
        Budget("outbox on PostgreSQL, 1 producer", "1/s", "ratio", "more", 0.3, 0.5, "asyncpg, batches of 1"),
        Budget("outbox on PostgreSQL, 50 producers", "1/s", "ratio", "more", 0.3, 0.5, "asyncpg, batches of 50"),
        Budget("outbox on PostgreSQL, 500 producers", "1/s", "ratio", "more", 0.3, 0.5, "asyncpg, batches of 500"),
        Budget("dead letters stored", "1/s", "ratio", "more", 0.4, 0.7, "sqlite3, batches of 100"),
        Budget("retry pass, 100 of 100,000 due", "ms", "ratio", "less", 2.0, 1.2, "100 of 100 due"),
        Budget("publish, 10 of 10,000 subscriptions match", "µs", "ratio", "less", 2.0, 1.2, "10 of 10 match"),
        Budget(
            "publish a new type, 10 of 10,000 subscriptions match", "µs", "ratio", "less", 2.0, 1.2, "10 of 10 match"
        ),
        Budget("publish to 1 process", "1/s", "ratio", "more", 0.3, 0.5, "cast by hand"),
        Budget("publish to 10 processes", "1/s", "ratio", "more", 0.3, 0.5, "cast by hand to each"),
        Budget("publish to 1,000 processes", "1/s", "ratio", "more", 0.3, 0.5, "cast by hand to each"),
        Budget("publish to 1 callback", "1/s", "ratio", "more", 0.3, 0.5, "task and Queue"),
        Budget("publish to 10 callbacks", "1/s", "ratio", "more", 0.3, 0.5, "a task and a Queue for each"),
        Budget("publish to 1,000 callbacks", "1/s", "ratio", "more", 0.3, 0.5, "a task and a Queue for each"),
        Budget(
            "publish to 10 callbacks, beside blinker",
            "1/s",
            "ratio",
            "more",
            0.2,
            0.5,
            "blinker: calls in the publisher's step, no patterns, no buffer, one that raises keeps the rest from hearing",
        ),
        Budget(
            "publish to 10 callbacks, beside pyee",
            "1/s",
            "ratio",
            "more",
            1.0,
            2.0,
            "pyee: a task for each call, no patterns, no limit, no order once one waits",
        ),
        Budget(
            "publish to 10 callbacks, beside aiopubsub",
            "1/s",
            "ratio",
            "more",
            1.0,
            2.0,
            "aiopubsub: queues without limit, nothing told of what is lost",
        ),
        Budget("signals stored on SQLite, 50 publishers", "1/s", "ratio", "more", 0.3, 0.5, "sqlite3, batches of 50"),
        Budget(
            "signals stored on PostgreSQL, 50 publishers", "1/s", "ratio", "more", 0.3, 0.5, "asyncpg, batches of 50"
        ),
        Budget(
            "durable subscription on SQLite",
            "1/s",
            "ratio",
            "more",
            0.3,
            0.5,
            "send_supervised, 1 sender, nothing kept",
        ),
        Budget(
            "durable subscription on PostgreSQL",
            "1/s",
            "ratio",
            "more",
            0.3,
            0.5,
            "send_supervised, 1 sender, nothing kept",
        ),
        Budget("add and cancel a schedule, 100,000 there", "µs", "ratio", "less", 2.0, 1.2, "1,000 there"),
        Budget("fire a schedule, 100,000 there", "µs", "ratio", "less", 2.0, 1.2, "1,000 there"),
        Budget(
            "add and cancel a schedule, beside APScheduler",
            "1/s",
            "ratio",
            "more",
            1.0,
            2.0,
            "APScheduler 3, in memory: no owners",
        ),
        Budget(
            "lateness p50, 10,000 messages",
            "ms",
            "ratio",
            "less",
            1.0,
            0.8,
            "APScheduler 3, in memory: calls functions, nothing acknowledged",
        ),
        Budget(
            "lateness p99, 10,000 messages",
            "ms",
            "ratio",
            "less",
            1.0,
            0.8,
            "APScheduler 3, in memory: calls functions, nothing acknowledged",
        ),
        Budget(
            "lateness p50, 10,000 tasks", "ms", "ratio", "less", 1.0, 0.8, "APScheduler 3, in memory: tasks of no tree"
        ),
        Budget(
            "lateness p99, 10,000 tasks", "ms", "ratio", "less", 1.0, 0.8, "APScheduler 3, in memory: tasks of no tree"
        ),
        Budget("kept of 1,000,000 monitors that ended", "B", "value", "less", 1.0, 0.1, ""),
        Budget("kept of 1,000,000 owners that died", "B", "value", "less", 1.0, 0.1, ""),
        Budget("kept of 1,000,000 targets that died", "B", "value", "less", 1.0, 0.1, ""),
        Budget("list the newest, 100 of 1,000,000", "ms", "ratio", "less", 2.0, 1.2, "100 of 1,000"),
        Budget("list by state, 100 of 1,000,000", "ms", "ratio", "less", 2.0, 1.2, "100 of 1,000"),
        Budget("list by recipient, 100 of 1,000,000", "ms", "ratio", "less", 2.0, 1.2, "100 of 1,000"),
        Budget("list by reason, 100 of 1,000,000", "ms", "ratio", "less", 2.0, 1.2, "100 of 1,000"),
        Budget("list by type, 100 of 1,000,000", "ms", "ratio", "less", 2.0, 1.2, "100 of 1,000"),
        Budget("list by time, 100 of 1,000,000", "ms", "ratio", "less", 2.0, 1.2, "100 of 1,000"),
        Budget("retry pass, 100 of 1,000,000 due", "ms", "ratio", "less", 2.0, 1.2, "100 of 1,000 due"),
        Budget("purge, 100 of 1,000,000", "ms", "ratio", "less", 2.0, 1.2, "100 of 1,000"),
        Budget("import stanchion", "ms", "value", "less", 80, 50, "bare Python"),
    )
}
"""By name, in the order in which they are measured and printed."""
