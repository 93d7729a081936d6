# SPDX-License-Identifier: MIT
"""Why the processes of a node ended: kept for tests that ask after the fact."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast
from weakref import WeakKeyDictionary

from stanchion.kernel import ExitReason, Node, Pid
from stanchion.telemetry import PROCESS_EXIT, PROCESS_RUNAWAY, Event

_by_node: Final[WeakKeyDictionary[Node, Exits]] = WeakKeyDictionary()


class Exits:
    """The exits of one node from the making of this on.

    Attributes:
        reasons: The exit reason of each process that ended.
        runaways: Those whose task did not end in time, as texts.
    """

    def __init__(self, node: Node) -> None:
        self.reasons: dict[Pid, ExitReason] = {}
        self.runaways: list[str] = []
        node.telemetry.attach(PROCESS_EXIT, self._exited)
        node.telemetry.attach(PROCESS_RUNAWAY, self._ran_away)
        _by_node[node] = self

    def _exited(self, _: Event, __: Mapping[str, float], details: Mapping[str, object]) -> None:
        self.reasons[cast("Pid", details["pid"])] = cast("ExitReason", details["reason"])

    def _ran_away(self, _: Event, grace: Mapping[str, float], details: Mapping[str, object]) -> None:
        self.runaways.append(f"{details['pid']!r}, {grace['grace']:g} s after it was told to exit")


def reason_of(node: Node, pid: Pid) -> ExitReason | None:
    """Return why a process ended, or None where nobody took note."""
    exits = _by_node.get(node)
    return None if exits is None else exits.reasons.get(pid)
