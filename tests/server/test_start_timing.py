# SPDX-License-Identifier: MIT
"""The end of init and the timeout of start, in one step of the loop."""

from __future__ import annotations

import asyncio

import pytest

from stanchion.errors import StartError
from stanchion.server import GenServer, call, start
from stanchion.testing import VirtualClock, VirtualTimeLoop
from tests.kernel.helpers import quick_node


@pytest.fixture
def loop_factory():
    return VirtualTimeLoop


class Slow(GenServer):
    async def init(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def handle_call(self, request, sender):
        return request


async def test_init_that_ends_in_the_step_of_the_timeout_but_before_it_counts() -> None:
    async with quick_node(clock=VirtualClock()):
        pid = await start(Slow, 1 - 1e-10, timeout=1)
        assert await call(pid, "alive") == "alive"


async def test_init_that_ends_in_the_step_of_the_timeout_but_after_it_is_too_late() -> None:
    async with quick_node(clock=VirtualClock()) as node:
        with pytest.raises(StartError, match="got 'timeout'"):
            await start(Slow, 1 + 1e-10, timeout=1)
        assert node.processes == {}
