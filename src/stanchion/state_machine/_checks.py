# SPDX-License-Identifier: MIT
"""What a machine's callbacks must not return, said so that it can be mended."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, cast

from stanchion._validate import cut, nearest
from stanchion.errors import BadReturnError, InvalidOptionError
from stanchion.server import NO_REPLY, Continue, GenServer, Reply, Timeout
from stanchion.state_machine._results import POSTPONE, NextEvent, NextState, ReplyTo, Transition
from stanchion.state_machine._timeouts import AnyTimeout

if TYPE_CHECKING:
    from stanchion.state_machine._state_machine import StateMachine

_RESULTS = (
    "None, NextState(...), KeepState(...), RepeatState(...), Stop(...), StopAndReply(...), Reject(...) for a cast, "
    "or UNHANDLED"
)
_ENTER_RESULTS = "None, KeepState(...), RepeatState(...), Stop(...), StopAndReply(...) or UNHANDLED for an EnterEvent"


def checked_state(machine: StateMachine, checked: str) -> str:
    """Return the state that a machine is in; ``checked`` is one that was seen to exist.

    Raises:
        InvalidOptionError: there is none, for something other than a transition set ``current_state``.
    """
    state = getattr(machine, "current_state", None)
    if state == checked or _is_state(machine, state):
        return cast("str", state)
    name = type(machine).__name__
    raise InvalidOptionError(
        f"{name}.current_state",
        expected=f"the name of a state of {name} ({_listed(machine)})",
        got=cut(state),
        fix="leave it to the transitions; replace_state() may set it to one of these.",
    )


def check_state(machine: StateMachine, callback: str, result: NextState) -> None:
    """Raise unless the state that a callback named exists.

    Raises:
        BadReturnError: it does not, or is the name of a callback.
    """
    name = result.state
    if _is_state(machine, name):
        return
    guess = nearest(name, _states(machine))
    if hasattr(GenServer, name):
        fix = f"give the state another name: {name} belongs to every server."
    elif guess:
        fix = f"write {guess!r}."
    else:
        fix = f"write the method of the state: def {name}(self, event)."
    expected = f"NextState(...) of a state of {type(machine).__name__} ({_listed(machine)})"
    raise _bad(machine, callback, expected, result, fix)


def bad_init_result(machine: StateMachine, result: object) -> BadReturnError:
    """Return the error of an init that named no first state."""
    states = _states(machine)
    if isinstance(result, NextState):
        fix: str | None = "leave POSTPONE out: there is no event yet."
    elif isinstance(result, str):
        fix = f"return NextState({result!r})."
    else:
        fix = f"return NextState(...) with the first state, {states[0]!r} say." if states else None
    return _bad(machine, "init", "NextState(...), Stop(...) or IGNORE", result, fix)


def bad_result(machine: StateMachine, state: str, result: object) -> BadReturnError:
    """Return the error of a state function that returned something strange."""
    return _bad(machine, state, _RESULTS, result, _fix(machine, result))


def bad_enter_result(machine: StateMachine, result: object) -> BadReturnError:
    """Return the error of a state function that wants what an EnterEvent does not allow."""
    if isinstance(result, NextState):
        fix: str | None = "set StateTimeout(0), and go to the next state on that event."
    elif isinstance(result, Transition) and POSTPONE in result.actions:
        fix = "leave POSTPONE out: an EnterEvent cannot come again later."
    elif isinstance(result, Transition):
        fix = "set StateTimeout(0) in place of NextEvent(...), or insert the event where NextState(...) is returned."
    else:
        fix = _fix(machine, result)
    return _bad(machine, machine.current_state, _ENTER_RESULTS, result, fix)


def _fix(machine: StateMachine, result: object) -> str | None:
    """Return what was probably meant by a wrong result."""
    if result is POSTPONE or isinstance(result, ReplyTo | NextEvent | AnyTimeout):
        return f"return KeepState({cut(result)})."
    if isinstance(result, str) and result in _states(machine):
        return f"return NextState({result!r})."
    if isinstance(result, Reply):
        return "return KeepState(ReplyTo(sender, value))."
    if result is NO_REPLY:
        return "return KeepState(), and reply later."
    if isinstance(result, Continue):
        return "return KeepState(NextEvent(InternalEvent(...)))."
    if isinstance(result, Timeout):
        return "return KeepState(EventTimeout(...))."
    return "to answer a call, return KeepState(ReplyTo(sender, value))."


def _is_state(machine: StateMachine, name: object) -> bool:
    return isinstance(name, str) and callable(getattr(machine, name, None)) and not hasattr(GenServer, name)


def _listed(machine: StateMachine) -> str:
    return ", ".join(_states(machine)) or "it has none yet"


def _states(machine: StateMachine) -> list[str]:
    """Return the names of the public methods that may be state functions, in the order in which they were written."""
    return [
        name
        for cls in reversed(type(machine).__mro__)
        for name, value in vars(cls).items()
        if inspect.isfunction(value) and not name.startswith("_") and not hasattr(GenServer, name)
    ]


def _bad(machine: StateMachine, callback: str, expected: str, result: object, fix: str | None) -> BadReturnError:
    return BadReturnError(f"{type(machine).__name__}.{callback}", expected=expected, got=cut(result), fix=fix)
