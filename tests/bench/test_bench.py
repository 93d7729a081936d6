# SPDX-License-Identifier: MIT
from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(300)  # the machine may be busy with other tests

ROOT = Path(__file__).resolve().parents[2]

ON_EACH_LOOP = [
    "cast",
    "call, 1 caller",
    "call, 100 callers",
    "send_supervised, 1 sender",
    "send_supervised, 100 senders",
    "send_supervised, 1 sender, attached",
    "send_supervised, 100 senders, attached",
    "call, 1 caller, rules and a deadline",
    "call, 100 callers, rules and a deadline",
    "send_supervised, 1 sender, rules and a deadline",
    "send_supervised, 100 senders, rules and a deadline",
    "telemetry, nobody attached",
    "spawn and stop, plain",
    "start and stop, GenServer",
    "memory, plain",
    "memory, GenServer",
    "memory, 100,000 GenServers",
    "end a node of 100,000 GenServers",
    "monitor and demonitor",
    "monitor and demonitor, 100,000 held",
    "outbox on SQLite, 1 producer",
    "outbox on SQLite, 50 producers",
    "outbox on SQLite, 500 producers",
    "outbox on PostgreSQL, 1 producer",
    "outbox on PostgreSQL, 50 producers",
    "outbox on PostgreSQL, 500 producers",
    "dead letters stored",
    "retry pass, 100 of 100,000 due",
    "publish, 10 of 10,000 subscriptions match",
    "publish a new type, 10 of 10,000 subscriptions match",
    "publish to 1 process",
    "publish to 10 processes",
    "publish to 1,000 processes",
    "publish to 1 callback",
    "publish to 10 callbacks",
    "publish to 1,000 callbacks",
    "publish to 10 callbacks, beside blinker",
    "publish to 10 callbacks, beside pyee",
    "publish to 10 callbacks, beside aiopubsub",
    "signals stored on SQLite, 50 publishers",
    "signals stored on PostgreSQL, 50 publishers",
    "durable subscription on SQLite",
    "durable subscription on PostgreSQL",
    "add and cancel a schedule, 100,000 there",
    "fire a schedule, 100,000 there",
    "add and cancel a schedule, beside APScheduler",
    "lateness p50, 10,000 messages",
    "lateness p99, 10,000 messages",
    "lateness p50, 10,000 tasks",
    "lateness p99, 10,000 tasks",
]

ONCE = [
    "kept of 1,000,000 monitors that ended",
    "kept of 1,000,000 owners that died",
    "kept of 1,000,000 targets that died",
    "list the newest, 100 of 1,000,000",
    "list by state, 100 of 1,000,000",
    "list by recipient, 100 of 1,000,000",
    "list by reason, 100 of 1,000,000",
    "list by type, 100 of 1,000,000",
    "list by time, 100 of 1,000,000",
    "retry pass, 100 of 1,000,000 due",
    "purge, 100 of 1,000,000",
    "import stanchion",
]


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=280, check=False
    )


@pytest.fixture(scope="module", params=["asyncio", "uvloop"] if find_spec("uvloop") else ["asyncio"])
def loop(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def quick(loop: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[dict[str, Any]]]:
    """Return what a quick run on a loop printed, and its rows."""
    path = tmp_path_factory.mktemp("bench") / "results.json"
    done = bench("--quick", "--loop", loop, "--json", str(path))
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(path.read_text(encoding="utf-8"))


def test_bench_measures_each_budget_on_each_loop(quick: tuple[str, list[dict[str, Any]]], loop: str) -> None:
    there = [name for name in ON_EACH_LOOP if "PostgreSQL" not in name or os.environ.get("STANCHION_TEST_POSTGRES")]
    expected = [*((name, loop) for name in there), *((name, "") for name in ONCE)]
    assert [(row["name"], row["loop"]) for row in quick[1]] == expected


def test_bench_writes_rows_of_one_shape(quick: tuple[str, list[dict[str, Any]]]) -> None:
    for row in quick[1]:
        assert list(row) == ["name", "loop", "value", "unit", "floor", "ratio", "first_target", "goal"]
        assert isinstance(row["value"], float)
        assert row["floor"] is None or row["floor"] > 0
        assert row["ratio"] is None or row["ratio"] > 0
        assert row["unit"] in {"1/s", "%", "B", "ms", "µs"}


def test_bench_says_of_each_row_if_target_and_goal_are_reached(quick: tuple[str, list[dict[str, Any]]]) -> None:
    lines = quick[0].splitlines()
    assert lines[0].split() == ["loop", "ours", "floor", "ratio", "first", "target", "goal"]
    assert [line.count("reached") for line in lines[1:]] == [2] * len(quick[1])


def test_bench_names_what_there_is_when_told_to_measure_something_else() -> None:
    done = bench("--only", "kast")
    assert done.returncode == 1
    assert done.stderr.startswith(
        "--only: expected a part of one of these names, got 'kast'\n  cast\n  call, 1 caller\n"
    )
