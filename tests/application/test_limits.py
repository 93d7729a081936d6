# SPDX-License-Identifier: MIT
"""How long applications may take to start and to stop, where nobody says more than the policy."""

from __future__ import annotations

import asyncio
import logging
from functools import partial

import pytest

from stanchion.application import Application, which_applications
from stanchion.errors import CallTimeoutError, DeadlineExceededError, InvalidOptionError, StartError, StopTimeoutError
from stanchion.kernel import Node, deadline, spawn, trap_exit
from stanchion.server import GenServer, call, start
from stanchion.supervisor import child_spec
from tests.supervisor.servers import InitBy, hang


class Lingering(GenServer):
    """A server that takes so many seconds to stop."""

    def init(self, seconds):
        trap_exit()
        self.seconds = seconds

    async def terminate(self, reason):
        await asyncio.sleep(self.seconds)


def slow(seconds: float, **options) -> Application:
    """Return an application whose start takes so many seconds."""
    return Application("slow", children=[child_spec(InitBy, lambda: asyncio.sleep(seconds), timeout=None)], **options)


def lingering(seconds: float, *, name: str = "old", **options) -> Application:
    """Return an application whose stop takes so many seconds."""
    return Application(name, children=[child_spec(Lingering, seconds, shutdown=None)], **options)


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    records = [record for record in caplog.records if record.levelno == logging.ERROR]
    return [record.getMessage().partition("\n")[0] for record in records]


def names() -> list[str]:
    return [info.name for info in which_applications()]


async def test_tree_has_60_seconds_to_start(node: Node) -> None:
    with pytest.raises(StartError, match=r"start of Supervisor <test\.2 slow_sup>: .* within 60 s, got 'timeout'"):
        await slow(70).start()
    assert names() == []


async def test_tree_has_the_time_to_start_that_start_is_given(node: Node) -> None:
    await slow(70, depends_on=[lingering(0)]).start(timeout=80)
    assert names() == ["old", "slow"]


async def test_start_refuses_what_is_no_timeout(node: Node) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        await slow(0).start(timeout="1 s")  # type: ignore[arg-type]
    assert str(caught.value) == (
        "Application.start(timeout): expected seconds >= 0 as a finite number, or a timedelta, got '1 s'"
    )


async def test_stop_waits_90_seconds_and_says_for_whom(node: Node) -> None:
    app = lingering(100)
    await app.start()
    with pytest.raises(StopTimeoutError) as caught:
        await app.stop()
    assert str(caught.value) == (
        "stop of application 'old': expected its end within 90 s, got none; it goes on stopping\n"
        "Limit: built-in 'stanchion.stop_application' = 90 s (built-in).\n"
        "Target: it waits for Lingering <test.3>.\n"
        "Fix: pass a longer timeout=, or give what is slow there less time to stop."
    )
    await app.stop()


async def test_stop_waits_no_longer_than_the_deadline(node: Node) -> None:
    app = lingering(10)
    await app.start()
    with pytest.raises(
        StopTimeoutError, match=r"\nLimit: what was left of the deadline of 1 s set at .*; without it: "
    ):
        async with deadline(1):
            await app.stop(timeout=None)
    await app.stop()


async def test_tree_that_is_started_under_a_deadline_has_no_more_time(node: Node) -> None:
    with pytest.raises(StartError, match=r"\nLimit: what was left of the deadline of 1 s set at .*; without it: "):
        async with deadline(1):
            await slow(70).start()
    assert names() == []


async def test_start_under_a_deadline_that_has_passed_starts_nothing(node: Node) -> None:
    with pytest.raises(DeadlineExceededError):
        async with deadline(0):
            await slow(70).start(timeout=None)
    assert node.processes == {}


async def test_deadline_of_who_had_it_started_does_not_cut_its_stop(node: Node, caplog) -> None:
    app = Application("shop", children=[], prep_stop=lambda: asyncio.sleep(4))
    async with deadline(1):
        await app.start()
    await app.stop()
    assert errors(caplog) == []
    assert asyncio.get_running_loop().time() == pytest.approx(1004, abs=0.1)


class Starter(GenServer):
    """A server that starts an application, and is not cancelled when the deadline of the request passes."""

    async def handle_call(self, app, sender):
        with pytest.raises(StartError):
            await app.start()
        return names()


async def test_start_that_fails_for_want_of_time_leaves_what_it_began_the_time_to_stop(node: Node, caplog) -> None:
    starter = await start(Starter)
    with pytest.raises(CallTimeoutError):
        async with deadline(1):
            await call(starter, slow(70, depends_on=[lingering(4)]))
    assert await call(starter, slow(70), timeout=None) == []
    assert errors(caplog) == []
    assert asyncio.get_running_loop().time() == pytest.approx(1065, abs=0.1)


async def test_callback_has_the_time_that_the_policy_gives_as_it_is_called(node: Node, caplog) -> None:
    app = Application("shop", children=[], prep_stop=hang)
    await app.start()
    node.timeouts.set(2.0, operation="stanchion.application_callback")
    await app.stop()
    assert errors(caplog) == ["prep_stop of application shop did not end within 2 s and is killed"]


async def test_start_waits_no_longer_for_the_end_of_one_that_stops_than_a_stop_would(node: Node) -> None:
    app = lingering(200)
    await app.start()
    spawn(partial(app.stop, timeout=None))
    await asyncio.sleep(1)
    with pytest.raises(StopTimeoutError, match="stop of application 'old': expected its end within 90 s, got none"):
        await app.start()
    await app.stop(timeout=None)


async def test_failed_start_waits_for_no_dependency_longer_than_a_stop_would(node: Node, caplog) -> None:
    first, second = lingering(0, name="first"), lingering(100, name="second")
    app = slow(70, depends_on=[first, second])
    with pytest.raises(StartError, match="got 'timeout'"):
        await app.start()
    assert errors(caplog)[-1] == (
        "stop of application 'second': expected its end within 90 s, got none; it goes on stopping"
    )
    assert names() == []
    await second.stop()
