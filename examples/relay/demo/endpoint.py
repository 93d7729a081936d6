# SPDX-License-Identifier: MIT
"""A subscriber's end: an HTTP server that takes webhooks, well or badly, and remembers what arrived.

Run as an OS process of its own. It says its port on standard output, begins to listen when it reads a line from
standard input, and ends when that is closed, as it is when the demo ends in whatever way.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import random
import signal
import socket
import sys
from typing import Final

from aiohttp import web

from examples.relay.signature import is_signed

SECRET_VARIABLE: Final = "RELAY_DEMO_SECRET"

# What a flaky endpoint does instead of answering 200, and how often.
FLAWS: Final = {
    "answers 500": 0.10,
    "drops the connection": 0.06,
    "takes it, then drops the connection": 0.05,
    "takes it, then answers too late": 0.03,
}


class Endpoint:
    """Takes webhooks at ``POST /webhook`` and tells them at ``GET /received``, each with a hash of its body.

    Args:
        secret: What the relay signs with.
        too_late: After how many seconds an answer is too late.
        flaws: Where the flaws are drawn from; None for an endpoint without.
    """

    def __init__(self, secret: bytes, too_late: float, flaws: random.Random | None) -> None:
        self._secret = secret
        self._too_late = too_late
        self._flaws = flaws
        self._received: list[tuple[str, str]] = []

    def application(self) -> web.Application:
        """Return the aiohttp application."""
        application = web.Application()
        application.router.add_post("/webhook", self._take)
        application.router.add_get("/received", self._tell)
        return application

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        if not is_signed(self._secret, body, request.headers.get("X-Relay-Signature-256", "")):
            return web.Response(status=401)
        flaw = self._flaw()
        if flaw == "answers 500":
            return web.Response(status=500)
        if flaw != "drops the connection":
            self._received.append((request.headers["X-Relay-Id"], hashlib.sha256(body).hexdigest()))
        if flaw is not None and "drops" in flaw and request.transport is not None:
            request.transport.abort()
        if flaw is not None and "too late" in flaw:
            await asyncio.sleep(self._too_late)
        return web.Response()

    async def _tell(self, _: web.Request) -> web.Response:
        return web.json_response(self._received)

    def _flaw(self) -> str | None:
        if self._flaws is None:
            return None
        draw = self._flaws.random()
        for flaw, share in FLAWS.items():
            if draw < share:
                return flaw
            draw -= share
        return None


async def serve(endpoint: Endpoint) -> None:
    """Serve until standard input is closed."""
    orders = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    with socket.socket() as listener:
        # Bound and not yet listening: the port is ours, and whoever connects is refused.
        listener.bind(("127.0.0.1", 0))
        print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
        if not await orders.readline():
            return
        runner = web.AppRunner(endpoint.application(), access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.SockSite(runner, listener).start()
        await orders.read()
        await runner.cleanup()


def main() -> None:
    """Run one endpoint."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--flaky", type=int, metavar="SEED")
    parser.add_argument("--too-late", type=float, default=1.0, metavar="SECONDS")
    arguments = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the demo's business; it closes our standard input
    flaws = None if arguments.flaky is None else random.Random(arguments.flaky)
    asyncio.run(serve(Endpoint(os.environ[SECRET_VARIABLE].encode(), arguments.too_late, flaws)))


if __name__ == "__main__":
    main()
