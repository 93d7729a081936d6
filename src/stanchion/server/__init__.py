# SPDX-License-Identifier: MIT
"""Who handles it: the GenServer, and the functions that talk to one.

A message that waits in a server's mailbox is taken out by the server's loop, one at a time, and handed to
``handle_call``, ``handle_cast`` or ``handle_info``; what the callback returns decides what comes next.
"""

from __future__ import annotations

from stanchion._public import show_public_path
from stanchion.server._call import Sender, call, cast, reply, send
from stanchion.server._directives import (
    HELD,
    IGNORE,
    NO_REPLY,
    TIMEOUT,
    UNHANDLED,
    Continue,
    Directive,
    Reject,
    Reply,
    Stop,
    Timeout,
)
from stanchion.server._gen_server import GenServer
from stanchion.server._held import hold, settle, take_up
from stanchion.server._loop import finished, under
from stanchion.server._multi import MultiCallResult, abcast, multi_call
from stanchion.server._start import begin_start, start, start_link, stop
from stanchion.server._starting import Starting
from stanchion.server._state_holder import StateHolder
from stanchion.server._sys import get_state, get_status, replace_state, resume, suspend
from stanchion.server._system import Status, answer_system
from stanchion.server._unhandled import tell_rejected, tell_unhandled

__all__ = [
    "HELD",
    "IGNORE",
    "NO_REPLY",
    "TIMEOUT",
    "UNHANDLED",
    "Continue",
    "Directive",
    "GenServer",
    "MultiCallResult",
    "Reject",
    "Reply",
    "Sender",
    "Starting",
    "StateHolder",
    "Status",
    "Stop",
    "Timeout",
    "abcast",
    "answer_system",
    "begin_start",
    "call",
    "cast",
    "finished",
    "get_state",
    "get_status",
    "hold",
    "multi_call",
    "replace_state",
    "reply",
    "resume",
    "send",
    "settle",
    "start",
    "start_link",
    "stop",
    "suspend",
    "take_up",
    "tell_rejected",
    "tell_unhandled",
    "under",
]

show_public_path(globals())
