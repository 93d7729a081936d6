# SPDX-License-Identifier: MIT
"""sys.exit() under run(): the tree stops in order, and then the program ends with that status."""

from __future__ import annotations

import asyncio
import gc
import sys

import pytest

from stanchion.application import Application, run
from stanchion.kernel import Node
from stanchion.server import Continue
from stanchion.supervisor import child_spec, supervisor_spec
from tests.supervisor.servers import InitBy, Recorder, hang, quick_node, recorder


class Quitter(Recorder):
    """Calls sys.exit(3) once it has started."""

    def init(self, log, label):  # type: ignore[override]
        super().init(log, label)
        return Continue()

    async def handle_continue(self, arg):
        await asyncio.sleep(0.01)
        sys.exit(3)


class Closing:
    """A service whose close does what it is given."""

    def __init__(self, close) -> None:
        self.close = close

    async def open(self, node) -> None:
        pass


def exit_code_of(*children, node: Node | None = None, loop="asyncio") -> object:
    """Run an application of these children; return what the program ends with."""
    with pytest.raises(SystemExit) as caught:
        run(Application("shop", children=children), node=quick_node() if node is None else node, loop=loop)
    return caught.value.code


def told_by(caplog, *names: str) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name in names]


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_run_stops_the_tree_in_order_when_a_handler_calls_sys_exit(loop, monkeypatch, caplog):
    monkeypatch.setattr("stanchion.application._run._TASK_GRACE", 0.0)
    caplog.set_level("INFO")
    log = []

    async def close():
        await asyncio.sleep(0.01)
        log.append("closed")

    node = quick_node(services=[Closing(close)])
    quitter = child_spec(Quitter, log, "quitter")
    assert exit_code_of(recorder(log, "a"), quitter, recorder(log, "b"), node=node, loop=loop) == 3
    assert log == ["+a", "+quitter", "+b", "-b", "-a", "closed"]
    gc.collect()
    assert told_by(caplog, "stanchion.run", "asyncio") == [
        "SystemExit: node test stops in order; a second signal kills what is left"
    ]


@pytest.mark.parametrize("strategy", ["one_for_one", "one_for_all"])
def test_supervisor_restarts_nobody_when_a_child_calls_sys_exit(strategy):
    log = []
    inner = supervisor_spec([recorder(log, "a"), child_spec(Quitter, log, "quitter")], strategy=strategy)
    assert exit_code_of(inner) == 3
    assert log == ["+a", "+quitter", "-a"]


def test_run_raises_system_exit_when_an_init_calls_it():
    log = []
    assert exit_code_of(recorder(log, "a"), child_spec(InitBy, lambda: sys.exit(4))) == 4
    assert log == ["+a", "-a"]


def test_run_raises_system_exit_when_a_task_of_no_process_calls_it():
    log, strays = [], []

    async def stray():
        sys.exit("no disk")

    async def start_stray():
        strays.append(asyncio.ensure_future(stray()))
        await hang()

    assert exit_code_of(recorder(log, "a"), child_spec(start_stray)) == "no disk"
    assert log == ["+a", "-a"]


def test_run_raises_the_first_system_exit_when_there_are_more():
    log = []

    class Insisting(Recorder):
        def terminate(self, reason):
            super().terminate(reason)
            sys.exit(5)

    async def close():
        sys.exit(6)

    insisting = child_spec(Insisting, log, "insisting")
    node = quick_node(services=[Closing(close)])
    assert exit_code_of(recorder(log, "a"), insisting, child_spec(Quitter, log, "quitter"), node=node) == 3
    assert log == ["+a", "+insisting", "+quitter", "-insisting", "-a"]


def test_run_kills_after_sys_exit_what_does_not_stop_within_the_nodes_shutdown_timeout(caplog):
    log = []

    class Deaf(Recorder):
        async def terminate(self, reason):  # type: ignore[override]
            log.append("told")
            await hang()

    node = Node("test", shutdown_timeout=0.05, block_threshold=None)
    assert exit_code_of(child_spec(Deaf, log, "deaf", shutdown=None), child_spec(Quitter, log, "q"), node=node) == 3
    assert log == ["+deaf", "+q", "told"]
    assert told_by(caplog, "stanchion.node") == ["application shop <test.1> did not stop within 0.05 s and is killed"]


def test_run_reports_what_else_the_loop_complains_of(caplog):
    async def complain():
        asyncio.get_running_loop().call_exception_handler({"message": "a complaint", "exception": ValueError("boom")})
        sys.exit()

    assert exit_code_of(child_spec(complain)) is None
    assert told_by(caplog, "asyncio") == ["a complaint"]
