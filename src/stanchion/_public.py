# SPDX-License-Identifier: MIT
"""How a front shows its names."""

from __future__ import annotations

from inspect import isclass, isfunction
from typing import cast


def show_public_path(front: dict[str, object]) -> None:
    """Have the classes and functions of a front say that they live there, and not in a private file.

    Tracebacks, reprs and documentation then show the path by which users import them.

    Args:
        front: The module's ``globals()``, with its ``__all__``.
    """
    home = front["__name__"]
    for name in cast("list[str]", front["__all__"]):
        value = front.get(name)
        if (isclass(value) or isfunction(value)) and value.__module__.startswith((f"{home}.", "stanchion._")):
            value.__module__ = str(home)
