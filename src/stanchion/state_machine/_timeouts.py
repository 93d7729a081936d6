# SPDX-License-Identifier: MIT
"""Timeouts: set as an action, they come back as an event."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable
from enum import Enum
from typing import Final, Self

from stanchion._validate import Seconds, cut
from stanchion._validate import seconds as _seconds
from stanchion.errors import InvalidOptionError
from stanchion.state_machine._events import Record


class Update(Enum):
    """The type of ``UPDATE``."""

    UPDATE = "UPDATE"

    def __repr__(self) -> str:
        return self.value


UPDATE: Final = Update.UPDATE
"""In place of a timeout's seconds: the one that runs keeps its time and gets the new content."""


STATE: Final = "state"
EVENT: Final = "event"


class AnyTimeout(Record, ABC):
    """The base of the three kinds of timeout.

    Attributes:
        seconds: How long, as it was set.
        content: What comes with the event.
    """

    __slots__ = ("content", "seconds")
    __match_args__ = ("content",)

    def __init__(self, seconds: Seconds | Update | None, content: object = None) -> None:
        if seconds is not None and seconds is not UPDATE:
            seconds = _seconds(f"{type(self).__name__}(seconds)", seconds)
        self.seconds: float | Update | None = seconds
        self.content = content

    @property
    @abstractmethod
    def key(self) -> Hashable:
        """Which timeout this is; at most one of a key runs in a machine."""

    def lasting(self, seconds: float | Update | None) -> Self:
        """Return one with this content and other seconds."""
        return type(self)(seconds, self.content)

    def shown(self) -> tuple[object, ...]:
        """See ``Record.shown``."""
        return (self.seconds, self.content)


class StateTimeout(AnyTimeout):
    """Has the machine hear of it when it is still in its state after a while: a change of the state cancels it.

    Set by an action of a transition, it counts for the state that the transition leads to. As the event it is matched
    by its content: ``case StateTimeout("relock")``. Setting one replaces the one that runs.

    Args:
        seconds: How long; 0 delivers it after what the machine has in hand and before any message of the mailbox. None
            cancels the one that runs. ``UPDATE`` gives the one that runs another content, and where none runs, does
            what 0 does.
        content: What comes with the event.

    Attributes:
        seconds: How long, as it was set.
        content: What comes with the event.

    Raises:
        InvalidOptionError: ``seconds`` is no duration.

    Source: ``state_timeout`` of OTP's gen_statem; there cancelling and updating are actions of their own.
    """

    __slots__ = ()

    @property
    def key(self) -> Hashable:
        """See ``AnyTimeout.key``."""
        return STATE


class EventTimeout(AnyTimeout):
    """Has the machine hear of it when no event comes for a while: any event cancels it.

    An event that is inserted, retried, postponed or unhandled counts, too; a request of ``sys`` does not. Else as
    ``StateTimeout``.

    Source: ``timeout`` of OTP's gen_statem.
    """

    __slots__ = ()

    @property
    def key(self) -> Hashable:
        """See ``AnyTimeout.key``."""
        return EVENT


class GenericTimeout(AnyTimeout):
    """Has the machine hear of it after a while, whatever comes between; one of each name may run.

    As the event it is matched by name and content: ``case GenericTimeout("hourly", content)``. Only the machine itself
    cancels it: by ``GenericTimeout(name, None)``. Else as ``StateTimeout``.

    Args:
        name: Which one; anything hashable.
        seconds: See ``StateTimeout``.
        content: What comes with the event.

    Attributes:
        name: Which one.

    Raises:
        InvalidOptionError: ``seconds`` is no duration, or ``name`` not hashable.

    Source: ``{timeout, Name}`` of OTP's gen_statem.
    """

    __slots__ = ("name",)
    __match_args__ = ("name", "content")

    def __init__(self, name: Hashable, seconds: Seconds | Update | None, content: object = None) -> None:
        super().__init__(seconds, content)
        try:
            hash(name)
        except TypeError:
            raise InvalidOptionError(
                "GenericTimeout(name)", expected="something hashable, a string say", got=cut(name)
            ) from None
        self.name = name

    @property
    def key(self) -> Hashable:
        """See ``AnyTimeout.key``."""
        return ("generic", self.name)

    def lasting(self, seconds: float | Update | None) -> Self:
        """See ``AnyTimeout.lasting``."""
        return type(self)(self.name, seconds, self.content)

    def shown(self) -> tuple[object, ...]:
        """See ``Record.shown``."""
        return (self.name, self.seconds, self.content)
