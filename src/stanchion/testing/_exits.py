# SPDX-License-Identifier: MIT
"""Why the processes of a node ended: kept for tests that ask after the fact, and for what nobody asks about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast
from weakref import WeakKeyDictionary

from stanchion.kernel import ExitReason, Node, Pid
from stanchion.telemetry import PROCESS_EXIT, Event

_by_node: Final[WeakKeyDictionary[Node, Exits]] = WeakKeyDictionary()


class InjectedCrash(Exception):  # noqa: N818  # it stands for any error of the process's own
    """What a process crashes with when a test makes it crash and says nothing else."""


class Exits:
    """The exits of one node from the making of this on.

    Attributes:
        reasons: The exit reason of each process that ended.
        unheard: The crashes among them that were meant by nobody, and told to nobody.
    """

    def __init__(self, node: Node) -> None:
        self.reasons: dict[Pid, ExitReason] = {}
        self.unheard: dict[Pid, BaseException] = {}
        node.telemetry.attach(PROCESS_EXIT, self._exited)
        _by_node[node] = self

    def _exited(self, _: Event, __: Mapping[str, float], details: Mapping[str, object]) -> None:
        pid, reason = cast("Pid", details["pid"]), cast("ExitReason", details["reason"])
        self.reasons[pid] = reason
        if isinstance(reason, BaseException) and not isinstance(reason, InjectedCrash) and not details["heard"]:
            self.unheard[pid] = reason


def reason_of(node: Node, pid: Pid) -> ExitReason | None:
    """Return why a process ended, or None where nobody took note; who asks has heard of it."""
    exits = _by_node.get(node)
    if exits is None:
        return None
    exits.unheard.pop(pid, None)
    return exits.reasons.get(pid)
