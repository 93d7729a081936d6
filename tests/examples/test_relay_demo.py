# SPDX-License-Identifier: MIT
"""The demo: its account is right, and it runs."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from examples.relay.demo.account import Account, account
from examples.relay.demo.endpoints import Arrival
from examples.relay.demo.table import problems, table
from examples.relay.demo.tally import Tally, tell
from stanchion.telemetry import CHILD_RESTART, DELIVERY_STOP, SCHEDULE_STOPPED, Telemetry

ROOT = Path(__file__).resolve().parents[2]
WEBHOOKS = ROOT.parent / "shared" / "data" / "github-webhooks.jsonl"

EXPECTED = {"a": "1", "b": "2", "c": "3"}


def test_account_counts_what_arrived_and_what_rests() -> None:
    arrivals = [Arrival("a", "1"), Arrival("a", "1"), Arrival("b", "2")]
    resting = [Arrival("c", "3"), Arrival("a", "1")]
    assert account(EXPECTED, arrivals, resting) == Account(3, 2, 1, [], [], 1)


def test_account_finds_what_is_lost_and_what_nobody_can_explain() -> None:
    arrivals = [Arrival("a", "1"), Arrival("b", "other"), Arrival("z", "9")]
    result = account(EXPECTED, arrivals, [])
    assert result == Account(3, 1, 0, ["b", "c"], ["b", "z"], 0)
    assert problems({"chat": result}) == [
        "chat: event b is lost",
        "chat: event c is lost",
        "chat: event b arrived and should not, or with another body",
        "chat: event z arrived and should not, or with another body",
    ]


def test_account_does_not_take_a_letter_with_another_body_for_the_event() -> None:
    assert account({"a": "1"}, [], [Arrival("a", "2")]).lost == ["a"]


def test_tally_counts_by_subscriber_what_telemetry_tells() -> None:
    telemetry, tally = Telemetry(), Tally()
    tell(telemetry, tally.count)
    for child in ("chat", "ingress"):
        telemetry.emit(CHILD_RESTART, {}, {"child_id": child})
    telemetry.emit(SCHEDULE_STOPPED, {}, {"schedule": "relay.nightly", "outcome": "confirmed"})
    for outcome in ("confirmed", "rejected", "unknown"):
        telemetry.emit(DELIVERY_STOP, {}, {"recipient": "chat", "outcome": outcome})
    counted = [tally[word, "chat"] for word in ("restarted", "failed", "sent", "redelivered")]
    assert tally["scheduled", "relay.nightly"] == 1
    assert (counted, tally["restarted", "ingress"]) == ([1, 2, 1, 0], 1)


def test_table_has_a_row_for_each_subscriber_and_the_sum() -> None:
    accounts = {"audit": Account(3, 3, 0, [], [], 0), "chat": Account(2, 1, 0, ["x"], [], 4)}
    lines = table(accounts, Tally(), {"chat": "flaky"}).splitlines()
    assert [re.split(r"\s{2,}", line.strip()) for line in lines] == [
        ["received", "delivered", "failed", "restarted", "dead-lettered", "redelivered", "duplicates", "lost"],
        ["audit", "3", "3", "0", "0", "0", "0", "0", "0"],
        ["chat (flaky)", "2", "1", "0", "0", "0", "0", "4", "1"],
        ["ingress", "0", "0", "0", "0", "0", "0", "0", "0"],
        ["all", "5", "4", "0", "0", "0", "0", "4", "1"],
    ]


def start_demo(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "examples.relay.demo", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONWARNINGS": "default"},
    )


def told_by(demo: subprocess.Popen[str]) -> dict[str, list[int]]:
    """Wait for the end of a demo; return the numbers of its table."""
    out, _ = demo.communicate(timeout=100)
    assert demo.returncode == 0, out
    assert "Every accepted event arrived, or rests in the dead letters." in out
    assert "Warning" not in out, out
    rows = re.findall(r"^(all|archive|chat|tickets|ingress)[ a-z()]* {2,}([\d ]+)$", out, re.MULTILINE)
    return {name: [int(number) for number in numbers.split()] for name, numbers in rows}


@pytest.mark.timeout(120)
def test_demo_accounts_for_every_event() -> None:
    numbers = told_by(start_demo())
    received, delivered, failed, restarted, dead_lettered, redelivered, _, lost = numbers["all"]
    assert (numbers["archive"][:2], received, delivered, lost) == ([30, 30], 63, 63, 0)
    assert min(failed, restarted, dead_lettered, redelivered) > 0


@pytest.mark.timeout(120)
@pytest.mark.skipif(not WEBHOOKS.exists(), reason="the real payloads are not part of a clone")
def test_demo_accounts_for_every_real_webhook() -> None:
    numbers = told_by(start_demo("--events", WEBHOOKS))
    assert (numbers["archive"][:2], numbers["all"][-1]) == ([329, 329], 0)


def test_demo_says_so_when_the_file_is_no_events(tmp_path: Path) -> None:
    demo = start_demo("--events", tmp_path / "none.jsonl")
    out, _ = demo.communicate(timeout=15)
    assert demo.returncode == 2
    assert out.startswith(f"--events: expected a JSONL file of events, got {tmp_path}/none.jsonl: ")


@pytest.mark.timeout(120)
@pytest.mark.skipif(not Path("/proc").exists(), reason="looks for the children in /proc")
def test_demo_leaves_no_process_behind_when_it_is_interrupted() -> None:
    demo = start_demo()
    assert demo.stdout is not None
    demo.stdout.readline()
    while " accepted" not in demo.stdout.readline():
        pass
    children = children_of(demo.pid)
    assert len(children) in (3, 4)  # the endpoints; and the relay, which may be killed just now
    demo.send_signal(signal.SIGINT)
    demo.communicate()
    assert demo.returncode == 130
    assert [pid for pid in children if Path(f"/proc/{pid}").exists()] == []


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
