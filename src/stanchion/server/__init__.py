# SPDX-License-Identifier: MIT
"""Who handles it: the GenServer, and the functions that talk to one.

A message that waits in a server's mailbox is taken out by the server's loop, one at a time, and handed to
``handle_call``, ``handle_cast`` or ``handle_info``; what the callback returns decides what comes next.
"""

from __future__ import annotations

from stanchion._public import show_public_path
from stanchion.server._call import Sender, call, cast, reply, send
from stanchion.server._directives import IGNORE, NO_REPLY, UNHANDLED, Continue, Directive, Reject, Reply, Stop
from stanchion.server._gen_server import GenServer
from stanchion.server._policy import POLICY, Policy
from stanchion.server._start import begin_start, start, start_link, stop
from stanchion.server._starting import Starting

__all__ = [
    "IGNORE",
    "NO_REPLY",
    "POLICY",
    "UNHANDLED",
    "Continue",
    "Directive",
    "GenServer",
    "Policy",
    "Reject",
    "Reply",
    "Sender",
    "Starting",
    "Stop",
    "begin_start",
    "call",
    "cast",
    "reply",
    "send",
    "start",
    "start_link",
    "stop",
]

show_public_path(globals())
