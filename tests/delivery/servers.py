# SPDX-License-Identifier: MIT
"""Servers that receive in the tests of delivery, and an address of one."""

from __future__ import annotations

import asyncio
from typing import Any

import stanchion as st


class Log(st.Call[list[Any]]):
    """Asks a recorder what it was sent."""


class Seen(st.Call[list[st.MessageInfo]]):
    """Asks a flaky server what it knew of each message."""


class Recorder(st.GenServer):
    """Keeps what it was sent; some messages make it behave badly."""

    async def init(self, log: list[object] | None = None) -> None:
        self.log: list[object] = [] if log is None else log

    async def handle_call(self, request: object, sender: st.Sender) -> object:
        return list(self.log)

    async def handle_cast(self, message: object) -> object:
        self.log.append(message)
        match message:
            case ("sleep", float() | int() as seconds):
                await asyncio.sleep(seconds)
            case "crash":
                raise ZeroDivisionError("told to")
            case "reject":
                return st.Reject("not now")
            case "reject, perhaps too late":
                return st.Reject("nobody knows", retry=False, handled=True)
            case "reject for good":
                return st.Reject("never", retry=False)
            case "unknown":
                self.log.pop()
                return st.UNHANDLED
            case "info":
                self.log.append(st.message_info())
            case _:
                pass
        return None


class Flaky(st.GenServer):
    """Rejects the first ``failures`` messages, then takes them."""

    async def init(self, failures: int) -> None:
        self.failures = failures
        self.seen: list[st.MessageInfo | None] = []

    async def handle_call(self, request: object, sender: st.Sender) -> object:
        return self.seen

    async def handle_cast(self, message: object) -> object:
        self.seen.append(st.message_info())
        if self.failures:
            self.failures -= 1
            return st.Reject("still failing")
        return None


class Address(st.Via):
    """The address of one process."""

    def __init__(self, pid: st.Pid | None) -> None:
        self.pid = pid

    def __repr__(self) -> str:
        return "Address"

    def whereis(self) -> st.Pid | None:
        return self.pid

    def register(self, pid: st.Pid) -> None: ...

    def unregister(self, pid: st.Pid) -> None: ...
