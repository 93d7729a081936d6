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

pytestmark = pytest.mark.timeout(60)  # OS processes are started, and the machine may be busy with other tests

ROOT = Path(__file__).resolve().parents[2]

CONFIG = """
[relay]
listen = "127.0.0.1:0"
database = "sqlite:///{folder}/relay.db"
[redelivery]
initial = 0.1
maximum = 0.5
[sources.github]
secret_env = "SECRET"
[subscribers.audit]
url = "{url}"
events = ["**"]
initial = 0.1
"""


class Daemon:
    """A relay in an OS process of its own."""

    def __init__(self, process: asyncio.subprocess.Process, client: Client) -> None:
        self.process = process
        self.client = client

    async def end(self, order: signal.Signals) -> int:
        self.process.send_signal(order)
        return await self.process.wait()


@asynccontextmanager
async def daemon(folder: Path, url: str, retries: int = 5) -> AsyncGenerator[Daemon, None]:
    """Run a relay whose only subscriber is at ``url``; kill it at the end if it still runs."""
    path = folder / "relay.toml"
    await asyncio.to_thread(path.write_text, CONFIG.format(folder=folder, url=url) + f"retries = {retries}\n")
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


@pytest.mark.parametrize(("order", "status"), [(signal.SIGTERM, 0), (signal.SIGKILL, -signal.SIGKILL)])
@pytest.mark.allow_blocking("asyncio starts OS processes by blocking calls")
async def test_relay_loses_nothing_when_it_is_ended_in_the_middle_and_started_again(
    tmp_path: Path, order: signal.Signals, status: int
) -> None:
    sent = {f"id-{number}" for number in range(40)}
    endpoint = Endpoint(500)
    async with serving(endpoint):
        async with daemon(tmp_path, endpoint.url) as first:
            for id_ in sorted(sent):
                assert (await first.client.post(X_GitHub_Delivery=id_))[0] == 202
            assert await first.end(order) == status
        endpoint.statuses = [200]
        endpoint.requests.clear()
        async with daemon(tmp_path, endpoint.url) as second:
            await until(lambda: set(endpoint.ids) == sent)
            assert await second.end(signal.SIGINT) == 0


@pytest.mark.skipif(not Path("/proc").exists(), reason="elsewhere only time tells that a process is gone")
@pytest.mark.allow_blocking("asyncio starts OS processes by blocking calls")
async def test_dead_letter_that_a_killed_relay_was_sending_is_sent_by_the_next_one_at_once(tmp_path: Path) -> None:
    endpoint = Endpoint(500, 200)
    async with serving(endpoint):
        async with daemon(tmp_path, endpoint.url, retries=0) as first:
            assert (await first.client.post(X_GitHub_Delivery="id-1"))[0] == 202
            await until(lambda: len(endpoint.ids) == 1)
            endpoint.open.clear()
            await until(lambda: len(endpoint.ids) == 2)  # it is a dead letter by now, and claimed for a minute
            assert await first.end(signal.SIGKILL) == -signal.SIGKILL
        endpoint.open.set()
        async with daemon(tmp_path, endpoint.url) as second:
            await until(lambda: len(endpoint.ids) == 3)
            assert await second.end(signal.SIGINT) == 0
    assert endpoint.ids == ["id-1"] * 3


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
