# SPDX-License-Identifier: MIT
"""A handler that blocks the event loop is reported."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

from stanchion.kernel import Node, spawn, wait_exit
from stanchion.kernel._watchdog import Watchdog
from stanchion.server import GenServer, cast, start, stop
from stanchion.telemetry import HANDLER_BLOCKED
from tests.kernel.helpers import Events, quick_node

pytestmark = pytest.mark.allow_blocking("blocks the loop in order to be reported")

THRESHOLD = 0.02


def blocked_node() -> Node:
    return quick_node(block_threshold=THRESHOLD)


def block(until: Callable[[], bool]) -> None:
    """Hold the loop's thread until the watchdog has said so."""
    limit = time.monotonic() + 5
    while not until() and time.monotonic() < limit:
        time.sleep(0.001)


def reports(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """Return what the watchdog wrote; the loop's own debug mode writes of blocks, too."""
    return [record for record in caplog.records if record.name == "stanchion.watchdog"]


async def told(events: Events, count: int) -> None:
    """Wait for the events, which the watchdog's thread hands to the loop after it wrote its line."""
    while len(events.told) < count:
        await asyncio.sleep(0.001)


def watchdogs() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("stanchion-watchdog")]


class Blocker(GenServer):
    def handle_cast(self, message):
        block(message)


async def test_handler_that_blocks_is_reported_with_process_message_and_stack(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with blocked_node() as node:
        events = Events(node, HANDLER_BLOCKED)
        pid = await start(Blocker, name="clerk")
        until = lambda: bool(reports(caplog))  # noqa: E731
        cast(pid, until)
        await stop(pid)
        await told(events, 1)
        text = reports(caplog)[0].getMessage()
        assert text.startswith(
            f"Blocker <test.1 clerk> in its cast {until!r} blocks the event loop for more than 0.02 s\n"
        )
        assert "in handle_cast" in text
        assert "time.sleep(0.001)" in text
        _, measurements, metadata = events.told[0]
        assert measurements == {"seconds": 0.02}
        assert {key: metadata[key] for key in ("node", "pid", "name", "handler")} == {
            "node": "test",
            "pid": pid,
            "name": "clerk",
            "handler": f"Blocker <test.1 clerk> in its cast {until!r}",
        }
        assert "in handle_cast" in str(metadata["stack"])


async def test_one_block_is_one_report(caplog: pytest.LogCaptureFixture) -> None:
    async with blocked_node():
        block(lambda: bool(reports(caplog)))
        time.sleep(5 * THRESHOLD)  # noqa: ASYNC251  # this is the block
        await asyncio.sleep(0)
        assert len(reports(caplog)) == 1


async def test_next_block_is_reported_again(caplog: pytest.LogCaptureFixture) -> None:
    async with blocked_node():
        for count in (1, 2):
            block(lambda count=count: len(reports(caplog)) >= count)
            await asyncio.sleep(THRESHOLD)
        assert len(reports(caplog)) == 2


async def test_process_between_messages_a_plain_task_and_a_callback_are_named_for_what_they_are(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with blocked_node() as node:
        events = Events(node, HANDLER_BLOCKED)

        async def body() -> None:
            block(lambda: len(reports(caplog)) >= 1)

        await wait_exit(spawn(body), timeout=None)
        await asyncio.sleep(THRESHOLD)
        task = asyncio.current_task()
        assert task is not None
        block(lambda: len(reports(caplog)) >= 2)
        await asyncio.sleep(THRESHOLD)
        node.loop.call_soon(block, lambda: len(reports(caplog)) >= 3)
        await told(events, 3)
        assert events.all("handler") == [
            "body <test.1>",
            f"task {task.get_name()}, which is no process,",
            "a callback of the loop",
        ]
        assert events.all("pid")[1:] == [None, None]


async def test_nothing_is_reported_when_nothing_blocks(caplog: pytest.LogCaptureFixture) -> None:
    async with quick_node(block_threshold=0.2):
        for _ in range(20):
            await asyncio.sleep(0.005)
        assert reports(caplog) == []


async def test_watchdog_ends_with_its_node() -> None:
    async with blocked_node():
        assert watchdogs() == ["stanchion-watchdog-test"]
    assert watchdogs() == []


async def test_watchdog_ends_when_a_service_does_not_open() -> None:
    class Broken:
        async def open(self, node: Node) -> None:
            raise ValueError

        async def close(self) -> None: ...

    with pytest.raises(ValueError, match=r"^$"):
        async with quick_node(block_threshold=THRESHOLD, services=[Broken()]):
            pass
    assert watchdogs() == []


async def test_node_without_a_threshold_has_no_watchdog() -> None:
    async with quick_node(block_threshold=None):
        assert watchdogs() == []


def test_watchdog_ends_when_its_loop_is_closed() -> None:
    async def main() -> None:
        node.loop = asyncio.get_running_loop()

    node = quick_node()
    asyncio.run(main())
    watchdog = Watchdog(node, 0.002)
    watchdog._thread.join(5)
    assert not watchdog._thread.is_alive()


async def test_report_that_comes_when_the_loop_is_closed_is_dropped(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with blocked_node() as node:
        Events(node, HANDLER_BLOCKED)

        def closed(*_: object) -> None:
            raise RuntimeError("Event loop is closed")

        watchdog = node._watchdog
        assert watchdog is not None
        with monkeypatch.context() as patch:
            patch.setattr(node, "loop", type("Loop", (), {"call_soon_threadsafe": closed})())
            watchdog._report()
        assert len(reports(caplog)) == 1


async def test_stack_is_taken_even_when_the_repr_of_the_message_fails(caplog: pytest.LogCaptureFixture) -> None:
    class Unprintable:
        def __call__(self) -> bool:
            return bool(reports(caplog))

        def __repr__(self) -> str:
            raise ValueError

    async with blocked_node():
        pid = await start(Blocker)
        cast(pid, Unprintable())
        await stop(pid)
        assert "in its cast <Unprintable whose __repr__ raised ValueError>" in reports(caplog)[0].getMessage()


def test_watchdog_does_not_keep_the_interpreter_alive() -> None:
    code = (
        "import asyncio\n"
        "from stanchion.kernel import Node\n"
        "loop = asyncio.new_event_loop()\n"
        "loop.run_until_complete(Node(block_threshold=0.01).__aenter__())\n"
        "print('end')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=15, check=True)
    assert done.stdout == "end\n"


async def test_watchdog_that_is_stopped_just_as_it_looks_again_ends_and_reports_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with quick_node() as node:
        watchdog = Watchdog(node, THRESHOLD)

        class Cleared(threading.Event):
            def clear(self) -> None:
                watchdog._stopped.set()
                self.set()  # stop() comes here, and its set() is lost
                super().clear()

        watchdog._answered = Cleared()
        watchdog._thread.join(timeout=5)
        assert not watchdog._thread.is_alive()
        assert reports(caplog) == []
