# SPDX-License-Identifier: MIT
"""Traces: what happened in a run of a scenario, in a form that two runs can be compared in."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from typing import NamedTuple

from tests.conformance.scenario import Scenario

EVENT = "event"
LIFECYCLE = "lifecycle"
"""An init or terminate, whose order counts among all servers."""

_WIDTH = 100


class Seen(NamedTuple):
    """One event: in which step, of which kind, who tells it, and what."""

    step: int
    kind: str
    actor: str
    text: str


class Trace:
    """The events of one run, in the order in which they were seen."""

    def __init__(self, seen: Iterable[Seen]) -> None:
        self.seen = list(seen)

    def steps(self, scenario: Scenario) -> list[list[str]]:
        """Return what each step led to, as lines; the first list is of what came before all steps.

        Within a step the order is that of each actor, and that of lifecycles; what it leaves open goes by label. Two
        runs with the same order in this sense have the same lines.
        """
        by_step: list[list[Seen]] = [[] for _ in range(len(scenario.steps) + 1)]
        for event in self.seen:
            by_step[event.step].append(event)
        return [[f"{event.actor}: {event.text}" for event in _ordered(events)] for events in by_step]


def difference(otp: list[list[str]], stanchion: list[list[str]]) -> str:
    """Return the lines that differ, with their steps: ``- `` what only OTP's trace has, ``+ `` what only ours has."""
    different: list[str] = []
    for number, (theirs, ours) in enumerate(zip(otp, stanchion, strict=True)):
        lines = difflib.ndiff(theirs, ours)
        different += [f"{line[:2]}{number}. {line[2:]}" for line in lines if line[0] in "-+"]
    return "\n".join(different)


def side_by_side(scenario: Scenario, otp: list[list[str]], stanchion: list[list[str]]) -> str:
    """Return both traces for a reader; lines that differ are marked."""
    rows = [(" ", "Erlang/OTP", "Stanchion")]
    for number, (theirs, ours) in enumerate(zip(otp, stanchion, strict=True)):
        if number:
            rows.append((" ", f"{number}. {_step_text(scenario.steps[number - 1])}", ""))
        for tag, a, b, c, d in difflib.SequenceMatcher(None, theirs, ours, autojunk=False).get_opcodes():
            mark = " " if tag == "equal" else "!"
            rows += [
                (mark, f"    {one}", f"    {other}") for one, other in zip_longest(theirs[a:b], ours[c:d], fillvalue="")
            ]
    width = max(len(one) for _, one, other in rows if other)
    return "\n".join(f"{mark} {one:<{width}} | {other}".rstrip(" |") for mark, one, other in rows)


def _ordered(events: list[Seen]) -> Iterator[Seen]:
    """Yield events in the one order that follows from what counts: of those that may come next, the first label's."""
    left = list(events)
    while left:
        nexts = [event for index, event in enumerate(left) if not any(_before(one, event) for one in left[:index])]
        chosen = min(nexts, key=lambda event: event.actor)
        left.remove(chosen)
        yield chosen


def _before(one: Seen, other: Seen) -> bool:
    """Return whether the order of two events counts, of which ``one`` was seen first."""
    return one.actor == other.actor or (one.kind == LIFECYCLE and other.kind == LIFECYCLE)


def _step_text(step: tuple[object, ...]) -> str:
    """Return a step for a reader, cut where it is long."""
    text = f"{step[0]}: {_op_text(step[1])}" if isinstance(step[-1], tuple) else " ".join(map(str, step))
    return text if len(text) <= _WIDTH else f"{text[:_WIDTH]} ..."


def _op_text(op: tuple[object, ...]) -> str:
    return " ".join([str(op[0]), *(shown for arg in op[1:] if (shown := _text(arg)))])


def _text(value: object) -> str:
    match value:
        case dict():
            shown = [f"{key}={_text(item)}" for key, item in value.items() if key not in ("id", "kind") and item]
            return " ".join([str(value.get("id", "")), *shown]).strip()
        case list():
            return f"[{'; '.join(map(_text, value))}]" if value else ""
        case (str(), _, *_):
            return _op_text(value)
        case tuple():
            return " ".join(map(_text, value))
        case _:
            return str(value)
