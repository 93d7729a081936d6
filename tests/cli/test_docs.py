# SPDX-License-Identifier: MIT
"""What the docs show of the command line is run, word for word, and what they say it prints is compared.

Each ``console`` block of a page runs in the shell, in order and in one folder, after the Python blocks of the page.
Ids and times differ from run to run: an id on the page stands for the one that came in its place, and a time for any.
"""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer.main

from stanchion.cli._commands import app
from tests.cli.commands import environment

DOCS = Path(__file__).resolve().parents[2] / "docs"

BLOCK = re.compile(r"^```(python|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}\b")
MESSAGE_ID = re.compile(r"\b[0-9a-f]{16}-\d+\b")
TIME = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(,\d+)?( [+-]\d\d:\d\d)?|\b\d+ s( ago)?\b|\bin \d+ s\b|\bnow\b|\b\d{10}\.\d+"
)


def blocks(page: str, language: str) -> Iterator[str]:
    for found, code in BLOCK.findall((DOCS / page).read_text(encoding="utf-8")):
        if found == language:
            yield code


def sessions(page: str) -> Iterator[tuple[str, str]]:
    """Yield each command of a page with what it prints."""
    for block in blocks(page, "console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            line, _, output = part.partition("\n")
            yield line, output


def plain(text: str, ids: dict[str, str]) -> str:
    """Return output without what differs from run to run: ids of this run, times, the widths of columns."""
    text = ID.sub(lambda found: ids.get(found[0], found[0]), text)
    text = MESSAGE_ID.sub("MESSAGE-ID", TIME.sub("TIME", text))
    return "\n".join(" ".join(line.split()) for line in text.splitlines())


class Shell:
    """Runs commands as a reader would, and remembers what they export."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = environment(COLUMNS="100", PYTHONUNBUFFERED="1")
        self.environment["PATH"] = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        script = folder / "bin" / "stanchion"
        script.parent.mkdir()
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m stanchion "$@"\n')
        script.chmod(script.stat().st_mode | stat.S_IXUSR)

    def run(self, line: str) -> str:
        if line.startswith("export "):
            name, _, value = line.removeprefix("export ").partition("=")
            self.environment[name] = value
            return ""
        done = subprocess.run(
            ["sh", "-c", line], cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=15, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{line}\n{done.stdout}"
        return done.stdout

    def run_until_interrupted(self, line: str, *, after: Path) -> str:
        """Run a command, interrupt it once there is the file ``after``, and return what it printed."""
        started = subprocess.Popen(
            ["sh", "-c", f"exec {line}"], cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        while not after.exists() and started.poll() is None:
            time.sleep(0.02)
        started.send_signal(signal.SIGINT)
        printed, _ = started.communicate(timeout=15)
        assert started.returncode == 0, printed
        return printed


@pytest.mark.timeout(60)
def test_dead_letters_page_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    module = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", module)
    for code in blocks("how-to/inspect-dead-letters.md", "python"):
        exec(code, vars(module))
    shell, here = Shell(tmp_path), dict[str, str]()  # here: an id on the page -> the one of this run
    for line, shown in sessions("how-to/inspect-dead-letters.md"):
        printed = shell.run(ID.sub(lambda found: here[found[0]], line))
        for on_page, of_run in zip(ID.findall(shown), ID.findall(printed), strict=False):
            here.setdefault(on_page, of_run)
        assert plain(printed, {}) == plain(shown, here), line


def test_run_page_does_what_it_says(tmp_path: Path) -> None:
    [module, *_] = blocks("how-to/run-an-application.md", "python")
    (tmp_path / "shop.py").write_text(module)
    [(line, shown)] = sessions("how-to/run-an-application.md")
    printed = Shell(tmp_path).run_until_interrupted(line, after=tmp_path / "letters.db")
    assert plain(printed, {}) == plain(shown.replace("^C", ""), {})


def test_timeouts_page_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = "how-to/set-timeouts.md"
    [code] = [code for code in blocks(page, "python") if 'Path("timeouts.toml")' in code]
    exec(f"import stanchion as st\n{code}", {})
    shell = Shell(tmp_path)
    for line, shown in sessions(page):
        assert shell.run(line).strip() == shown.strip(), line


def test_reference_page_has_every_command_and_option() -> None:
    page = (DOCS / "reference/command-line.md").read_text(encoding="utf-8")
    top: Any = typer.main.get_command(app)
    groups = {group: top.commands[group].commands for group in ("dlq", "timeouts")}
    commands = [top.commands["run"], *(command for group in groups.values() for command in group.values())]
    options = {name for command in commands for option in command.params for name in option.opts}
    assert {f"{group} {name}" for group in groups for name in groups[group] if f"`{group} {name}" not in page} == set()
    assert {name for name in options if name.startswith("-") and f"`{name}" not in page} == set()
    assert set(re.findall(r"`(--[a-z-]+)", page)) - options == {"--help", "--traceback", "--version"}
