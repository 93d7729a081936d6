# SPDX-License-Identifier: MIT
"""The event loops to measure on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib.util import find_spec


def _uvloop() -> asyncio.AbstractEventLoop:
    import uvloop

    return uvloop.new_event_loop()


LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.SelectorEventLoop}
"""By name: asyncio's own, and uvloop's where it is installed."""

if find_spec("uvloop") is not None:
    LOOPS["uvloop"] = _uvloop
