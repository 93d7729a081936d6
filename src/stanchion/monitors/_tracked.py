# SPDX-License-Identifier: MIT
"""A server that ends its monitors itself, for code that is used to doing so."""

from __future__ import annotations

from functools import cached_property

from stanchion.kernel import ExitReason, MonitorRef, Ref, caller
from stanchion.monitors._group import MonitorGroup, monitor_group
from stanchion.server import GenServer


class TrackedMonitors(GenServer):
    """A mixin for servers: it tracks what the server monitors, and ends it in ``terminate``.

    The monitors of a process end with it, whoever it is. What this adds: each target is monitored once, the server can be
    asked for what it monitors, and no ``Down`` comes any more while it cleans up. A server with a ``terminate`` of its own
    calls ``super().terminate(reason)`` there.

    Example:
        >>> import asyncio
        >>> import stanchion as st
        >>> class Desk(st.TrackedMonitors):
        ...     def handle_call(self, request, sender):
        ...         self.monitor(request)
        ...         return len(self.monitors.left)
        ...     def handle_info(self, message):
        ...         if message in self.monitors:
        ...             print("gone:", message.tag)
        >>> async def main():
        ...     async with st.Node():
        ...         clerk, desk = await st.start(st.GenServer), await st.start(Desk)
        ...         return [await st.call(desk, clerk) for _ in range(2)]
        >>> asyncio.run(main())
        [1, 1]

    Source: OTP has none; there a server's monitors end with it, too.
    """

    @cached_property
    def monitors(self) -> MonitorGroup:
        """What the server monitors; the tag is the name of its class."""
        return monitor_group(tag=type(self).__name__)

    def monitor(self, target: Ref) -> MonitorRef:
        """Monitor a target; see ``MonitorGroup.add``."""
        return self.monitors._add(target, caller())

    def demonitor(self, target: Ref | MonitorRef) -> None:
        """End the monitor of a target; see ``MonitorGroup.discard``."""
        self.monitors.discard(target)

    def terminate(self, reason: ExitReason, /) -> object:
        """End what the server monitors."""
        self.monitors.clear()
        return super().terminate(reason)
