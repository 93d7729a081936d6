# SPDX-License-Identifier: MIT
"""What a state function gets: events, made to be matched."""

from __future__ import annotations

from typing import ClassVar

from stanchion._validate import cut
from stanchion.server import Sender


class Record:
    """A value with a few fields: equal when they are, shown and matched by them."""

    __slots__ = ()
    __match_args__: ClassVar[tuple[str, ...]] = ()
    __hash__ = None  # type: ignore[assignment]  # what is in it may not be hashable

    def shown(self) -> tuple[object, ...]:
        """Return the fields, in the order in which they are written."""
        return tuple(getattr(self, name) for name in self.__match_args__)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Record) and type(other) is type(self) and other.shown() == self.shown()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(cut, self.shown()))})"


class CallEvent(Record):
    """A call: somebody waits for a reply.

    Answer it by ``ReplyTo(sender, value)`` among the actions, or by ``stanchion.reply(sender, value)``, now or later.

    Attributes:
        request: What the caller sent.
        sender: Who waits.

    Source: ``{call, From}`` of OTP's gen_statem.
    """

    __slots__ = ("request", "sender")
    __match_args__ = ("request", "sender")

    def __init__(self, request: object, sender: Sender) -> None:
        self.request = request
        self.sender = sender


class CastEvent(Record):
    """A cast or a supervised send.

    Attributes:
        message: What was sent.

    Source: ``cast`` of OTP's gen_statem.
    """

    __slots__ = ("message",)
    __match_args__ = ("message",)

    def __init__(self, message: object) -> None:
        self.message = message


class InfoEvent(Record):
    """Any other message: ``Down``, ``Exit``, a timer's, a plain send.

    Attributes:
        message: What was sent.

    Source: ``info`` of OTP's gen_statem.
    """

    __slots__ = ("message",)
    __match_args__ = ("message",)

    def __init__(self, message: object) -> None:
        self.message = message


class InternalEvent(Record):
    """An event of the machine's own, inserted by ``NextEvent``; nothing from outside can look like it.

    Attributes:
        content: What the machine told itself.

    Source: ``internal`` of OTP's gen_statem.
    """

    __slots__ = ("content",)
    __match_args__ = ("content",)

    def __init__(self, content: object = None) -> None:
        self.content = content


class EnterEvent(Record):
    """The state was entered: by a change to it, by ``RepeatState``, or at the start.

    Only a machine with ``state_enter = True`` gets it. It is answered by ``None``, ``KeepState``, ``RepeatState`` or a
    stop, and without ``POSTPONE`` and ``NextEvent``.

    Attributes:
        old_state: The state before; at the start and after ``RepeatState`` the state itself.

    Source: the state enter calls of OTP's gen_statem.
    """

    __slots__ = ("old_state",)
    __match_args__ = ("old_state",)

    def __init__(self, old_state: str) -> None:
        self.old_state = old_state
