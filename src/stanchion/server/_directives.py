# SPDX-License-Identifier: MIT
"""What a callback returns to steer its server."""

from __future__ import annotations

from enum import Enum
from typing import Final

from stanchion._validate import Seconds, cut
from stanchion._validate import seconds as checked_seconds
from stanchion.errors import InvalidOptionError
from stanchion.kernel import ExitReason, exit_reason


class Directive:
    """The base of what a callback may return instead of a value."""

    __slots__ = ()


class _Sentinel(Directive, Enum):
    NO_REPLY = "NO_REPLY"
    UNHANDLED = "UNHANDLED"
    IGNORE = "IGNORE"
    HELD = "HELD"

    def __repr__(self) -> str:
        return self.value


NO_REPLY: Final = _Sentinel.NO_REPLY
"""Returned by ``handle_call``: no reply now; somebody calls ``reply(sender, value)`` later."""

UNHANDLED: Final = _Sentinel.UNHANDLED
"""Returned by ``handle_call``, ``handle_cast`` or ``handle_info``: this server has no clause for the message."""

IGNORE: Final = _Sentinel.IGNORE
"""Returned by ``init``: do not run this server, and call it no error."""

HELD: Final = _Sentinel.HELD
"""Returned by ``handle_call``, ``handle_cast`` or ``handle_info``, inside the runtime: it held or settled what is in hand itself."""


class _Message(Enum):
    TIMEOUT = "TIMEOUT"

    def __repr__(self) -> str:
        return self.value


TIMEOUT: Final = _Message.TIMEOUT
"""The message that ``handle_info`` gets when no other came for as long as a ``Timeout`` said."""


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


class Timeout(Directive):
    """Have ``handle_info(TIMEOUT)`` run if no message comes for so long.

    Any message cancels it; a callback that wants it again returns it again. Use ``send_after`` for what must happen at
    its time whatever else comes. ``init``, ``handle_cast``, ``handle_info`` and ``handle_continue`` return it;
    ``handle_call`` returns ``Reply(value, then=Timeout(seconds))``. Requests of ``sys`` (``get_state`` and its kin) are
    no messages in this sense, but the wait begins anew after each.

    Args:
        seconds: How long; 0: at once when the mailbox is empty. The message comes up to 8 ms late.

    Raises:
        InvalidOptionError: ``seconds`` is no duration.

    Source: the ``Timeout`` of ``{noreply, NewState, Timeout}`` and its kin in OTP's gen_server.
    """

    __slots__ = ("seconds",)
    __match_args__ = ("seconds",)

    def __init__(self, seconds: Seconds) -> None:
        self.seconds = checked_seconds("Timeout(seconds)", seconds)

    def __repr__(self) -> str:
        return f"Timeout({self.seconds:g})"


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

    With ``Stop`` the reply comes last, when ``terminate`` has run, whether or not that raised, and the server's name is
    free. When an exit signal ends the server before, the caller gets a ``CallExitError``.

    Args:
        value: The reply; ``NO_REPLY`` for none now.
        then: What comes next: ``Continue``, ``Timeout`` or ``Stop``.

    Raises:
        InvalidOptionError: ``then`` is something else, or ``value`` is a directive that is no reply.

    Source: ``{reply, Reply, NewState, Timeout | {continue, Continue}}``, the same with ``noreply``, and
        ``{stop, Reason, Reply, NewState}`` of OTP.
    """

    __slots__ = ("then", "value")
    __match_args__ = ("value", "then")

    def __init__(self, value: object, *, then: Continue | Timeout | Stop) -> None:
        if isinstance(value, Directive) and value is not NO_REPLY:
            raise InvalidOptionError(
                "Reply(value)",
                expected="a reply or NO_REPLY",
                got=cut(value),
                fix="pass it as then=, or return it alone.",
            )
        if not isinstance(then, Continue | Timeout | Stop):
            raise InvalidOptionError(
                "Reply(then)",
                expected="Continue(...), Timeout(...) or Stop(...)",
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
