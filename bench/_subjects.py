# SPDX-License-Identifier: MIT
"""Which function measures which budget."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Final

from bench import calls, casts, dead_letters, idle, imports, memory, monitors, processes, retry_pass, sends, telemetry
from bench._measure import Figures, Plan

SUBJECTS: Final[dict[str, Callable[[Plan], Coroutine[object, object, Figures]]]] = {
    "cast": casts.measure,
    "call, 1 caller": partial(calls.measure, callers=1),
    "call, 100 callers": partial(calls.measure, callers=100),
    "send_supervised, 1 sender": partial(sends.measure, senders=1),
    "send_supervised, 100 senders": partial(sends.measure, senders=100),
    "telemetry, nobody attached": telemetry.measure,
    "spawn and stop, plain": processes.measure_plain,
    "start and stop, GenServer": processes.measure_servers,
    "memory, plain": partial(memory.measure, kind="plain"),
    "memory, GenServer": partial(memory.measure, kind="server"),
    "memory, 100,000 GenServers": partial(memory.measure, kind="server", full=100_000),
    "end a node of 100,000 GenServers": idle.measure,
    "monitor and demonitor": monitors.measure,
    "monitor and demonitor, 100,000 held": monitors.measure_held,
    "dead letters stored": dead_letters.measure,
    "retry pass, 100 of 100,000 due": retry_pass.measure,
    "import stanchion": imports.measure,
}

ON_NO_LOOP: Final = {"import stanchion"}
"""What has nothing to do with event loops, and is measured once."""
