# SPDX-License-Identifier: MIT
"""For tests of programs that use Stanchion: time that jumps instead of passing."""

from __future__ import annotations

from stanchion._public import show_public_path
from stanchion.testing._virtual_time import VirtualClock, VirtualTimeLoop

__all__ = ["VirtualClock", "VirtualTimeLoop"]

show_public_path(globals())
