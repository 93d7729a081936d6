# SPDX-License-Identifier: MIT
"""Is there a debugger? While somebody sits at a breakpoint, a limit says nothing about the program."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Final, cast

# The packages that debuggers trace from, and not those that measure coverage or profile.
_DEBUGGERS: Final = ("bdb", "pdb", "pydevd", "_pydevd_bundle", "_pydevd_frame_eval", "debugpy", "pudb", "ipdb")
_PROMPTS: Final = ("bdb", "pdb")


def debugger_attached() -> bool:
    """Return whether a debugger is attached to the running thread: it traces it, or a client of debugpy is there."""
    trace = sys.gettrace()
    if trace is not None and _is_debugger(getattr(trace, "__self__", trace)):
        return True
    monitoring = getattr(sys, "monitoring", None)  # from Python 3.12 on
    if monitoring is not None and monitoring.get_tool(monitoring.DEBUGGER_ID) is not None:
        return True
    connected = getattr(sys.modules.get("debugpy"), "is_client_connected", None)
    return connected is not None and bool(cast("Callable[[], object]", connected)())


def held_by_debugger(frame: FrameType | None) -> bool:
    """Return whether a thread stands at the prompt of a debugger; pdb, and what is built on it, is gone afterwards."""
    while frame is not None:
        if frame.f_globals.get("__name__") in _PROMPTS:
            return True
        frame = frame.f_back
    return False


def _is_debugger(tracer: object) -> bool:
    """Return whether a tracer is a debugger's: a function of one, or an object of a class that may derive from one."""
    named = tracer if hasattr(tracer, "__qualname__") else type(tracer)
    bases = named.__mro__ if isinstance(named, type) else (named,)
    # What was not written in Python may have None for a module.
    return any(str(base.__module__).partition(".")[0] in _DEBUGGERS for base in bases)
