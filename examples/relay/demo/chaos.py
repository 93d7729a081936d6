# SPDX-License-Identifier: MIT
"""Crashing and killing processes of the relay, at random, again and again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import stanchion as st


class Chaos(Exception):  # noqa: N818 - it is no error: it is meant
    """Why a process crashed."""


async def chaos(subscribers: Sequence[str], source: random.Random, *, pause: float) -> None:
    """Crash one process after the other until cancelled: mostly subscribers, but nobody is safe.

    Args:
        subscribers: Whose subscriber, outbox and supervisor may be hit.
        source: Where the choice is drawn from.
        pause: Seconds between two crashes.
    """
    while True:
        await asyncio.sleep(pause)
        name = source.choice(subscribers)
        victim = source.choices([name, f"{name}.outbox", f"{name}.lane", "ingress"], weights=[12, 5, 1, 2])[0]
        pid = st.whereis(victim)
        if pid is not None:
            # A supervisor traps exits, and would take a stranger's exit signal for none of its business.
            untrappable = victim.endswith(".lane") or source.random() < 0.5
            st.exit(pid, "kill" if untrappable else Chaos(f"{victim} was told to crash"))
