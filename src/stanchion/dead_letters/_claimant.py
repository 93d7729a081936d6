# SPDX-License-Identifier: MIT
"""Under which name a queue claims letters, and whether the OS process behind a name is gone."""

from __future__ import annotations

import hashlib
import os
import socket
from typing import Final

from stanchion.storage import Owner, is_gone

_DIGEST_SIZE: Final = 6


def claimant(process: Owner) -> str:
    """Return a name that no other queue has, which tells people host and process.

    Where it is known, it goes on with when the process was started, and on which machine.
    """
    name = f"{socket.gethostname()}:{process.pid}:{os.urandom(3).hex()}"
    return name if process.host is None else f"{name}:{process.started}:{_digest(process.host)}"


def has_ended(name: str, here: Owner) -> bool:
    """Return whether the process that claims under a name has surely ended; blocks for a moment.

    False for a process of another machine, and for a name that somebody else made: only the time of a claim tells then.
    """
    parts = name.rsplit(":", 4)
    if here.host is None or len(parts) != 5 or parts[4] != _digest(here.host):
        return False
    _, pid, _, started, _ = parts
    return pid.isdecimal() and started.isdecimal() and is_gone(Owner(here.host, int(pid), started), here)


def _digest(host: str) -> str:
    return hashlib.blake2b(host.encode(), digest_size=_DIGEST_SIZE).hexdigest()
