# SPDX-License-Identifier: MIT
"""The comparison with other libraries, as far as it needs nothing installed, and the profile."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from bench.peers.__main__ import Line, table

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=18, check=False)


def test_peers_does_each_job_on_the_floor_and_on_ours(tmp_path: Path) -> None:
    path = tmp_path / "peers.json"
    done = run("bench.peers", "--only", "stanchion", "--rounds", "1", "--scale", "0.01", "--json", str(path))
    assert done.returncode == 0, done.stderr
    lines = json.loads(path.read_text(encoding="utf-8"))
    assert [(line["job"], line["subject"]) for line in lines] == [
        (job, subject) for job in "abcd" for subject in ("floor", "stanchion")
    ]
    for line in lines:
        assert list(line) == ["job", "work", "subject", "version", "rate", "ratio", "missing"]
        assert line["rate"] > 0
        assert line["ratio"] == 1 if line["subject"] == "floor" else line["ratio"] > 0
        assert line["missing"] is None


def test_peers_names_a_library_that_is_missing_and_why() -> None:
    line = Line("a", "one way", "pykka", "", None, None, "no network")
    assert table([line]).splitlines()[:2] == [
        "a: one way, the handler counts",
        "  pykka                 missing: no network",
    ]


def test_profile_says_where_the_time_goes(tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    done = run("bench.profile", "--calls", "20000", "--json", str(path))
    assert done.returncode == 0, done.stderr
    profiles = json.loads(path.read_text(encoding="utf-8"))
    assert [profile["callers"] for profile in profiles] == [1, 100]
    for profile in profiles:
        assert profile["samples"] > 0
        assert abs(sum(profile["shares"].values()) - 100) < 1
        assert "the event loop: ready queue, select, handles, futures" in profile["shares"]
