# SPDX-License-Identifier: MIT
from __future__ import annotations

import stanchion as st
from tests.monitors.helpers import Idle, Owner, call, killed, line_of, process_of, virtual_node


class Desk(st.TrackedMonitors, Owner):
    """Tracks what it monitors, and says what it had left when it ended."""

    ended: tuple[st.Pid, ...] | None = None

    def terminate(self, reason: st.ExitReason) -> None:
        super().terminate(reason)
        type(self).ended = self.monitors.left


async def test_server_monitors_a_target_once_and_with_the_name_of_its_class() -> None:
    async with virtual_node() as node:
        desk, target = await st.start(Desk), await st.start(Idle)

        def twice(self: Desk) -> bool:
            return self.monitor(target) is self.monitor(target)

        assert await call(desk, twice)
        (info,) = node.monitors.list()
        assert (info.owner, info.target, info.tag, info.site) == (desk, target, "Desk", line_of(twice, 1))


async def test_server_hears_of_an_exit_and_forgets_who_is_gone() -> None:
    async with virtual_node():
        desk, target = await st.start(Desk), await st.start(Idle)
        await call(desk, lambda self: bool(self.monitor(target)))
        await killed(target)
        assert await call(desk, lambda self: [down in self.monitors for down in self.heard]) == [True]
        assert await call(desk, lambda self: self.monitors.left) == ()


async def test_server_ends_a_monitor() -> None:
    async with virtual_node():
        desk, target = await st.start(Desk), await st.start(Idle)
        await call(desk, lambda self: self.demonitor(self.monitor(target)))
        assert process_of(target).watchers is None


async def test_server_ends_its_monitors_in_terminate() -> None:
    async with virtual_node():
        desk, target = await st.start(Desk), await st.start(Idle)
        await call(desk, lambda self: bool(self.monitor(target)))
        await st.stop(desk)
        assert Desk.ended == ()
        assert process_of(target).watchers is None
