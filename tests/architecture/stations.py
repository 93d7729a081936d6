# SPDX-License-Identifier: MIT
"""The stations of src/stanchion in the order in which they may build on each other."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "stanchion"

FRONT = "stanchion"
"""The everyday surface, ``stanchion/__init__.py``."""

ORDER = (
    "errors",
    "_validate",
    "_public",
    "_toml",
    "_backoff",
    "_ids",
    "_wildcards",
    "messages",
    "telemetry",
    "timeouts",
    "kernel",
    "server",
    "state_machine",
    "registry",
    "supervisor",
    "monitors",
    "application",
    "breakers",
    "storage",
    "dead_letters",
    "outbox",
    "delivery",
    "router",
    "scheduler",
    "coordination",
    "_node",
    FRONT,
    # Tools: they may use the front, and nothing above uses them.
    "cluster",
    "testing",
    "audit",
    "dashboard",
    "cli",
    "__main__",
)
"""A station may import those before it, and only those."""

ONLY = {
    "timeouts": {"errors", "_validate", "_public", "_toml", "_wildcards", "telemetry"},
    "kernel": {"errors", "_validate", "_public", "telemetry", "timeouts"},
    "breakers": {"errors", "_validate", "_public", "_backoff", "telemetry", "kernel"},
    "storage": {"errors", "_validate", "_public", "telemetry"},
    "dead_letters": {
        "errors",
        "_validate",
        "_public",
        "_backoff",
        "_ids",
        "messages",
        "telemetry",
        "kernel",
        "storage",
    },
    "outbox": {"errors", "_validate", "_public", "_ids", "telemetry", "timeouts", "kernel", "storage", "dead_letters"},
    "coordination": {FRONT, "errors"},
}
"""Stations that are held to less than what stands before them (or, for public names only, to the front)."""


def station_of(path: Path) -> str:
    """Return the station that a file under src/stanchion belongs to."""
    first = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    return FRONT if first == "__init__" else first


def source_files() -> list[Path]:
    """Return every Python file of the library."""
    return sorted(SOURCE.rglob("*.py"))


def public_stations() -> list[str]:
    """Return the dotted names of the stations that exist and have a public front."""
    present = {station_of(path) for path in source_files()}
    return [f"stanchion.{name}" for name in ORDER if name in present and name != FRONT and not name.startswith("_")]


def fronts() -> list[ModuleType]:
    """Return the public station modules, imported."""
    return [importlib.import_module(name) for name in public_stations()]
