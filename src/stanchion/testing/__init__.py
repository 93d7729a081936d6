# SPDX-License-Identifier: MIT
"""For tests of programs that use Stanchion: time that jumps, orders that are drawn, and processes that tell.

A message that a test sends, or that a ``Probe`` receives, is an ordinary one; the kit stands where a process would. What it
adds is control: virtual time, the order in which ready processes run, and faults. With pytest, take the fixture
``node``; with another runner, call ``run_isolated``.
"""

from __future__ import annotations

from stanchion._public import show_public_path
from stanchion.testing._down import assert_down, crash
from stanchion.testing._exits import InjectedCrash
from stanchion.testing._faults import Fault, crash_on, delay, drop, duplicate
from stanchion.testing._isolated import run_isolated
from stanchion.testing._left import LeftoverError
from stanchion.testing._patterns import ANYTHING
from stanchion.testing._perform import perform
from stanchion.testing._probe import Probe
from stanchion.testing._quiet import advance, wait_quiet
from stanchion.testing._seeded import SeededLoop
from stanchion.testing._supervised import start_supervised
from stanchion.testing._virtual_time import VirtualClock, VirtualTimeLoop

__all__ = [
    "ANYTHING",
    "Fault",
    "InjectedCrash",
    "LeftoverError",
    "Probe",
    "SeededLoop",
    "VirtualClock",
    "VirtualTimeLoop",
    "advance",
    "assert_down",
    "crash",
    "crash_on",
    "delay",
    "drop",
    "duplicate",
    "perform",
    "run_isolated",
    "start_supervised",
    "wait_quiet",
]

show_public_path(globals())
