# SPDX-License-Identifier: MIT
"""How an application stops: prep_stop, its tree, stop; and what its end means for the node."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from stanchion.application import Application, which_applications
from stanchion.errors import ApplicationStateError, InvalidOptionError, NoNodeError, StartError, StopTimeoutError
from stanchion.kernel import Node, Pid, exit, spawn, trap_exit, wait_exit, whereis
from stanchion.server import GenServer, call, cast, send, start, stop
from stanchion.supervisor import child_spec
from stanchion.telemetry import APPLICATION_START, APPLICATION_STOP
from stanchion.testing import VirtualClock, VirtualTimeLoop
from tests.supervisor.servers import InitBy, hang, pid_of, quick_node, recorder


@pytest.fixture
def loop_factory():
    return VirtualTimeLoop


def virtual_node(name="test", **options):
    return quick_node(name, clock=VirtualClock(), **options)


def noting(log: list[str], name: str = "shop", *children, **options) -> Application:
    """Return an application that notes each step of its stop."""
    callbacks: dict[str, Any] = {"prep_stop": lambda: log.append("prep_stop"), "stop": lambda: log.append("stop")}
    return Application(name, children=[recorder(log, name), *children], **{**callbacks, **options})


def names() -> list[str]:
    return [info.name for info in which_applications()]


def told_by(caplog, name="stanchion.application") -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == name]


async def test_application_stops_with_its_callbacks_around_the_tree():
    log = []
    async with virtual_node():
        app = noting(log)
        await app.start()
        await app.stop()
        assert names() == []
        assert log == ["+shop", "prep_stop", "-shop", "stop"]
        await app.start()
    assert log[4:] == ["+shop", "prep_stop", "-shop", "stop"]


async def test_node_that_gives_no_time_kills_its_applications():
    log = []
    async with Node("test", clock=VirtualClock(), block_threshold=None, shutdown_timeout=0):
        await noting(log).start()
    assert log == ["+shop"]


async def test_callbacks_get_the_configuration_and_may_be_async():
    @dataclass
    class Town:
        name: str = "Rome"

    log = []

    async def prep_stop(town):
        await asyncio.sleep(0)
        log.append(town)

    async with virtual_node():
        await Application("shop", config=Town, children=[], prep_stop=prep_stop, stop=log.append).start()
    assert log == [Town(), Town()]


async def test_prep_stop_can_talk_to_the_tree():
    class Till(GenServer):
        def handle_call(self, request, sender):
            return f"{request} done"

    log = []

    async def prep_stop():
        log.append(await call("till", "count"))

    async with virtual_node():
        await Application("shop", children=[child_spec(Till, name="till")], prep_stop=prep_stop).start()
    assert log == ["count done"]


async def test_supervisors_restart_children_until_the_tree_is_told_to_stop():
    log = []

    async def prep_stop():
        pid = pid_of("shop")
        cast(pid, ValueError("crash"))
        while whereis("shop") in (pid, None):
            await asyncio.sleep(0)

    async with virtual_node():
        await noting(log, prep_stop=prep_stop).start()
    assert log == ["+shop", "-shop", "+shop", "-shop", "stop"]


async def test_node_that_is_cancelled_while_it_stops_applications_kills_what_is_left():
    log = []

    async def leave_late():
        async with virtual_node():
            await noting(log, prep_stop=hang, callback_timeout=None).start()
            left.set()

    left = asyncio.Event()
    leaving = asyncio.ensure_future(leave_late())
    await left.wait()
    await asyncio.sleep(1)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert log == ["+shop"]


async def test_node_stops_its_applications_before_anything_else():
    log = []

    class Last(GenServer):
        def init(self):
            trap_exit()

        def terminate(self, reason):
            log.append("last")

    async with virtual_node():
        await noting(log, "shop").start()
        await noting(log, "admin").start()
        spawned = spawn(hang)
        await start(Last)
    assert log == ["+shop", "+admin", "prep_stop", "-admin", "stop", "prep_stop", "-shop", "stop", "last"]
    assert spawned._process is None


@pytest.mark.parametrize("callback", ["prep_stop", "stop"])
async def test_callback_that_raises_prevents_nothing(callback, caplog):
    log = []

    def fail():
        raise ValueError("boom")

    async with virtual_node():
        app = noting(log, **{callback: fail})
        await app.start()
        await app.stop()
    assert log == [step for step in ("+shop", "prep_stop", "-shop", "stop") if step != callback]
    [crash] = told_by(caplog, "stanchion.process")
    assert crash.startswith(f"{callback} of application shop <test.")


@pytest.mark.parametrize("callback", ["prep_stop", "stop"])
async def test_callback_that_hangs_is_killed_when_its_time_is_up(callback, caplog):
    log = []
    loop = asyncio.get_running_loop()
    async with virtual_node():
        app = noting(log, callback_timeout=7, **{callback: hang})
        await app.start()
        began = loop.time()
        await app.stop()
        assert loop.time() - began == pytest.approx(7, abs=0.1)
    assert log == [step for step in ("+shop", "prep_stop", "-shop", "stop") if step != callback]
    assert told_by(caplog) == [f"{callback} of application shop did not end within 7 s and is killed"]


async def test_callback_may_take_as_long_as_it_wants_without_a_limit():
    log = []

    async def prep_stop():
        await asyncio.sleep(3600)
        log.append("prep_stop")

    async with virtual_node():
        app = noting(log, callback_timeout=None, prep_stop=prep_stop)
        await app.start()
        await app.stop(timeout=None)
    assert log == ["+shop", "prep_stop", "-shop", "stop"]


async def test_node_kills_an_application_that_takes_too_long_with_all_beneath_it(caplog):
    log = []
    loop = asyncio.get_running_loop()
    async with virtual_node():
        await noting(log, callback_timeout=None, prep_stop=hang).start()
        left = loop.time()
    assert log == ["+shop"]
    assert loop.time() - left == pytest.approx(5, abs=0.1)
    assert told_by(caplog, "stanchion.node") == ["application shop <test.1> did not stop within 5 s and is killed"]


async def test_stop_waits_no_longer_than_it_is_told_to():
    log = []
    async with virtual_node():
        app = noting(log, callback_timeout=60, prep_stop=hang)
        await app.start()
        with pytest.raises(StopTimeoutError) as caught:
            await app.stop(timeout=2)
        assert str(caught.value) == (
            "stop of application 'shop': expected its end within 2 s, got none; it goes on stopping\n"
            "Limit: timeout=2.\n"
            "Target: it waits for prep_stop of application shop <test.4>.\n"
            "Fix: pass a longer timeout=, or give what is slow there less time to stop."
        )
        assert names() == []
        await app.stop()
    assert log == ["+shop", "-shop", "stop"]


async def test_stop_of_an_application_that_does_not_run_does_nothing():
    async with virtual_node():
        await noting([]).stop()


async def test_stop_waits_for_a_stop_that_is_under_way():
    log = []
    async with virtual_node():
        app = noting(log)
        await app.start()
        await asyncio.gather(app.stop(), app.stop())
    assert log == ["+shop", "prep_stop", "-shop", "stop"]


async def test_start_waits_for_a_stop_that_is_under_way():
    log = []
    async with virtual_node():
        app = noting(log)
        await app.start()
        stopping = asyncio.ensure_future(app.stop())
        await asyncio.sleep(0)
        await app.start()
        await stopping
        assert log == ["+shop", "prep_stop", "-shop", "stop", "+shop"]


async def test_application_that_is_stopped_while_it_starts_has_no_callbacks():
    log = []
    async with virtual_node():
        app = noting(log, "shop", child_spec(InitBy, hang, timeout=None))
        starting = asyncio.ensure_future(app.start())
        while whereis("shop") is None:
            await asyncio.sleep(0)
        with pytest.raises(ApplicationStateError, match="got one that is starting"):
            await app.start()
        await app.stop()
        with pytest.raises(StartError) as caught:
            await starting
        assert caught.value.reason == "shutdown"
    assert log == ["+shop", "-shop"]


async def test_start_can_be_cancelled_at_its_first_step():
    log = []
    async with virtual_node() as node:
        starting = asyncio.ensure_future(noting(log).start())
        await asyncio.sleep(0)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        while node.processes:
            await asyncio.sleep(0)
        assert (names(), log) == ([], [])


async def test_start_fails_when_it_is_told_to_stop_before_its_first_step():
    log = []
    async with virtual_node():
        app = noting(log)
        starting = asyncio.ensure_future(app.start())
        await asyncio.sleep(0)
        await app.stop()
        with pytest.raises(StartError) as caught:
            await starting
    assert str(caught.value) == "start of application 'shop': expected init to finish, got 'shutdown'"
    assert log == []


@pytest.mark.parametrize("steps", range(1, 6))
async def test_application_that_is_stopped_early_has_its_callbacks_if_it_had_started(steps):
    log = []
    app = Application("shop", children=[], prep_stop=partial(log.append, "prep_stop"), stop=partial(log.append, "stop"))
    async with virtual_node() as node:
        starting = asyncio.ensure_future(app.start())
        for _ in range(steps):
            await asyncio.sleep(0)
        await app.stop()
        [outcome] = await asyncio.gather(starting, return_exceptions=True)
        assert not node.processes
    assert log == (["prep_stop", "stop"] if isinstance(outcome, Pid) else [])


async def test_master_leaves_alone_what_is_no_exit():
    async with virtual_node() as node:
        app = noting([])
        await app.start()
        send(next(iter(node.processes.values())).pid, "hello")
        await asyncio.sleep(1)
        assert names() == ["shop"]


async def test_start_fails_when_the_master_is_killed():
    async with virtual_node() as node:
        app = noting([], "shop", child_spec(InitBy, hang, timeout=None))
        starting = asyncio.ensure_future(app.start())
        while whereis("shop_sup") is None:
            await asyncio.sleep(0)
        master = next(iter(node.processes.values()))
        exit(master.pid, "kill")
        with pytest.raises(StartError) as caught:
            await starting
        assert str(caught.value) == "start of application 'shop': expected init to finish, got 'killed'"


async def test_start_fails_when_the_name_of_the_supervisor_is_taken():
    async with virtual_node():
        spawn(hang, name="shop_sup")
        with pytest.raises(Exception, match="name 'shop_sup': expected a free name"):
            await noting([]).start()
        assert names() == []


async def test_application_cannot_be_stopped_by_a_process_of_its_own():
    class Till(GenServer):
        async def handle_call(self, request, sender):
            try:
                await app.stop()
            except ApplicationStateError as error:
                return str(error)

        def handle_cast(self, message):
            spawn(app.stop)

    log = []
    app = noting(log, "shop", child_spec(Till, name="till"))
    async with virtual_node():
        pid = await app.start()
        assert await call("till", "stop") == (
            "stop of application 'shop': expected to be asked from outside of it, "
            "got its own Till <test.4 till>, which would wait for itself\n"
            "Fix: write spawn(app.stop), which does it in a process of its own."
        )
        cast("till", "stop")
        assert await wait_exit(pid, timeout=5) == "shutdown"
    assert log == ["+shop", "prep_stop", "-shop", "stop"]


async def test_application_cannot_be_started_by_its_own_prep_stop():
    refusals = []

    async def prep_stop():
        with pytest.raises(ApplicationStateError) as caught:
            await app.start()
        refusals.append(str(caught.value))

    app = Application("shop", children=[], prep_stop=prep_stop, callback_timeout=None)
    async with virtual_node():
        await app.start()
        await app.stop()
    assert refusals == [
        (
            "start of application 'shop': expected to be asked from outside of it, "
            "got its own prep_stop of application shop <test.3>, which would wait for itself\n"
            "Fix: write spawn(app.start), which does it in a process of its own."
        )
    ]


async def test_application_can_be_stopped_by_a_process_of_another():
    log = []
    other = noting(log, "other")
    async with virtual_node():
        await other.start()
        await Application("shop", children=[child_spec(InitBy, other.stop)]).start()
        assert names() == ["shop"]


# --- the end of an application ---------------------------------------------------------------------


async def test_application_whose_master_is_killed_has_ended_by_itself(caplog):
    log = []
    async with virtual_node() as node:
        await noting(log, "other", prep_stop=None, stop=None).start()
        await noting(log).start(type="permanent")
        master = next(process for process in node.processes.values() if process.label == "application shop")
        exit(master.pid, "kill")
        while node.processes:
            await asyncio.sleep(0.1)
        assert names() == []
    assert sorted(log) == ["+other", "+shop", "-other", "-shop"]
    assert told_by(caplog) == [
        "application shop of node test ended by itself; it is permanent, so the others stop too; reason: 'killed'"
    ]


async def test_end_of_an_application_while_the_node_stops_takes_down_nobody(caplog):
    log = []

    async def prep_stop():
        exit(pid_of("shop_sup"), "kill")
        await asyncio.sleep(1)
        log.append("prep_stop of admin")

    async with virtual_node():
        await noting(log).start(type="permanent")
        await noting(log, "admin", prep_stop=prep_stop, stop=None).start()
    assert log == ["+shop", "+admin", "-shop", "prep_stop", "stop", "prep_stop of admin", "-admin"]
    assert told_by(caplog) == []


async def test_application_that_ends_by_itself_has_its_callbacks_too(caplog):
    log = []
    caplog.set_level("INFO")
    async with virtual_node():
        app = noting(log)
        pid = await app.start()
        await noting(log, "other", prep_stop=None, stop=None).start()
        await stop(pid)
        assert names() == ["other"]
        await app.start()
        assert log == ["+shop", "+other", "-shop", "prep_stop", "stop", "+shop"]
    assert told_by(caplog) == [
        "application shop of node test ended by itself; it is temporary; reason: 'normal'",
    ]


@pytest.mark.parametrize(
    ("type", "reason", "others"),
    [
        ("temporary", "shutdown", ["other", "third"]),
        ("transient", "normal", ["other", "third"]),
        ("transient", "shutdown", []),
        ("permanent", "normal", []),
        ("permanent", "shutdown", []),
    ],
)
async def test_end_of_an_application_takes_down_the_others_as_its_type_says(type, reason, others, caplog):
    caplog.set_level("INFO")
    log = []
    third = Application("third", children=[])
    async with virtual_node():
        await noting(log, "other", depends_on=[third]).start()
        pid = await noting(log, prep_stop=None).start(type=type)
        await stop(pid, reason)
        await asyncio.sleep(1)  # of virtual time
        assert sorted(names()) == others
    others_too = "" if others else ", so the others stop too"
    assert told_by(caplog) == [
        f"application shop of node test ended by itself; it is {type}{others_too}; reason: {reason!r}"
    ]


async def test_applications_can_be_started_again_after_one_took_down_the_others():
    log = []
    shop, other = noting(log), noting(log, "other")
    async with virtual_node() as node:
        await other.start()
        await shop.start(type="permanent")
        exit(pid_of("shop_sup"), "kill")
        while node.processes:
            await asyncio.sleep(0.1)
        await shop.start()
        await other.start()
        assert names() == ["shop", "other"]


async def test_dependencies_are_started_with_the_type_of_the_start():
    db = Application("db", children=[])
    async with virtual_node():
        await Application("shop", children=[], depends_on=[db]).start(type="transient")
        assert [info.type for info in which_applications()] == ["transient", "transient"]


async def test_type_must_be_one():
    async with virtual_node():
        with pytest.raises(InvalidOptionError) as caught:
            await noting([]).start(type="permanant")  # type: ignore[arg-type]
    assert str(caught.value) == (
        "Application.start(type): expected one of 'permanent', 'transient', 'temporary', got 'permanant'\n"
        "Fix: write 'permanent'."
    )


async def test_start_and_stop_are_told_as_events():
    told = []

    async def prep_stop():
        await asyncio.sleep(2)

    async with virtual_node() as node:
        for event in (APPLICATION_START, APPLICATION_STOP):
            node.telemetry.attach(event, lambda event, numbers, about: told.append((event.name[-1], numbers, about)))
        app = noting([], "shop", child_spec(InitBy, lambda: asyncio.sleep(3)), prep_stop=prep_stop)
        pid = await app.start(type="transient")
        await app.stop()
        await app.start()
        exit(pid_of("shop_sup"), "kill")
        while len(told) < 4:
            await asyncio.sleep(0.1)
    about = {"node": "test", "application": "shop", "type": "transient"}
    assert told[:2] == [
        ("start", {"elapsed": 3.0}, {**about, "pid": pid}),
        ("stop", {"elapsed": 2.0}, {**about, "reason": "shutdown", "asked": True}),
    ]
    assert told[3][2] == {**about, "type": "temporary", "reason": "killed", "asked": False}


async def test_two_nodes_run_one_application_each_by_itself():
    log = []
    app = noting(log)
    async with virtual_node("one"):
        await app.start()
        async with virtual_node("two"):
            assert names() == []
            await app.start()
            await app.stop()
        assert names() == ["shop"]


async def test_stop_and_which_applications_need_a_node():
    with pytest.raises(NoNodeError):
        await noting([]).stop()
    with pytest.raises(NoNodeError):
        which_applications()
