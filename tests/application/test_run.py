# SPDX-License-Identifier: MIT
"""run() without signals; test_run_signals.py has those."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import signal
import threading
from contextlib import suppress
from dataclasses import dataclass

import pytest

from stanchion.application import Application, run, which_applications
from stanchion.errors import ApplicationConfigError, ApplicationExitError, ChildStartError, InvalidOptionError
from stanchion.kernel import exit, spawn
from stanchion.server import stop
from stanchion.supervisor import Supervisor, child_spec
from tests.supervisor.servers import InitBy, Recorder, hang, pid_of, quick_node, recorder


def app_of(*children, **options) -> Application:
    return Application("shop", children=children, **options)


async def stop_the_tree() -> None:
    await stop("shop_sup")


def ends_the_tree():
    """Return the spec of a process that has the tree stopped with reason normal."""

    async def ask():
        # A task of its own: the process that asks is stopped before the supervisor ends.
        tasks.append(asyncio.ensure_future(stop_the_tree()))
        await hang()

    tasks: list[asyncio.Task[None]] = []
    return child_spec(ask)


@pytest.mark.parametrize("loop", ["auto", "asyncio", "uvloop"])
def test_run_returns_when_the_top_supervisor_is_stopped(loop):
    log = []
    run(app_of(recorder(log, "a"), ends_the_tree()), node=quick_node(), loop=loop)
    assert log == ["+a", "-a"]


def test_run_makes_a_node_with_the_applications_name():
    seen = []

    async def look():
        seen.append(pid_of("shop_sup").node)

    run(app_of(child_spec(look, restart="temporary"), ends_the_tree()))
    assert seen == ["shop"]


def test_run_raises_when_the_top_supervisor_gives_up():
    async def crash():
        raise ValueError("boom")

    log = []
    with pytest.raises(ApplicationExitError) as caught:
        run(app_of(recorder(log, "a"), child_spec(crash)), node=quick_node())
    assert log == ["+a", "-a"]
    assert (caught.value.name, caught.value.reason) == ("shop", "shutdown")
    assert str(caught.value) == (
        "application 'shop': expected to run until it is told to stop, "
        "got the exit of its top supervisor with reason 'shutdown'\n"
        "Fix: read the log: its children crash more often than max_restarts within max_seconds allows, "
        "or somebody stopped it with this reason."
    )


def test_run_raises_when_the_top_supervisor_is_killed():
    async def kill():
        exit(pid_of("shop_sup"), "kill")

    with pytest.raises(ApplicationExitError, match=r"reason 'killed'$"):
        run(app_of(child_spec(kill)), node=quick_node())


def test_run_raises_when_the_master_of_the_application_is_killed():
    async def kill():
        while not which_applications():
            await asyncio.sleep(0)
        [master] = [process for process in node.processes.values() if process.label == "application shop"]
        exit(master.pid, "kill")

    node = quick_node()
    with pytest.raises(ApplicationExitError, match=r"reason 'killed'$"):
        run(app_of(child_spec(kill)), node=node)


def test_run_raises_when_a_child_does_not_start():
    log = []
    with pytest.raises(ChildStartError):
        run(app_of(recorder(log, "a"), child_spec(InitBy, lambda: 3)), node=quick_node())
    assert log == ["+a", "-a"]


def test_run_restores_the_signal_handlers():
    before = [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)]
    run(app_of(ends_the_tree()), node=quick_node())
    assert [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)] == before


def test_run_works_in_another_thread_without_signals():
    thread = threading.Thread(target=run, args=[app_of(ends_the_tree())], kwargs={"node": quick_node()})
    thread.start()
    thread.join(10)
    assert not thread.is_alive()


async def test_run_refuses_a_thread_with_a_running_loop():
    with pytest.raises(InvalidOptionError) as caught:
        run(app_of())
    assert str(caught.value) == (
        "run(): expected a thread without a running event loop, got one with a running loop\n"
        "Fix: in async code, write `async with Node(): await app.start()`."
    )


def test_run_refuses_wrong_arguments():
    with pytest.raises(InvalidOptionError, match=r"run\(app\): expected an instance of Application"):
        run(Supervisor)  # type: ignore[arg-type]
    with pytest.raises(InvalidOptionError, match=r"run\(node\): expected an instance of Node"):
        run(app_of(), node="shop")  # type: ignore[arg-type]
    with pytest.raises(InvalidOptionError, match=r"run\(loop\): expected one of .* got 'uv'\nFix: write 'uvloop'"):
        run(app_of(), loop="uv")  # type: ignore[arg-type]


def test_run_needs_uvloop_only_when_it_is_asked_for(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    run(app_of(ends_the_tree()), node=quick_node(), loop="auto")
    with pytest.raises(InvalidOptionError) as caught:
        run(app_of(), loop="uvloop")
    assert str(caught.value) == (
        "run(loop): expected uvloop to be installed, got 'uvloop' without it\nFix: pip install 'stanchion[uvloop]'."
    )


def test_run_ends_tasks_that_belong_to_no_process():
    ended = []

    async def stray():
        try:
            await hang()
        finally:
            ended.append("stray")

    async def start_stray():
        strays.append(asyncio.ensure_future(stray()))
        await hang()

    strays: list[asyncio.Task[None]] = []
    run(app_of(child_spec(start_stray), ends_the_tree()), node=quick_node())
    assert ended == ["stray"]


def test_run_leaves_a_task_behind_that_swallows_its_cancellation(monkeypatch, caplog):
    monkeypatch.setattr("stanchion.application._run._TASK_GRACE", 0.01)
    strays = []

    async def stubborn():
        while True:
            with suppress(asyncio.CancelledError):
                await hang()

    async def start_stray():
        strays.append(asyncio.ensure_future(stubborn()))
        await hang()

    run(app_of(child_spec(start_stray), ends_the_tree()), node=quick_node(), loop="asyncio")
    told = [record.getMessage() for record in caplog.records if record.name == "stanchion.run"]
    assert len(told) == 1
    assert "stubborn" in told[0]
    assert told[0].endswith("did not end within 0.01 s of its cancellation and is left behind")
    strays[0]._log_destroy_pending = False


def test_run_stops_in_order_at_the_first_signal_and_kills_at_the_second(caplog):
    caplog.set_level(logging.INFO)
    log = []

    class Deaf(Recorder):
        async def terminate(self, reason):  # type: ignore[override]
            log.append("told")
            signal.raise_signal(signal.SIGINT)
            await hang()

    async def signal_once():
        signal.raise_signal(signal.SIGTERM)

    deaf = child_spec(Deaf, log, "deaf", shutdown=None)
    run(app_of(recorder(log, "a"), deaf, child_spec(signal_once, restart="temporary")), node=quick_node())
    assert log == ["+a", "+deaf", "told"]  # one that is killed does not terminate
    told = [record.getMessage() for record in caplog.records if record.name == "stanchion.run"]
    assert told == [
        "SIGTERM: node test stops in order; a second signal kills what is left",
        "SIGINT again: 4 processes of node test are killed",
    ]


def test_run_raises_when_the_tree_ended_before_the_signal():
    async def crash():
        raise ValueError("boom")

    class Late:
        async def open(self, node):
            pass

        async def close(self):
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(ApplicationExitError):
        run(app_of(child_spec(crash), max_restarts=0), node=quick_node(services=[Late()]))


def test_run_starts_what_the_application_depends_on_and_stops_it_after():
    log = []
    db = Application("db", children=[recorder(log, "db")], stop=lambda: log.append("db stopped"))
    run(app_of(recorder(log, "a"), ends_the_tree(), depends_on=[db]), node=quick_node())
    assert log == ["+db", "+a", "-a", "-db", "db stopped"]


@pytest.mark.parametrize("reason", ["normal", "shutdown"])
def test_run_raises_when_an_application_ends_that_this_one_depends_on(reason):
    log = []

    async def end():
        await stop("db_sup", reason)

    db = Application("db", children=[recorder(log, "db")])
    app = app_of(recorder(log, "a"), child_spec(end, restart="temporary"), depends_on=[db])
    with pytest.raises(ApplicationExitError) as caught:
        run(app, node=quick_node())
    assert (caught.value.name, caught.value.reason) == ("db", reason)
    assert log == ["+db", "+a", "-db", "-a"]


def test_run_tells_of_the_end_of_a_dependency_and_not_of_the_start_that_it_cut_short():
    async def end():
        await stop("db_sup", "shutdown")

    db = Application("db", children=[])
    with pytest.raises(ApplicationExitError, match="application 'db'"):
        run(app_of(child_spec(end), child_spec(InitBy, hang, timeout=None), depends_on=[db]), node=quick_node())


def test_run_returns_when_the_application_is_stopped():
    log = []

    async def end():
        spawn(app.stop)

    app = app_of(recorder(log, "a"), child_spec(end, restart="temporary"))
    run(app, node=quick_node())
    assert log == ["+a", "-a"]


def test_run_reads_the_configuration_before_anything_starts(tmp_path, monkeypatch):
    @dataclass
    class Town:
        name: str

    def children(town):
        log.append(town.name)
        return [ends_the_tree()]

    log = []
    path = tmp_path / "shop.toml"
    path.write_text('[shop]\nname = "Rome"\n')
    app = Application("shop", config=Town, children=children)
    run(app, config=path, node=quick_node())
    monkeypatch.setenv("SHOP__NAME", "Oslo")
    run(app, config=str(path), node=quick_node())
    run(app, config={"shop": {}}, node=quick_node())
    assert log == ["Rome", "Oslo", "Oslo"]
    monkeypatch.delenv("SHOP__NAME")
    with pytest.raises(ApplicationConfigError) as caught:
        run(app, node=quick_node())
    assert str(caught.value) == (
        "config: [shop] name: expected a value, got nothing\nFix: write name = ... there, or set SHOP__NAME."
    )


def test_run_raises_system_exit_of_a_children_function():
    def children():
        raise SystemExit(3)

    log = []
    db = Application("db", children=[recorder(log, "db")])
    with pytest.raises(SystemExit):
        run(Application("shop", children=children, depends_on=[db]), node=quick_node())
    assert log == ["+db", "-db"]


def test_run_goes_on_with_the_stop_when_prep_stop_calls_sys_exit():
    log = []

    def prep_stop():
        raise SystemExit(4)

    with pytest.raises(SystemExit) as caught:
        run(
            app_of(recorder(log, "a"), ends_the_tree(), prep_stop=prep_stop, stop=lambda: log.append("stop")),
            node=quick_node(),
        )
    assert (caught.value.code, log) == (4, ["+a", "-a", "stop"])
