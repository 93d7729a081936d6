# SPDX-License-Identifier: MIT
"""More words for scenarios: state machines. See ``scenario.py``.

A machine has the states one, two and three, and begins in one. What it is sent says what it does, in each state:
``cast("test", "m", "go", in_state(one=[goto("two")], two=[]))``. It tells its state with each event.
"""

from __future__ import annotations

from typing import Any

from tests.conformance.scenario import TEST, Op, Step


def machine(label: str, *init: Op, by: str = TEST, how: str = "alone", **options: Any) -> Step:
    """Start a machine; options are state_enter, enter (operations by state), trap, terminate."""
    return (by, ("machine", label, how, {"init": list(init), **options}))


def in_state(**does: list[Op]) -> Op:
    """Do what belongs to the state."""
    return ("in", does)


# --- what a state function returns -----------------------------------------------------------------


def goto(state: str, *actions: Op) -> Op:
    return ("goto", state, list(actions))


def keep_state(*actions: Op) -> Op:
    return ("keep_state", list(actions))


def repeat(*actions: Op) -> Op:
    return ("repeat", list(actions))


def stop_and_reply(reason: Any, value: Any) -> Op:
    return ("stop_and_reply", reason, value)


# --- actions -------------------------------------------------------------------------------------


def postpone() -> Op:
    return ("postpone",)


def answers(value: Any) -> Op:
    """Reply to the call at hand."""
    return ("answers", value)


def next_event(tag: str, *does: Op) -> Op:
    """Insert an internal event."""
    return ("next", tag, list(does))


def state_timeout(ms: int | str, tag: str, *does: Op) -> Op:
    """Set the state timeout; "infinity" cancels it, "update" gives it another content."""
    return ("state_timeout", ms, tag, list(does))


def event_timeout(ms: int | str, tag: str, *does: Op) -> Op:
    return ("event_timeout", ms, tag, list(does))


def named_timeout(name: str, ms: int | str, tag: str, *does: Op) -> Op:
    return ("named_timeout", name, ms, tag, list(does))
