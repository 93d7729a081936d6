# SPDX-License-Identifier: MIT
"""run() and signals, each in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Generator
from contextlib import contextmanager

import pytest

PREAMBLE = """
import asyncio, logging, os, signal, sys, threading, time
from stanchion.errors import ApplicationExitError
from stanchion.kernel import Node, trap_exit
from stanchion.server import GenServer
from stanchion.application import Application, run
from stanchion.supervisor import child_spec

logging.basicConfig(level="INFO", format="%(name)s: %(message)s")

def say(*words):
    print(*words, flush=True)

class Server(GenServer):
    def init(self, label):
        trap_exit()
        self.label = label
        say("+" + label)
    async def terminate(self, reason):
        say("-" + self.label, reason)
"""


class Program:
    """A program that runs in a process of its own, and what it printed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def wait_for(self, line: str) -> None:
        assert self.process.stdout is not None
        for read in self.process.stdout:
            if read.strip() == line:
                return
        pytest.fail(f"expected a line {line!r}, got the end: {self.process.communicate()[1]}")

    def wait_for_error(self, words: str) -> None:
        assert self.process.stderr is not None
        assert any(words in read for read in self.process.stderr), f"expected {words!r} on stderr, got the end"

    def signal(self, signum: int) -> None:
        self.process.send_signal(signum)

    def end(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=15)
        return self.process.returncode, out, err


@contextmanager
def program(code: str) -> Generator[Program]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", PREAMBLE + textwrap.dedent(code)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            yield Program(process)
        finally:
            process.kill()


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_first_signal_stops_the_tree_in_order(signum, loop):
    code = f"""
        run(Application("shop", children=[child_spec(Server, "a", id=1), child_spec(Server, "b", id=2)]), loop={loop!r})
        say("returned", signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)
    """
    with program(code) as running:
        running.wait_for("+b")
        running.signal(signum)
        status, out, err = running.end()
    assert (status, out.splitlines()) == (0, ["-b shutdown", "-a shutdown", "returned True"])
    assert err.splitlines() == [
        f"stanchion.run: {signal.Signals(signum).name}: node shop stops in order; a second signal kills what is left"
    ]


def test_signal_stops_a_tree_in_order_that_has_not_started():
    code = """
        class Slow(GenServer):
            async def init(self):
                say("slow")
                await asyncio.Event().wait()
        run(Application("shop", children=[child_spec(Server, "a"), child_spec(Slow, timeout=None)]))
        say("returned")
    """
    with program(code) as running:
        running.wait_for("slow")
        running.signal(signal.SIGTERM)
        status, out, _ = running.end()
    assert (status, out.splitlines()) == (0, ["-a shutdown", "returned"])


SLOW = """
class Slow(Server):
    async def terminate(self, reason):
        say("stopping")
        await asyncio.Event().wait()

app = Application("shop", children=[child_spec(Server, "a"), child_spec(Slow, "slow", shutdown=None)])
"""


def test_second_signal_kills_what_is_left():
    code = """
        run(app, node=Node("shop", shutdown_timeout=None))
        say("returned")
    """
    with program(SLOW + textwrap.dedent(code)) as running:
        running.wait_for("+slow")
        running.signal(signal.SIGTERM)
        running.wait_for("stopping")
        running.signal(signal.SIGINT)
        status, out, err = running.end()
    assert (status, out.splitlines()) == (0, ["returned"])
    assert "stanchion.run: SIGINT again: 4 processes of node shop are killed" in err.splitlines()


def test_second_signal_ends_a_process_that_refuses_to_end():
    code = """
        async def refuse():
            say("running")
            while True:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    say("refused")

        import stanchion.application._run
        stanchion.application._run._TASK_GRACE = 0.1
        app = Application("shop", children=[child_spec(refuse, shutdown=None)])
        run(app, node=Node("shop", shutdown_timeout=None, exit_grace=0.2))
        say("returned")
    """
    with program(code) as running:
        running.wait_for("running")
        running.signal(signal.SIGTERM)
        running.wait_for("refused")
        running.signal(signal.SIGTERM)
        status, out, err = running.end()
    assert (status, out.splitlines()[-1]) == (0, "returned")
    assert "did not end within 0.1 s of its cancellation and is left behind" in err


HANGING_SERVICE = """
class Hanging:
    async def open(self, node):
        pass
    async def close(self):
        say("closing")
        await asyncio.Event().wait()

app = Application("shop", children=[child_spec(Server, "a")])
"""


@pytest.mark.parametrize(("signum", "ends_by"), [(signal.SIGTERM, "status -15"), (signal.SIGINT, "KeyboardInterrupt")])
def test_third_signal_means_what_it_meant_before(signum, ends_by):
    code = """
        try:
            run(app, node=Node("shop", services=[Hanging()]))
        except KeyboardInterrupt:
            say("KeyboardInterrupt")
    """
    with program(HANGING_SERVICE + textwrap.dedent(code)) as running:
        running.wait_for("+a")
        running.signal(signum)
        running.wait_for("closing")
        running.signal(signum)
        running.wait_for_error("again: 0 processes of node shop are killed")
        running.signal(signum)
        status, out, _ = running.end()
    assert ends_by in [*out.splitlines(), f"status {status}"]


def test_signal_is_heard_when_a_blocked_loop_goes_on():
    code = """
        class Blocking(Server):
            def handle_info(self, message):
                say("blocking")
                time.sleep(0.3)
                say("goes on")

        async def block():
            from stanchion.server import send
            send("blocking", "go")
            await asyncio.Event().wait()

        run(Application("shop", children=[child_spec(Blocking, "b", name="blocking"), child_spec(block)]))
    """
    with program(code) as running:
        running.wait_for("blocking")
        running.signal(signal.SIGTERM)
        status, out, _ = running.end()
    assert (status, out.splitlines()) == (0, ["goes on", "-b shutdown"])


def test_program_ends_with_status_1_when_the_top_supervisor_gives_up():
    code = """
        async def crash():
            raise ValueError("boom")

        run(Application("shop", children=[child_spec(crash)]))
    """
    with program(code) as running:
        status, _, err = running.end()
    assert status == 1
    assert "stanchion.errors.ApplicationExitError: application 'shop': expected to run until" in err
