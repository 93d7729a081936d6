# SPDX-License-Identifier: MIT
"""The relay as an OS process of its own, which crashes its own processes when told to.

Its orders come in by standard input, one JSON object a line: first the part that it plays, then whom to crash. What its
telemetry tells goes out by standard output, one JSON list a line. It stops in order when standard input is closed, as it
is when the demo ends in whatever way.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from contextlib import closing

import msgspec

import stanchion as st
from examples.relay.config import RelayConfig
from examples.relay.demo.cast import relay_config
from examples.relay.demo.tally import Word, tell
from examples.relay.relay import TOP, Relay


class Part(msgspec.Struct):
    """What the relay is to be.

    Attributes:
        urls: Where the subscribers are, by their names.
        secret: What sources sign with, and the relay too.
        database: The URL of its database.
        listener: The number of the listening socket, which it inherits.
        log: The file that its log is added to.
    """

    urls: dict[str, str]
    secret: str
    database: str
    listener: int
    log: str

    def config(self) -> RelayConfig:
        """Return its configuration."""
        return relay_config(self.urls, self.secret.encode(), self.database)


class Crash(msgspec.Struct):
    """An order to crash a process.

    Attributes:
        victim: Its name; nobody is crashed when nobody has it.
        kill: Whether it is killed, which nothing can trap.
    """

    victim: str
    kill: bool


class Ordered(Exception):  # noqa: N818 - it is no error: it is meant
    """Why a process crashed."""


def main() -> None:
    """Play the part until told to stop."""
    part = msgspec.json.decode(sys.stdin.buffer.readline(), type=Part)
    # Each crash is logged, and here crashes are the point.
    logging.basicConfig(filename=part.log, level=logging.INFO)
    relay = Relay(part.config())
    tell(relay.node.telemetry, _say)
    with socket.socket(fileno=part.listener) as listener:
        obedient = st.child_spec(_obey, id="orders", restart="temporary")
        st.run(relay.application(relay.ingress(listener), obedient), node=relay.node)


async def _obey() -> None:
    """Crash whom the orders name, then stop the relay. It is a process's function."""
    orders = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    with closing(transport):
        while line := await orders.readline():
            order = msgspec.json.decode(line, type=Crash)
            pid = st.whereis(order.victim)
            if pid is not None:
                st.exit(pid, "kill" if order.kill else Ordered(f"{order.victim} was told to crash"))
    await st.stop(TOP, timeout=None)


def _say(word: Word) -> None:
    print(msgspec.json.encode(word).decode(), flush=True)


if __name__ == "__main__":
    main()
