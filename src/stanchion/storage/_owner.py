# SPDX-License-Identifier: MIT
"""Which OS process has taken something out of a database, and whether it is still there.

An owner on another machine is judged by its heartbeats alone. One of this machine is looked up, so that what a killed
process left is taken over at once and not when its lease is over.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple


class Owner(NamedTuple):
    """An OS process, for as long as the machine runs.

    Attributes:
        host: Which machine, since which start, and which numbering of processes on it; None where that is not known.
        pid: The number of the process.
        started: When it was started, in the machine's ticks: a number is used again, with another start.
    """

    host: str | None
    pid: int
    started: str


def this_process() -> Owner:
    """Return the OS process that runs this. Blocks for a moment."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        host = f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:  # no Linux: leases alone tell
        return Owner(None, os.getpid(), "")
    return Owner(host, os.getpid(), _start_of(os.getpid()) or "")


def is_gone(owner: Owner, here: Owner) -> bool:
    """Return whether an owner is known to have ended; False when only its lease can tell. Blocks for a moment."""
    if owner.host is None or owner.host != here.host:
        return False
    try:
        os.kill(owner.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # it is there, and somebody else's
        pass
    return _start_of(owner.pid) not in (owner.started, None)


def _start_of(pid: int) -> str | None:
    """Return when a process of this machine was started, "" for one that is dead and only not forgotten yet.

    None where that cannot be seen.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the name before it may hold anything
    return "" if fields[0] in ("Z", "X") else fields[19]
