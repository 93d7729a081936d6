# SPDX-License-Identifier: MIT
"""The relay as an OS process: told to stop in the middle of its work, it loses nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.examples.relay_kit import SECRET, Client, Endpoint, serving, until

ROOT = Path(__file__).resolve().parents[2]

CONFIG = """
[relay]
listen = "127.0.0.1:0"
dead_letters = "sqlite:///{folder}/relay.db"
[redelivery]
initial = 0.1
maximum = 0.5
[sources.github]
secret_env = "SECRET"
[subscribers.audit]
url = "{url}"
events = ["*"]
initial = 0.1
in_flight = 4
"""


class Daemon:
    """A relay in an OS process of its own."""

    def __init__(self, process: asyncio.subprocess.Process, client: Client) -> None:
        self.process = process
        self.client = client

    async def end(self, order: signal.Signals) -> int:
        self.process.send_signal(order)
        return await asyncio.wait_for(self.process.wait(), timeout=10)


@asynccontextmanager
async def daemon(folder: Path, url: str) -> AsyncGenerator[Daemon, None]:
    """Run a relay whose only subscriber is at ``url``; kill it at the end if it still runs."""
    path = folder / "relay.toml"
    await asyncio.to_thread(path.write_text, CONFIG.format(folder=folder, url=url))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "examples.relay", "--config", path, "--log-level", "error"),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "SECRET": SECRET.decode()},
    )
    assert process.stdout is not None
    try:
        line = (await process.stdout.readline()).decode()
        address = line.removeprefix("relay: listening on ").strip()
        async with aiohttp.ClientSession(address) as session:
            yield Daemon(process, Client(session, int(address.rpartition(":")[2])))
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.allow_blocking("asyncio starts OS processes by blocking calls")
async def test_relay_loses_nothing_when_it_is_terminated_in_the_middle_and_started_again(tmp_path: Path) -> None:
    sent = {f"id-{number}" for number in range(40)}
    endpoint = Endpoint(500)
    async with serving(endpoint):
        async with daemon(tmp_path, endpoint.url) as first:
            for id_ in sorted(sent):
                assert (await first.client.post(X_GitHub_Delivery=id_))[0] == 202
            assert await first.end(signal.SIGTERM) == 0
        endpoint.statuses = [200]
        endpoint.requests.clear()
        async with daemon(tmp_path, endpoint.url) as second:
            await until(lambda: set(endpoint.ids) == sent)
            assert await second.end(signal.SIGINT) == 0


@pytest.mark.allow_blocking("asyncio starts OS processes by blocking calls")
async def test_relay_stops_when_requests_are_under_way(tmp_path: Path) -> None:
    endpoint = Endpoint()
    endpoint.open.clear()
    async with serving(endpoint), daemon(tmp_path, endpoint.url) as relay:
        assert (await relay.client.post())[0] == 202
        await until(lambda: len(endpoint.ids) == 1)
        assert await relay.end(signal.SIGTERM) == 0


def run_main(*arguments: object, **environ: str) -> tuple[int, str]:
    import subprocess

    done = subprocess.run(
        [sys.executable, "-m", "examples.relay", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **environ},
        timeout=15,
        check=False,
    )
    return done.returncode, done.stderr


def test_command_says_what_is_wrong_with_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "relay.toml"
    path.write_text('[subscribers.audit]\nurl = "http://127.0.0.1:9/"\n[sources.github]\nsecret_env = "SECRET"')
    assert run_main("--config", path, SECRET="s") == (
        2,
        f"{path}: subscribers.audit.events: expected a list of texts, got nothing\n",
    )


def test_command_says_so_when_the_dead_letters_cannot_be_opened(tmp_path: Path) -> None:
    path = tmp_path / "relay.toml"
    path.write_text(CONFIG.format(folder=tmp_path / "none", url="http://127.0.0.1:9/"))
    status, told = run_main("--config", path, "--log-level", "error", SECRET="s")
    assert status == 1
    assert "Traceback" not in told
    assert str(tmp_path / "none") in told
