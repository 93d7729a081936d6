# SPDX-License-Identifier: MIT
"""What is told of the runs of schedules, and of due times that were not run."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from stanchion.telemetry import SCHEDULE_MISSED, SCHEDULE_STARTED, SCHEDULE_STOPPED

if TYPE_CHECKING:
    from stanchion.kernel import Node

_log = logging.getLogger("stanchion.scheduler")


def tell_started(node: Node, id: str, due: float) -> None:
    """Tell that a run began; ``due`` in Unix seconds, as in all of these."""
    if node.telemetry.attached:
        measured = {"lateness": max(0.0, node.clock.time() - due)}
        node.telemetry.emit(SCHEDULE_STARTED, measured, {"node": node.name, "schedule": id, "due": due})


def tell_stopped(node: Node, id: str, due: float, elapsed: float, outcome: str, reason: str | None) -> None:
    """Tell that a run ended."""
    if node.telemetry.attached:
        about = {"node": node.name, "schedule": id, "due": due, "outcome": outcome, "reason": reason}
        node.telemetry.emit(SCHEDULE_STOPPED, {"elapsed": elapsed}, about)


def tell_missed(node: Node, id: str, reason: str, due: float, *, last: float | None = None, count: int = 1) -> None:
    """Tell that a due time is not run, or ``count`` of a row that ends with ``last``."""
    lateness = max(0.0, node.clock.time() - due)
    if node.telemetry.attached:
        about = {
            "node": node.name,
            "schedule": id,
            "due": due,
            "reason": reason,
            "last": due if last is None else last,
        }
        node.telemetry.emit(SCHEDULE_MISSED, {"count": count, "lateness": lateness}, about)
    if node.storm_guard.admit("due times of schedules were missed", _log):
        times = "a due time" if count == 1 else f"{count} due times"
        _log.warning("schedule %r missed %s, %.3g s ago: %s", id, times, lateness, reason)
