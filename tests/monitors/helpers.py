# SPDX-License-Identifier: MIT
"""What the tests of monitors start from."""

from __future__ import annotations

import inspect
from typing import Any

import stanchion as st
from stanchion.kernel import Process
from stanchion.testing import VirtualClock


def virtual_node(**options: Any) -> st.Node:
    """Return a node on virtual time that looks for leaks only when told to, and kills what is left."""
    return st.Node(
        "test",
        **{"clock": VirtualClock(), "block_threshold": None, "leak_check": None, "shutdown_timeout": 0, **options},
    )


class Owner(st.GenServer):
    """Runs the functions that it is called with, and keeps what it hears."""

    def init(self) -> None:
        self.kept: list[Any] = []
        self.heard: list[Any] = []

    async def handle_call(self, function: Any, sender: st.Sender) -> object:
        result = function(self)
        return await result if inspect.isawaitable(result) else result

    def handle_info(self, message: object) -> None:
        self.heard.append(message)


class Idle(st.GenServer):
    """Does nothing."""


async def call(owner: st.Ref, function: Any) -> Any:
    """Have an owner run a function, and return what it returns."""
    return await st.call(owner, function)


def process_of(pid: st.Pid) -> Process:
    """Return the process of a pid, which must not have ended."""
    process = pid._process
    assert process is not None
    return process


def line_of(function: Any, offset: int = 0) -> str:
    """Return the file and line of a function, or so many lines after."""
    code = function.__code__
    return f"{code.co_filename}:{code.co_firstlineno + offset}"


async def killed(pid: st.Pid) -> None:
    """Kill a process, and wait for its end."""
    st.exit(pid, "kill")
    await st.wait_exit(pid, timeout=1)
