# SPDX-License-Identifier: MIT
"""When: once, at intervals, or by the calendar."""

from __future__ import annotations

from stanchion._public import show_public_path

__all__: list[str] = []

show_public_path(globals())
