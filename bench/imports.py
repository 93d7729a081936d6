# SPDX-License-Identifier: MIT
"""What ``import stanchion`` adds to the start of Python."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from statistics import median
from time import perf_counter

from bench._measure import Figures, Plan


async def measure(plan: Plan) -> Figures:
    """Measure milliseconds beyond bare Python: fresh interpreters in turns, the median of the differences."""
    await _milliseconds("import stanchion")  # compiles what is new, and warms the disk's cache
    pairs = [(await _milliseconds("pass"), await _milliseconds("import stanchion")) for _ in range(plan.rounds)]
    return Figures(value=median(ours - bare for bare, ours in pairs), floor=median(bare for bare, _ in pairs))


async def _milliseconds(code: str) -> float:
    # Compiled once and kept, as where it is installed; some build environments say to keep nothing.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    began = perf_counter()
    await asyncio.to_thread(subprocess.run, [sys.executable, "-c", code], check=True, env=environment)
    return (perf_counter() - began) * 1000
