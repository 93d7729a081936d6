# SPDX-License-Identifier: MIT
"""What counts as a debugger."""

from __future__ import annotations

import pdb  # noqa: T100  # what is looked for
import sys
from types import FrameType, SimpleNamespace

import pytest
from coverage.pytracer import PyTracer
from coverage.tracer import CTracer

from stanchion.timeouts import debugger_attached, held_by_debugger


def made_in(module: str, code: str) -> object:
    """Return what the code calls ``made``, as if it stood in a module."""
    names: dict[str, object] = {"__name__": module, "sys": sys}
    exec(code, names)
    return names["made"]


class OfUsers(pdb.Pdb):
    """A debugger that is built on pdb, as those with colours are."""


@pytest.mark.parametrize(
    "tracer",
    [
        pdb.Pdb().trace_dispatch,
        OfUsers().trace_dispatch,
        made_in("_pydevd_bundle.pydevd_trace_dispatch", "def made(frame, event, arg): ..."),
        made_in("pydevd", "class Tracer:\n def __call__(self): ...\nmade = Tracer()"),
    ],
)
def test_tracer_of_a_debugger_is_one(tracer: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "gettrace", lambda: tracer)
    assert debugger_attached()


@pytest.mark.parametrize(
    "tracer",
    [
        None,
        CTracer(),
        PyTracer()._trace,
        made_in("profiler", "def made(frame, event, arg): ..."),
        made_in("profiler", "def made(frame, event, arg): ...\nmade.__module__ = None"),
    ],
)
def test_no_tracer_and_those_of_others_are_none(tracer: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "gettrace", lambda: tracer)
    assert not debugger_attached()


@pytest.mark.parametrize(("tool", "attached"), [("pdb", True), (None, False)])
def test_tool_that_monitors_as_a_debugger_is_one(
    tool: str | None, attached: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """sys.monitoring of Python 3.12 needs no trace function."""
    monitoring = SimpleNamespace(DEBUGGER_ID=0, get_tool={0: tool}.get)
    monkeypatch.setattr(sys, "monitoring", monitoring, raising=False)
    assert debugger_attached() is attached


@pytest.mark.parametrize("connected", [True, False])
def test_client_of_debugpy_is_a_debugger(connected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "debugpy", SimpleNamespace(is_client_connected=lambda: connected))
    assert debugger_attached() is connected


def frame_in(module: str) -> FrameType:
    made = made_in(module, "def f():\n return sys._getframe()\nmade = f()")
    assert isinstance(made, FrameType)
    return made


def test_thread_is_held_when_one_of_its_frames_is_a_prompt() -> None:
    assert held_by_debugger(frame_in("bdb"))
    assert held_by_debugger(frame_in("pdb"))
    assert not held_by_debugger(frame_in("shop"))
    assert not held_by_debugger(None)
