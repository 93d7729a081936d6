# SPDX-License-Identifier: MIT
"""What every supervisor makes of a message that is no request."""

from __future__ import annotations

from typing import Protocol

from stanchion.kernel import Exit, ExitReason, Pid
from stanchion.server import UNHANDLED, Stop
from stanchion.supervisor._retry import Retry
from stanchion.supervisor._told_to_exit import ToldToExit


class Restarting(Protocol):
    """The children of a supervisor. Each answer says whether the supervisor goes on."""

    async def after_exit(self, pid: Pid | None, reason: ExitReason) -> bool:
        """Restart a child that exited, if its spec says so."""
        ...

    async def after_wait(self, retry: Retry) -> bool:
        """Start a child that waited for it."""
        ...


async def supervise(children: Restarting, message: object) -> object:
    """Restart a child that exited, or whose restart is due; return what ``handle_info`` returns."""
    try:
        if isinstance(message, Exit):
            goes_on = await children.after_exit(message.pid, message.reason)
        elif isinstance(message, Retry):
            goes_on = await children.after_wait(message)
        else:
            return UNHANDLED
    except ToldToExit as order:
        return Stop(order.reason)
    return None if goes_on else Stop("shutdown")
