# SPDX-License-Identifier: MIT
from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.commands import cli, command, environment, process, stored

SHOP = """
from dataclasses import dataclass

import stanchion as st

class Greeter(st.GenServer):
    async def init(self, *words):
        st.trap_exit()
        print("started", *words, flush=True)

    async def terminate(self, reason):
        print("stopped", reason, flush=True)

app = st.Application("shop", children=[st.child_spec(Greeter, name="greeter")])

@dataclass
class Town:
    name: str = "Rome"

configured = st.Application("town", config=Town, children=lambda town: [st.child_spec(Greeter, town.name)])

def build():
    return app

class settings:
    app = app

def build_for(town):
    return app

async def build_later():
    return app

def broken():
    return {}["town"]

class Failing(st.GenServer):
    async def init(self):
        raise RuntimeError("no town")

failing = st.Application("failing", children=[st.child_spec(Failing)])

class Crashing(st.GenServer):
    async def init(self):
        return st.Continue(None)

    async def handle_continue(self, arg):
        raise RuntimeError("crash")

crashing = st.Application("crashing", children=[st.child_spec(Crashing)])

class Losing(st.GenServer):
    async def init(self):
        return st.Continue(None)

    async def handle_continue(self, arg):
        await st.send_supervised("nobody", "lost", retries=0, on_error="dead_letter")
        print("started", flush=True)

losing = st.Application("losing", children=[st.child_spec(Losing)])
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Make the folder of ``shop.py`` the current one; what is imported from it is forgotten afterwards."""
    (tmp_path / "shop.py").write_text(SHOP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


def run_until(signum: int, *args: str, cwd: Path) -> tuple[int, str, str]:
    """Run an application until it says that it started, send the signal; return exit code, stdout and stderr."""
    started = subprocess.Popen(
        command("run", *args), cwd=cwd, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert started.stdout is not None
    first = started.stdout.readline()
    started.send_signal(signum)
    stdout, stderr = started.communicate(timeout=15)
    return started.returncode, first + stdout, stderr


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_run_stops_in_order_and_ends_with_0_when_a_signal_comes(shop: Path, signum: signal.Signals) -> None:
    code, stdout, stderr = run_until(signum, "shop:app", cwd=shop)
    assert (code, stdout) == (0, "started\nstopped shutdown\n"), stderr
    assert "INFO    stanchion.cli: application shop starts; dead letters: none are kept\n" in stderr
    assert f"INFO    stanchion.run: {signum.name}: node shop stops in order" in stderr


@pytest.mark.parametrize("target", ["shop:build", "shop:settings.app"])
def test_run_finds_an_application_behind_a_function_or_an_attribute(shop: Path, target: str) -> None:
    code, stdout, _ = run_until(signal.SIGTERM, target, "--loop", "asyncio", "--log-level", "ERROR", cwd=shop)
    assert (code, stdout) == (0, "started\nstopped shutdown\n")


def test_run_reads_the_configuration_that_it_is_given(shop: Path) -> None:
    (shop / "town.toml").write_text('[town]\nname = "Oslo"\n')
    code, stdout, stderr = run_until(signal.SIGTERM, "shop:configured", "--config", "town.toml", cwd=shop)
    assert (code, stdout) == (0, "started Oslo\nstopped shutdown\n"), stderr


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("[town]\nname = 3", "town.toml: [town] name: expected str, got 3\n"),
        ("[twon]", "town.toml: expected the tables [town], got [twon]\nFix: write [town].\n"),
        (None, "town.toml: expected a file to read, got No such file or directory\n"),
    ],
)
def test_run_refuses_a_configuration_that_is_not_right(shop: Path, text: str | None, error: str) -> None:
    if text is not None:
        (shop / "town.toml").write_text(text)
    refused = cli("run", "shop:configured", "--config", "town.toml")
    assert (refused.exit_code, refused.stdout, refused.stderr.partition("error: ")[2]) == (2, "", error)


def test_run_refuses_timeouts_that_are_not_right(shop: Path) -> None:
    (shop / "limits.toml").write_text("default = '5s'\n")
    refused = cli("run", "shop:app", "--timeouts", "limits.toml")
    error = "limits.toml: default: expected seconds > 0 as a finite number, got '5s'\nFix: write 5.0.\n"
    assert (refused.exit_code, refused.stdout, refused.stderr.partition("error: ")[2]) == (2, "", error)


def test_run_takes_its_timeouts_from_a_file(shop: Path) -> None:
    (shop / "limits.toml").write_text("default = 3\n")
    code, stdout, stderr = run_until(signal.SIGTERM, "shop:app", "--timeouts", "limits.toml", cwd=shop)
    assert (code, stdout) == (0, "started\nstopped shutdown\n"), stderr


def test_run_logs_what_it_is_asked_to(shop: Path) -> None:
    _, _, stderr = run_until(signal.SIGTERM, "shop:app", "--log-level", "error", cwd=shop)
    assert stderr == ""


def test_run_keeps_dead_letters_where_it_is_told_to(shop: Path) -> None:
    code, _, stderr = run_until(signal.SIGTERM, "shop:losing", "--dead-letters", "sqlite:///letters.db", cwd=shop)
    assert code == 0, stderr
    assert "alembic" not in stderr
    [letter] = stored(f"sqlite:///{shop}/letters.db").values()
    assert (letter.recipient, letter.message()) == ("nobody", "lost")


def test_run_ends_with_1_when_a_child_does_not_start(shop: Path) -> None:
    done = process("run", "shop:failing", cwd=shop)
    assert done.returncode == 1
    assert "error: start of child 'Failing' of" in done.stderr
    assert "expected init to finish, got RuntimeError('no town')" in done.stderr.splitlines()[-1]


def test_run_ends_with_1_when_the_application_gives_up(shop: Path) -> None:
    done = process("run", "shop:crashing", cwd=shop)
    assert done.returncode == 1
    assert "error: application 'crashing': expected to run until it is told to stop" in done.stderr


def test_run_ends_with_1_when_the_database_is_damaged(shop: Path) -> None:
    (shop / "letters.db").write_bytes(b"no database\n" * 1000)
    done = process("run", "shop:app", "--dead-letters", "sqlite:///letters.db", cwd=shop)
    assert (done.returncode, done.stdout) == (1, "")
    assert "error: store sqlite:///letters.db: expected a SQLite database, got file is not a database\n" in done.stderr


@pytest.mark.parametrize(
    ("target", "error"),
    [
        ("shop", "run: expected MODULE:APP, as in shop:app, got 'shop'\nFix: stanchion run shop:app\n"),
        ("shop.py:app", "got 'shop.py:app'\nFix: stanchion run shop:app\n"),
        ("lib/shop.py:", "got 'lib/shop.py:'\nFix: stanchion run lib.shop:app\n"),
        ("shp:app", "got none\nFix: did you mean shop?\n"),
        ("shop.web:app", "expected a module 'shop.web' in "),
        ("zzzz:app", "got none\nFix: run it in the folder that the module is in.\n"),
        ("shop:ap", "got nothing of that name\nFix: stanchion run shop:app\n"),
        ("shop:settings.ap", "expected 'settings.ap' in "),
        ("shop:Greeter", "expected an Application, or a function that returns one, got <shop.Greeter object"),
        ("shop:SHOP", "got nothing of that name\nFix: stanchion run shop:"),
        ("shop:build_for", "missing a required argument: 'town'\nFix: write a function that calls it with them.\n"),
        ("shop:build_later", "expected an Application, or a function that returns one, got <coroutine object"),
        ("signal:app", 'Fix: write app = stanchion.Application("...", children=[...]) in it.\n'),
    ],
)
@pytest.mark.usefixtures("shop")
def test_run_refuses_a_target_that_is_no_application(target: str, error: str) -> None:
    refused = cli("run", target)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert error in refused.stderr


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            "import nowhere_to_be_found",
            "got ModuleNotFoundError: No module named 'nowhere_to_be_found'\n  at {0}:1: import",
        ),
        ("\n1 / 0", "got ZeroDivisionError: division by zero\n  at {0}:2: 1 / 0\n"),
        ("def (", "got SyntaxError: invalid syntax (broken.py, line 1)\n  at {0}:1\n"),
    ],
)
def test_run_says_where_a_module_raised_when_it_was_imported(shop: Path, text: str, error: str) -> None:
    (shop / "broken.py").write_text(text)
    failed = cli("run", "broken:app")
    assert failed.exit_code == 1
    assert failed.stderr.startswith("error: import of broken: expected it to succeed, ")
    assert error.format(shop / "broken.py") in failed.stderr
    assert "Traceback" not in failed.stderr


@pytest.mark.usefixtures("shop")
def test_run_says_where_a_function_raised() -> None:
    failed = cli("run", "shop:broken")
    assert failed.exit_code == 1
    assert failed.stderr.startswith("error: run shop:broken: expected it to succeed, got KeyError: 'town'\n  at ")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (
            ["--loop", "uvlop"],
            "run(loop): expected one of 'auto', 'asyncio', 'uvloop', got 'uvlop'\nFix: write 'uvloop'.",
        ),
        (["--log-level", "inf"], "--log-level: expected one of 'debug', "),
        (["--dead-letters", "letters.db"], "got 'letters.db'"),
    ],
)
@pytest.mark.usefixtures("shop")
def test_run_refuses_an_option_that_is_not_right(options: list[str], error: str) -> None:
    refused = cli("run", "shop:app", *options)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert error in refused.stderr
