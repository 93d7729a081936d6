# SPDX-License-Identifier: MIT
"""Crashing and killing processes of the relay, at random, again and again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Final

from examples.relay.demo.remote_relay import RemoteRelay

BETWEEN_CRASHES: Final = 0.3
"""Seconds between two crashes of a process."""


async def crash_processes(relay: RemoteRelay, subscribers: Sequence[str], source: random.Random) -> None:
    """Have one process of the relay crash after the other until cancelled: mostly a subscriber, at times the ingress.

    Args:
        relay: Whose processes.
        subscribers: Whose process may be hit, besides the ingress.
        source: Where the choice is drawn from.
    """
    while True:
        await asyncio.sleep(BETWEEN_CRASHES)
        victim = source.choices([source.choice(subscribers), "ingress"], weights=[9, 1])[0]
        relay.crash(victim, kill=source.random() < 0.5)
