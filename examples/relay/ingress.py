# SPDX-License-Identifier: MIT
"""The ingress: a process that owns the HTTP server."""

from __future__ import annotations

import socket
from typing import Final

from aiohttp import web

import stanchion as st
from examples.relay.config import RelayConfig
from examples.relay.hooks import Health, Hooks
from stanchion.kernel import ExitReason

# Seconds that requests in progress have when the server closes.
_GRACE: Final = 2.0


class Ingress(st.GenServer):
    """Serves HTTP from ``init`` to its end.

    The listening socket is not its own: while a crashed ingress is replaced, new connections wait in it.
    """

    async def init(self, config: RelayConfig, router: st.SignalRouter, listener: socket.socket, health: Health) -> None:
        """Start the server."""
        st.trap_exit()
        hooks = Hooks(config, router, health)
        runner = self._runner = web.AppRunner(hooks.application(), access_log=None, shutdown_timeout=_GRACE)
        # A server that is killed runs no terminate. Its closer is linked with it, and hears of every end.
        st.spawn_link(_close_after, runner)
        await runner.setup()
        await web.SockSite(runner, listener.dup()).start()

    def handle_info(self, message: object, /) -> object:
        """Stop when told to."""
        match message:
            case st.Exit(_, reason):
                return st.Stop(reason)
            case _:
                return st.UNHANDLED

    async def terminate(self, reason: ExitReason, /) -> None:
        """Stop listening, and let requests in progress finish."""
        await self._runner.cleanup()


async def _close_after(runner: web.AppRunner) -> None:
    """Close a server when the process that this one is linked with has ended."""
    st.trap_exit()
    await st.receive(timeout=None)
    await runner.cleanup()
