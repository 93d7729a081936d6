# SPDX-License-Identifier: MIT
"""Nothing that was promised is missing after ``kill -9``.

A few kills each run; ``make stress`` makes hundreds. ``python -m tests.crash --help`` has the rest.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash.__main__ import TARGETS

Crash = Callable[..., subprocess.CompletedProcess[str]]

ROOT = Path(__file__).resolve().parents[2]
STRESS_KILLS = 4 * int(os.environ.get("STANCHION_STRESS_ROUNDS", "40"))

STORES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.services("postgres"))]


pytestmark = pytest.mark.timeout(60)  # it takes a few seconds, of a machine that may be busy with other tests


@pytest.fixture
def crash(tmp_path: Path) -> Crash:
    """Run the harness: a process of its own, since it forks and may have no threads."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tests.crash", *arguments]
        environment = os.environ | {"TMPDIR": str(tmp_path)}
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    return run


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("store", STORES)
def test_nothing_is_lost_when_a_process_is_killed(crash: Crash, store: str, target: str) -> None:
    ended = crash("--store", store, "--target", target, "--kills", "6", "--seed", str(os.getpid()))
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.stress
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("store", STORES)
def test_nothing_is_lost_when_processes_are_killed_by_hundreds(crash: Crash, store: str, target: str) -> None:
    ended = crash("--store", store, "--target", target, "--kills", str(STRESS_KILLS), "--seed", str(os.getpid()))
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("target", "fault", "found"),
    [
        ("dead letters", "answer_before_commit", "got none"),
        ("dead letters", "replay_in_two_commits", "has 0 replays"),
        ("redelivery", "deliver_before_handling", "nobody handled it, and"),
        ("redelivery", "claim_without_commit", "has it while process"),
        ("migration", "migrate_in_pieces", "at revision"),
        ("outbox", "store_after_answer", "and is neither handled nor anywhere"),
        ("outbox", "remove_before_sending", "and is neither handled nor anywhere"),
        ("persistent schedules", "fire_in_two_commits", "messages are handled or somewhere"),
        ("durable subscriptions", "publish_before_commit", "its publication returned, and it is nowhere"),
        ("durable subscriptions", "pass_before_sending", "and the subscription has passed it"),
    ],
)
def test_harness_finds_a_fault_that_loses_messages(crash: Crash, target: str, fault: str, found: str) -> None:
    ended = crash("--store", "sqlite", "--target", target, "--kills", "100", "--fault", fault)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert found in ended.stdout
