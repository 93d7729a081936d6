# SPDX-License-Identifier: MIT
"""A file that is watched, and loaded again when it has changed."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest

import stanchion as st
from stanchion.telemetry import TIMEOUTS_RELOAD_FAILED, TIMEOUTS_RELOADED
from stanchion.testing import VirtualClock, VirtualTimeLoop
from stanchion.timeouts import TimeoutPolicy


@pytest.fixture
def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    return VirtualTimeLoop


def put(path: Path, text: str) -> None:
    """Write a file so that it looks changed, however coarse the time of the file system is."""
    before = path.stat().st_mtime_ns if path.exists() else 0
    path.write_text(text)
    os.utime(path, ns=(before + 10**9, before + 10**9))


def watching(policy: TimeoutPolicy) -> st.Node:
    return st.Node(timeouts=policy, clock=VirtualClock(), block_threshold=None)


def heard_by(node: st.Node) -> list[tuple[str, dict[str, object]]]:
    heard: list[tuple[str, dict[str, object]]] = []
    for event in (TIMEOUTS_RELOADED, TIMEOUTS_RELOAD_FAILED):
        node.telemetry.attach(event, lambda event, m, d: heard.append((event.name[-1], {**m, **d})))
    return heard


@pytest.mark.allow_blocking("the test writes files")
async def test_changed_file_holds_from_the_next_look(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="stanchion.timeouts")
    put(folder / "t.toml", "default = 2\n")
    policy = TimeoutPolicy.load("t.toml", watch=10)
    async with watching(policy) as node:
        heard = heard_by(node)
        await asyncio.sleep(25)
        assert heard == []
        put(folder / "t.toml", "default = 3\n[services]\nstock = 1\n")
        await asyncio.sleep(4)
        assert policy.default == 2.0
        await asyncio.sleep(10)
        assert policy.default == 3.0
        await asyncio.sleep(100)
    assert heard == [("reloaded", {"rules": 2, "node": "node", "file": "t.toml"})]
    assert [record.getMessage() for record in caplog.records] == ["the timeouts are now as t.toml says; rules: 2"]


@pytest.mark.allow_blocking("the test writes files")
async def test_broken_file_changes_nothing_and_is_told_once(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    put(folder / "t.toml", "default = 2\nwatch = 1\n")
    policy = TimeoutPolicy.load("t.toml")
    async with watching(policy) as node:
        heard = heard_by(node)
        put(folder / "t.toml", "default = 'x'\n")
        await asyncio.sleep(10)
        assert (policy.default, len(heard)) == (2.0, 1)
        (folder / "t.toml").unlink()
        await asyncio.sleep(10)
        assert (policy.default, len(heard)) == (2.0, 2)
        put(folder / "t.toml", "default = 4\n")
        await asyncio.sleep(10)
        assert policy.default == 4.0
    mistake = "t.toml: default: expected seconds > 0 as a finite number, got 'x'"
    assert heard[0] == ("reload_failed", {"count": 1, "node": "node", "file": "t.toml", "error": mistake})
    assert [name for name, _ in heard] == ["reload_failed", "reload_failed", "reloaded"]
    assert [record.getMessage() for record in caplog.records] == [
        f"the timeouts stay as they were, for t.toml cannot be loaded: {mistake}",
        (
            "the timeouts stay as they were, for t.toml cannot be loaded: "
            "t.toml: expected a file to read, got No such file or directory"
        ),
    ]


@pytest.mark.allow_blocking("the test writes files")
async def test_watch_ends_when_the_file_says_no_more_of_it(folder: Path) -> None:
    put(folder / "t.toml", "watch = 1\n")
    policy = TimeoutPolicy.load("t.toml")
    async with watching(policy):
        put(folder / "t.toml", "default = 2\n")
        await asyncio.sleep(3)
        put(folder / "t.toml", "default = 3\n")
        await asyncio.sleep(30)
    assert policy.default == 2.0


@pytest.mark.allow_blocking("the test writes files")
async def test_file_that_changed_before_the_node_was_entered_is_noticed(folder: Path) -> None:
    put(folder / "t.toml", "default = 2\n")
    policy = TimeoutPolicy.load("t.toml", watch=1)
    put(folder / "t.toml", "default = 3\n")
    async with watching(policy), watching(policy):
        await asyncio.sleep(2)
    assert policy.default == 3.0


def test_policy_without_a_file_is_not_watched() -> None:
    assert TimeoutPolicy.load(watch=1).services() == []
