# SPDX-License-Identifier: MIT
"""A server under random orders of messages and sys functions, beside a model of what it must do."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as some

from stanchion.server import GenServer, call, cast, get_state, get_status, replace_state, resume, stop, suspend
from stanchion.server import start as start_server
from tests.kernel.helpers import process_of, quick_node


class Listed(GenServer):
    """Lists what it is sent."""

    def init(self) -> None:
        self.seen: list[int] = []

    def handle_cast(self, message: int) -> None:
        self.seen.append(message)

    def handle_call(self, request: int, sender: Any) -> int:
        self.seen.append(request)
        return request


class Model:
    """What the server has seen, and what waits."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.waiting: list[int] = []
        self.suspended = False

    def sent(self, number: int) -> None:
        self.waiting.append(number)
        self.settle()

    def resumed(self) -> None:
        self.suspended = False
        self.settle()

    def settle(self) -> None:
        if not self.suspended:
            self.seen += self.waiting
            self.waiting = []


STEPS = some.lists(
    some.sampled_from(["cast", "call", "suspend", "resume", "state", "status", "replace", "withdraw", "yield"]),
    max_size=40,
)


@given(STEPS, some.booleans())
async def test_server_sees_every_message_once_and_in_order_whatever_sys_does(steps: list[str], at_end: bool) -> None:
    async with quick_node():
        pid, model = await start_server(Listed), Model()
        calls: list[asyncio.Task[Any]] = []
        for number, step in enumerate(steps):
            if step == "cast":
                cast(pid, number)
                model.sent(number)
            elif step == "call":
                calls.append(asyncio.create_task(call(pid, number, timeout=None)))
                await asyncio.sleep(0)  # it is in the mailbox
                model.sent(number)
            elif step == "suspend":
                await suspend(pid)
                model.suspended = True
            elif step == "resume":
                await resume(pid)
                model.resumed()
            elif step == "state":
                assert await get_state(pid) == {"seen": model.seen}
            elif step == "status":
                status = await get_status(pid)
                assert (status.sysstate == "suspended", status.mailbox) == (model.suspended, len(model.waiting))
            elif step == "replace":
                await replace_state(pid, lambda state: {"seen": [*seen_of(state), -1]})
                model.seen.append(-1)
            elif step == "withdraw":
                envelope = ("cast", number, None)
                mailbox = process_of(pid).mailbox
                mailbox.put(envelope)
                mailbox.withdraw(envelope)
            else:
                await asyncio.sleep(0)
        if at_end:
            await resume(pid)
            model.resumed()
            assert await get_state(pid) == {"seen": model.seen}
            assert len(await asyncio.gather(*calls)) == len(calls)
        # A suspended server stops, too, and answers whoever still waits.
        await stop(pid)
        await asyncio.gather(*calls, return_exceptions=True)
        assert not pid.alive


def seen_of(state: dict[str, Any]) -> list[int]:
    return list(state["seen"])
