# SPDX-License-Identifier: MIT
"""Why a process ends: OTP's exit reasons, and the signal that a process raises to end itself."""

from __future__ import annotations

from typing import Final, Literal, cast

from stanchion._validate import cut, nearest
from stanchion.errors import InvalidOptionError

ExitReason = (
    Literal["normal", "shutdown", "kill", "killed", "noproc", "noconnection"]
    | tuple[Literal["shutdown"], object]
    | BaseException
)
"""Why a process ended, or is told to end.

``"normal"``: its work is done. ``"shutdown"``, ``("shutdown", term)``: it was told to stop, and did. ``"kill"``: an
order that cannot be trapped; those who hear of the exit see ``"killed"``. ``"noproc"``: there was no such process.
``"noconnection"``: its node cannot be reached. An exception: it crashed.
"""

_WORDS: Final = ("normal", "shutdown", "kill", "killed", "noproc", "noconnection")


def is_abnormal(reason: ExitReason) -> bool:
    """Return whether a transient child that exits for this reason is restarted.

    False for ``"normal"``, ``"shutdown"`` and ``("shutdown", term)``.
    Source: the meaning of ``transient`` in OTP's supervisor.
    """
    return not (reason == "normal" or reason == "shutdown" or isinstance(reason, tuple))


def exit_reason(subject: str, value: object) -> ExitReason:
    """Return ``value`` when it is an exit reason.

    Raises:
        InvalidOptionError: it is not.
    """
    if isinstance(value, BaseException) or (isinstance(value, str) and value in _WORDS) or _is_shutdown_pair(value):
        return cast("ExitReason", value)
    guess = nearest(value, _WORDS) if isinstance(value, str) else None
    raise InvalidOptionError(
        subject,
        expected="an exit reason ('normal', 'shutdown', ('shutdown', term), 'kill' or an exception)",
        got=cut(value),
        fix=f"write {guess!r}." if guess else "wrap what you want to tell in ('shutdown', term), or in an exception.",
    )


def _is_shutdown_pair(value: object) -> bool:
    pair = cast("tuple[object, ...]", value) if isinstance(value, tuple) else ()
    return len(pair) == 2 and pair[0] == "shutdown"


class ProcessExit(BaseException):
    """Raise it inside a process to end that process with a reason.

    It is a signal, not an error, and derives from BaseException so that ``except Exception`` lets it pass.
    A GenServer runs ``terminate`` before it ends. Outside of a process it is an ordinary uncaught exception.

    Args:
        reason: The exit reason, ``"normal"`` by default.

    Raises:
        InvalidOptionError: ``reason`` is no exit reason.

    Source: ``erlang:exit/1``.
    """

    def __init__(self, reason: ExitReason = "normal") -> None:
        super().__init__(reason)
        self.reason: ExitReason = exit_reason("ProcessExit(reason)", reason)
