# SPDX-License-Identifier: MIT
"""Runs scenarios on Erlang/OTP, all of them in one emulator. See ``scenario.py`` for what a scenario is."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.conformance.scenario import Scenario
from tests.conformance.trace import Seen, Trace

_SOURCES = Path(__file__).parent / "otp"
_ELIXIR = [Path(folder) / "ebin" for folder in ("/usr/lib/elixir/lib/elixir", "/usr/lib/elixir/lib/logger")]
_LIMIT = 150.0


def missing() -> str | None:
    """Return what is missing to run scenarios here, or None."""
    if shutil.which("erl") is None or shutil.which("erlc") is None:
        return "no Erlang/OTP: there is no erl and erlc (Debian: apt-get install erlang-base)"
    if not all(folder.is_dir() for folder in _ELIXIR):
        return f"no Elixir: there is no {_ELIXIR[0]} (Debian: apt-get install elixir)"
    return None


def run(scenarios: Iterable[Scenario], folder: Path, traces: Path) -> None:
    """Run scenarios and write their traces; ``folder`` is for the files that this takes."""
    sources = sorted(map(str, _SOURCES.glob("*.erl")))
    _command(["erlc", "-o", str(folder), *sources], folder)
    given, told = folder / "scenarios.eterm", folder / "told.tsv"
    terms = [f"{term((scenario.name, list(scenario.steps)))}.\n" for scenario in scenarios]
    given.write_text("".join(terms), encoding="utf-8")
    paths = [str(path) for path in (folder, *_ELIXIR)]
    arguments = ["-run", "conformance", "main", str(given), str(told)]
    # One scheduler, see conformance.erl; no node name, no shell, no crash dump.
    _command(["erl", "+S", "1:1", "+SDio", "1", "-noshell", "-noinput", "-pa", *paths, *arguments], folder)
    told.replace(traces)


def read(traces: Path) -> dict[str, Trace]:
    """Return the traces in a file by scenario."""
    seen: dict[str, list[Seen]] = {}
    for line in traces.read_text(encoding="utf-8").splitlines():
        name, step, kind, actor, text = line.split("\t")
        seen.setdefault(name, []).append(Seen(int(step), kind, actor, text))
    return {name: Trace(events) for name, events in seen.items()}


def term(value: Any) -> str:
    """Return Python data as an Erlang term: a string is an atom, a dict a map."""
    match value:
        case bool() | None:
            return {True: "true", False: "false", None: "undefined"}[value]
        case int():
            return str(value)
        case str():
            return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
        case tuple():
            return "{" + ", ".join(map(term, value)) + "}"
        case list():
            return "[" + ", ".join(map(term, value)) + "]"
        case dict():
            return "#{" + ", ".join(f"{term(key)} => {term(item)}" for key, item in value.items()) + "}"
        case _:
            raise TypeError(f"term(value): expected data that scenarios are made of, got {value!r}")


def _command(command: list[str], folder: Path) -> None:
    environment = {**os.environ, "ERL_CRASH_DUMP": os.devnull}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=_LIMIT)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
