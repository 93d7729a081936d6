# SPDX-License-Identifier: MIT
"""What a state function returns: what becomes of the state, and the actions that go with it."""

from __future__ import annotations

from enum import Enum
from typing import Final

from stanchion._validate import cut, instance
from stanchion.errors import InvalidOptionError
from stanchion.kernel import ExitReason, exit_reason
from stanchion.server import Directive, Sender
from stanchion.state_machine._events import CallEvent, CastEvent, InfoEvent, InternalEvent, Record
from stanchion.state_machine._timeouts import AnyTimeout, EventTimeout, GenericTimeout, StateTimeout


class Postpone(Enum):
    """The type of ``POSTPONE``."""

    POSTPONE = "POSTPONE"

    def __repr__(self) -> str:
        return self.value


POSTPONE: Final = Postpone.POSTPONE
"""An action: keep the event in hand, and retry it after the next change of the state, before what came after it.

Whoever waits for it waits on: a call has no reply, a supervised send is not confirmed. It counts as not handled: if the
machine ends first, they hear so, and a supervised send whose time is up is taken back.

Source: ``postpone`` of OTP's gen_statem.
"""


class ReplyTo(Record):
    """An action: answer a call, as ``stanchion.reply`` does.

    Args:
        sender: What came with the ``CallEvent``.
        value: The reply.

    Raises:
        InvalidOptionError: ``sender`` is no sender.

    Source: ``{reply, From, Reply}`` of OTP.
    """

    __slots__ = ("sender", "value")
    __match_args__ = ("sender", "value")

    def __init__(self, sender: Sender, value: object) -> None:
        self.sender = instance("ReplyTo(sender)", sender, Sender)
        self.value = value


class NextEvent(Record):
    """An action: handle this event next, before everything that waits, the postponed events included.

    Several are handled in the order of the actions.

    Args:
        event: An ``InternalEvent`` as a rule; any other that comes from outside may be inserted, too.

    Raises:
        InvalidOptionError: ``event`` is none, or an ``EnterEvent``.

    Source: ``{next_event, EventType, EventContent}`` of OTP.
    """

    __slots__ = ("event",)
    __match_args__ = ("event",)

    def __init__(self, event: Insertable) -> None:
        if not isinstance(event, CallEvent | CastEvent | InfoEvent | InternalEvent | AnyTimeout):
            raise InvalidOptionError(
                "NextEvent(event)",
                expected="an event other than EnterEvent",
                got=cut(event),
                fix="wrap what the machine tells itself in InternalEvent(...).",
            )
        self.event = event


class Transition(Directive):
    """The base of what leaves the machine running."""

    __slots__ = ("actions",)

    def __init__(self, actions: tuple[object, ...]) -> None:
        for action in actions:
            if action is not POSTPONE and not isinstance(action, ReplyTo | NextEvent | AnyTimeout):
                raise InvalidOptionError(
                    f"{type(self).__name__}(actions)",
                    expected="POSTPONE, ReplyTo(...), NextEvent(...), StateTimeout(...), EventTimeout(...) or "
                    "GenericTimeout(...)",
                    got=cut(action),
                    fix="write them as separate arguments, not as a list."
                    if isinstance(action, list | tuple)
                    else None,
                )
        self.actions: tuple[Action, ...] = actions  # type: ignore[assignment]  # checked above

    def shown(self) -> tuple[object, ...]:
        """Return what it was made of."""
        return self.actions

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(cut, self.shown()))})"


class KeepState(Transition):
    """Stay in the state, and do the actions; with none of them it is what ``None`` means, but for a ``CallEvent``.

    There it says that somebody replies later: ``None`` for a call that nobody has answered is ``UNHANDLED``.

    Args:
        actions: What to do, in this order. Of two timeouts of a kind the last one counts.

    Raises:
        InvalidOptionError: something is no action.

    Source: ``{keep_state_and_data, Actions}`` of OTP's gen_statem.
    """

    __slots__ = ()
    __match_args__ = ("actions",)

    def __init__(self, *actions: Action) -> None:
        super().__init__(actions)


class RepeatState(Transition):
    """Stay in the state as ``KeepState`` does, and enter it again: its ``EnterEvent`` comes once more.

    It is no change of the state: postponed events are not retried, and a ``StateTimeout`` runs on.

    Args:
        actions: See ``KeepState``.

    Raises:
        InvalidOptionError: something is no action.

    Source: ``{repeat_state_and_data, Actions}`` of OTP's gen_statem.
    """

    __slots__ = ()
    __match_args__ = ("actions",)

    def __init__(self, *actions: Action) -> None:
        super().__init__(actions)


class NextState(Transition):
    """Go to a state, and do the actions. ``init`` returns it, too, to say where to begin.

    In this order: the actions; the ``EnterEvent`` of the new state, where the machine has such; a running
    ``StateTimeout`` is cancelled; the actions' and the ``EnterEvent``'s timeouts are set; then come the inserted
    events, the postponed ones, and what waits. To the state that it is in, it is ``KeepState``.

    Args:
        state: The name of a method of the machine.
        actions: See ``KeepState``.

    Raises:
        InvalidOptionError: ``state`` is no string, or something is no action.

    Source: ``{next_state, NextState, Data, Actions}`` of OTP's gen_statem.
    """

    __slots__ = ("state",)
    __match_args__ = ("state", "actions")

    def __init__(self, state: str, *actions: Action) -> None:
        name = getattr(state, "__name__", None)
        if not isinstance(state, str):
            fix = f"write NextState({name!r})." if isinstance(name, str) else None
            raise InvalidOptionError("NextState(state)", expected="the name of a state", got=cut(state), fix=fix)
        super().__init__(actions)
        self.state = state

    def shown(self) -> tuple[object, ...]:
        """See ``Transition.shown``."""
        return (self.state, *self.actions)


class StopAndReply(Directive):
    """Send replies, then end the machine as ``Stop(reason)`` does: ``terminate`` runs when they have been sent.

    In a GenServer the reply of ``Reply(value, then=Stop(reason))`` comes after it, which is OTP's way in both. Who waits for another reply, or for an event that is postponed, hears of the exit.

    Args:
        reason: The exit reason.
        replies: What to reply to whom.

    Raises:
        InvalidOptionError: ``reason`` is no exit reason, or something is no ``ReplyTo``.

    Source: ``{stop_and_reply, Reason, Replies}`` of OTP's gen_statem.
    """

    __slots__ = ("reason", "replies")
    __match_args__ = ("reason", "replies")

    def __init__(self, reason: ExitReason, *replies: ReplyTo) -> None:
        self.reason: ExitReason = exit_reason("StopAndReply(reason)", reason)
        self.replies = tuple(instance("StopAndReply(replies)", reply, ReplyTo) for reply in replies)

    def __repr__(self) -> str:
        return f"StopAndReply({', '.join(map(cut, (self.reason, *self.replies)))})"


Insertable = CallEvent | CastEvent | InfoEvent | InternalEvent | StateTimeout | EventTimeout | GenericTimeout
"""The events that ``NextEvent`` inserts."""

Action = Postpone | ReplyTo | NextEvent | StateTimeout | EventTimeout | GenericTimeout
"""What may go with a transition."""
