# SPDX-License-Identifier: MIT
"""Who else hears it: signals, the patterns by which they are wanted, and their subscribers."""

from __future__ import annotations

from stanchion._public import show_public_path

__all__: list[str] = []

show_public_path(globals())
