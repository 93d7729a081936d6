# SPDX-License-Identifier: MIT
"""Events from a JSONL file or standard input."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import stanchion as st
from examples.relay.feed import Feed
from examples.relay.lines import read_lines
from examples.relay.relay import Relay
from stanchion.kernel import ExitReason
from tests.examples.relay_kit import Endpoint, MakeRelay, serving, subscriber

pytestmark = pytest.mark.timeout(60)  # the machine may be busy with other tests

ROOT = Path(__file__).resolve().parents[2]


async def file_of(folder: Path, *parts: bytes) -> Path:
    """Write a file, in a thread: tests may not block the loop."""
    path = folder / "events.jsonl"
    await asyncio.to_thread(path.write_bytes, b"".join(parts))
    return path


async def fed(relay: Relay, path: Path) -> tuple[Feed, ExitReason]:
    """Feed a file to a relay, from start to end; return why the relay ended."""
    feed = Feed(relay, str(path))
    async with relay.node:
        top = await relay.application(st.child_spec(feed.run, id="feed", restart="temporary")).start()
        return feed, await st.wait_exit(top, timeout=None)


async def test_feed_delivers_each_line_and_ends(make_relay: MakeRelay, tmp_path: Path) -> None:
    lines = b'{"event": "push", "payload": {"n": 1}, "id": "a"}\n\n', b'{"event":"ping","payload":{ "n":2},"id":"b"}'
    path = await file_of(tmp_path, *lines)
    endpoint = Endpoint()
    async with serving(endpoint):
        feed, reason = await fed(make_relay(subscriber("audit", url=endpoint.url)), path)
    assert (feed.accepted, feed.malformed, reason) == (2, 0, "normal")
    assert sorted(endpoint.requests) == [("a", b'{"n": 1}'), ("b", b'{ "n":2}')]


async def test_feed_tells_the_line_of_what_is_no_event_and_goes_on(
    make_relay: MakeRelay, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines = [
        '{"event": "push"',
        '{"event": "push"}',
        '{"event": "a b", "payload": {}}',
        '{"event": "push", "payload": 3}',
        '{"event": "push", "payload": {"x": "' + "y" * 200 + '"}}',
        '{"event": "push", "payload": {}}',
    ]
    path = await file_of(tmp_path, "\n".join(lines).encode())
    endpoint = Endpoint()
    async with serving(endpoint):
        feed, _ = await fed(make_relay(subscriber("audit", url=endpoint.url), max_body=200), path)
    assert (feed.accepted, feed.malformed, len(endpoint.ids)) == (1, 5, 1)
    expected = 'expected {"event": name, "payload": {...}}: '
    assert [record.getMessage() for record in caplog.records if record.name == "relay.feed"] == [
        f"{path}:1: skipped: {expected}Input data was truncated",
        f"{path}:2: skipped: {expected}Object missing required field `payload`",
        f"{path}:3: skipped: event: expected letters, digits, - and _, got 'a b'",
        f"{path}:4: skipped: payload: expected an object, got a JSON int",
        f"{path}:5: skipped: expected at most 200 bytes, got more",
    ]


async def test_feed_takes_each_real_webhook(make_relay: MakeRelay, webhooks: object) -> None:
    path = ROOT.parent / "shared" / "data" / "github-webhooks.jsonl"
    endpoint = Endpoint()
    async with serving(endpoint):
        feed, _ = await fed(make_relay(subscriber("audit", url=endpoint.url)), path)
    assert (feed.accepted, feed.malformed, len(set(endpoint.ids))) == (329, 0, 329)


async def test_feed_ends_the_application_with_the_error_when_the_file_cannot_be_read(
    make_relay: MakeRelay, tmp_path: Path
) -> None:
    _, reason = await fed(make_relay(subscriber("audit")), tmp_path / "none")
    assert isinstance(reason, FileNotFoundError)


async def test_lines_are_read_across_chunks_and_cut_at_the_limit(tmp_path: Path) -> None:
    path = await file_of(tmp_path, b"a" * 70_000, b"\n", b"b" * 100_001, b"\nlast")
    found = [(number, line and len(line)) async for number, line in read_lines(str(path), 100_000)]
    assert found == [(1, 70_000), (2, None), (3, 4)]


def fed_from_standard_input(folder: Path, retries: int) -> subprocess.Popen[bytes]:
    """Start a relay that reads standard input, and whose subscriber is not there."""
    (folder / "relay.toml").write_text(
        f'[relay]\ndatabase = "sqlite:///{folder}/relay.db"\n'
        '[sources.github]\nsecret_env = "SECRET"\n'
        f'[subscribers.audit]\nurl = "http://127.0.0.1:9/"\nevents = ["**"]\nretries = {retries}\n'
    )
    return subprocess.Popen(
        [sys.executable, "-m", "examples.relay", "--config", folder / "relay.toml", "--events", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "SECRET": "s"},
    )


def test_command_reads_standard_input_and_keeps_what_it_cannot_deliver(tmp_path: Path) -> None:
    relay = fed_from_standard_input(tmp_path, retries=0)
    out, err = relay.communicate(b'{"event": "push", "payload": {}}\nnonsense\n')
    assert (relay.returncode, out) == (0, b"relay: 1 events accepted, 1 lines skipped\n")
    assert b"-:2: skipped: expected" in err
    assert (tmp_path / "relay.db").stat().st_size > 0


def test_command_stops_when_standard_input_stays_open(tmp_path: Path) -> None:
    relay = fed_from_standard_input(tmp_path, retries=9)
    assert relay.stdin is not None
    assert relay.stderr is not None
    relay.stdin.write(b'nonsense\n{"event": "push", "payload": {}}\n')
    relay.stdin.flush()
    while b"-:1: skipped" not in relay.stderr.readline():
        pass
    relay.send_signal(signal.SIGTERM)
    assert relay.wait() == 0
    relay.communicate()
