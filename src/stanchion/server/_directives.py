# SPDX-License-Identifier: MIT
"""What a callback returns to steer its server."""

from __future__ import annotations

from enum import Enum
from typing import Final

from stanchion._validate import cut
from stanchion.errors import InvalidOptionError
from stanchion.kernel import ExitReason, exit_reason


class Directive:
    """The base of what a callback may return instead of a value."""

    __slots__ = ()


class _Sentinel(Directive, Enum):
    NO_REPLY = "NO_REPLY"
    UNHANDLED = "UNHANDLED"
    IGNORE = "IGNORE"

    def __repr__(self) -> str:
        return self.value


NO_REPLY: Final = _Sentinel.NO_REPLY
"""Returned by ``handle_call``: no reply now; somebody calls ``reply(sender, value)`` later."""

UNHANDLED: Final = _Sentinel.UNHANDLED
"""Returned by ``handle_call``, ``handle_cast`` or ``handle_info``: this server has no clause for the message."""

IGNORE: Final = _Sentinel.IGNORE
"""Returned by ``init``: do not run this server, and call it no error."""


class Continue(Directive):
    """Have ``handle_continue(arg)`` run before the next message.

    ``init``, ``handle_cast``, ``handle_info`` and ``handle_continue`` return it; ``handle_call`` returns
    ``Reply(value, then=Continue(arg))``.

    Source: ``{continue, Continue}`` of OTP's gen_server.
    """

    __slots__ = ("arg",)
    __match_args__ = ("arg",)

    def __init__(self, arg: object = None) -> None:
        self.arg = arg

    def __repr__(self) -> str:
        return f"Continue({cut(self.arg)})"


class Stop(Directive):
    """End the server: ``terminate(reason)`` runs, then it exits with the reason.

    Any callback but ``terminate`` may return it. From ``handle_call`` the caller hears of the exit, unless the server
    replied before, or returns ``Reply(value, then=Stop(reason))``.

    Source: ``{stop, Reason, NewState}`` of OTP's gen_server.
    """

    __slots__ = ("reason",)
    __match_args__ = ("reason",)

    def __init__(self, reason: ExitReason = "normal") -> None:
        self.reason: ExitReason = exit_reason("Stop(reason)", reason)

    def __repr__(self) -> str:
        return f"Stop({cut(self.reason)})"


class Reply(Directive):
    """Reply with ``value``, then do what ``then`` says. Only ``handle_call`` returns it.

    Source: ``{reply, Reply, NewState, {continue, Continue}}`` and ``{stop, Reason, Reply, NewState}`` of OTP.
    """

    __slots__ = ("then", "value")
    __match_args__ = ("value", "then")

    def __init__(self, value: object, *, then: Continue | Stop) -> None:
        if not isinstance(then, Continue | Stop):
            raise InvalidOptionError(
                "Reply(then)",
                expected="Continue(...) or Stop(...)",
                got=cut(then),
                fix="to reply and go on, return the value itself.",
            )
        self.value = value
        self.then = then

    def __repr__(self) -> str:
        return f"Reply({cut(self.value)}, then={self.then!r})"


class Reject(Directive):
    """Refuse a cast without crashing.

    ``handle_cast`` returns it. A supervised send fails with the reason ``"refused"``, and is tried again when ``retry``
    is true. A plain cast that is rejected is a DeadLetter event.

    Args:
        detail: Why, for people.
        retry: Whether a later attempt may succeed.
        handled: Whether the message may have been processed all the same: a request of which nobody knows whether it
            arrived, say. The outcome is then ``unknown`` and not ``rejected``.
    """

    __slots__ = ("detail", "handled", "retry")
    __match_args__ = ("detail", "retry", "handled")

    def __init__(self, detail: str, *, retry: bool = True, handled: bool = False) -> None:
        self.detail = detail
        self.retry = retry
        self.handled = handled

    def __repr__(self) -> str:
        handled = ", handled=True" if self.handled else ""
        return f"Reject({cut(self.detail)}, retry={self.retry}{handled})"
