# SPDX-License-Identifier: MIT
"""StateMachine: a server whose answer to an event depends on the state that it is in."""

from __future__ import annotations

from typing import Any, ClassVar

from stanchion.errors import InvalidOptionError
from stanchion.server import GenServer, Sender
from stanchion.state_machine._engine import Engine
from stanchion.state_machine._events import CallEvent, CastEvent, InfoEvent
from stanchion.state_machine._timers import Elapsed

_NOT_TO_WRITE = {
    "handle_call": "write `case CallEvent(request, sender):` in its state functions.",
    "handle_cast": "write `case CastEvent(message):` in its state functions.",
    "handle_info": "write `case InfoEvent(message):` in its state functions.",
    "handle_continue": "return NextState(state, NextEvent(InternalEvent(...))), and write `case InternalEvent(...):`.",
}


class StateMachine(GenServer):
    """The base of servers that are in one of several states: subclass it, and write a method for each state.

    The state is the name of a method, a state function; the data are the instance's attributes. Each event, be it a
    call, a cast, another message or a timeout, comes to the state function of the state that the machine is in:
    ``def closed(self, event)``, or ``async def``. It returns what becomes of the state, and actions:

    - ``None``: the state stays, and the event is handled. For a call that nobody has answered it means ``UNHANDLED``.
    - ``NextState(state, *actions)``, ``KeepState(*actions)``, ``RepeatState(*actions)``.
    - ``Stop(reason)`` or ``StopAndReply(reason, *replies)``.
    - ``UNHANDLED``: the state has no clause for the event; see ``GenServer``. ``Reject(detail)`` refuses a cast.

    ``init`` returns ``NextState(state, *actions)``, which says where to begin, or ``Stop`` or ``IGNORE``. All else is a
    GenServer's: ``start``, ``call``, ``cast``, ``stop``, supervisors, ``terminate``. ``get_state`` shows the state as
    ``current_state``, beside the data.

    Use a ``GenServer`` where every message is handled the same way at all times.

    Attributes:
        current_state: The state that the machine is in; for reading, as a transition alone changes it. While a state is
            entered it is the new one.

    Example:
        >>> import asyncio
        >>> import stanchion as st
        >>> from stanchion.state_machine import POSTPONE, CallEvent, InfoEvent, KeepState, NextState, ReplyTo
        >>> class Gate(st.StateMachine):
        ...     def init(self):
        ...         return NextState("shut")
        ...     def shut(self, event):
        ...         match event:
        ...             case InfoEvent("open"):
        ...                 return NextState("wide")
        ...             case CallEvent("pass", _):
        ...                 return KeepState(POSTPONE)
        ...     def wide(self, event):
        ...         match event:
        ...             case CallEvent("pass", sender):
        ...                 return NextState("shut", ReplyTo(sender, "through"))
        >>> async def main():
        ...     async with st.Node():
        ...         gate = await st.start(Gate)
        ...         st.send_after(gate, "open", 0.01)
        ...         return await st.call(gate, "pass")  # waits at the gate
        >>> asyncio.run(main())
        'through'

    Source: OTP's gen_statem in its mode ``state_functions``. It differs where the parts say so.
    """

    # A slot, so that the attributes are the user's data and nothing else.
    __slots__ = ("_engine",)

    state_enter: ClassVar[bool] = False
    """Whether a state function gets an ``EnterEvent`` when its state is entered; OTP's ``state_enter``."""

    current_state: str

    def __init_subclass__(cls, **keywords: object) -> None:
        super().__init_subclass__(**keywords)
        for name, fix in _NOT_TO_WRITE.items():
            if getattr(cls, name) is not getattr(StateMachine, name):
                raise InvalidOptionError(
                    f"class {cls.__name__}",
                    expected="state functions, which get every event of a state machine",
                    got=f"{name}()",
                    fix=fix,
                )

    def _begin(self, *args: object) -> object:
        self._engine = Engine(self)
        return self._engine.begin(*args)

    def handle_continue(self, arg: Any, /) -> object:
        """Enter the first state; not to be overridden."""
        return self._engine.enter_first(arg)

    def handle_call(self, request: Any, sender: Sender, /) -> object:
        """Make a ``CallEvent`` of it; not to be overridden."""
        return self._engine.take(CallEvent(request, sender))

    def handle_cast(self, message: Any, /) -> object:
        """Make a ``CastEvent`` of it; not to be overridden."""
        return self._engine.take(CastEvent(message))

    def handle_info(self, message: Any, /) -> object:
        """Make an ``InfoEvent`` of it, or the event of a timeout; not to be overridden."""
        if type(message) is Elapsed:
            return self._engine.elapsed(message)
        return self._engine.take(InfoEvent(message))
