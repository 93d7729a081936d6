# SPDX-License-Identifier: MIT
"""Programs whose promises hold in whatever order their processes run. Each is run with one seed, and checks itself."""

from __future__ import annotations

import asyncio
from collections import Counter
from random import Random

import stanchion as st
from stanchion.errors import CallError
from stanchion.kernel import MonitorRef
from stanchion.testing import Probe, SeededLoop, advance, crash_on, delay, drop, start_supervised, wait_quiet
from tests.properties.broadcasts import broadcasts_are_atomic


def choices() -> Random:
    """Return where a program draws its choices from: the seed that orders its processes."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SeededLoop)
    return loop.random


class Watcher(st.GenServer):
    """Monitors and demonitors, and counts what it hears."""

    def init(self) -> None:
        self.downs: Counter[MonitorRef] = Counter()
        self.open: list[MonitorRef] = []
        self.ended: set[MonitorRef] = set()

    def handle_cast(self, target: st.Pid | None) -> None:
        if target is not None:
            self.open.append(st.monitor(target))
        elif self.open:
            ref = self.open.pop(0)
            st.demonitor(ref)
            self.ended.add(ref)

    def handle_info(self, message: object) -> None:
        assert isinstance(message, st.Down)
        assert message.ref not in self.ended, "a Down came after demonitor returned"
        self.downs[message.ref] += 1

    def handle_call(self, request: object, sender: st.Sender) -> object:
        # Of those that were demonitored, some may have told before.
        return [self.downs[ref] for ref in self.open], max(self.downs.values(), default=0)


async def monitors_tell_once() -> None:
    """Each monitor that was not taken back tells one Down; none tells two, and none after demonitor."""
    draw = choices()
    targets = [st.spawn(living, draw.randrange(4), draw.random() < 0.3) for _ in range(8)]
    watchers = [await st.start(Watcher) for _ in range(3)]

    async def meddle() -> None:
        for _ in range(12):
            verb, target = draw.randrange(4), draw.choice(targets)
            if verb < 2:
                st.cast(draw.choice(watchers), target)
            elif verb == 2:
                st.cast(draw.choice(watchers), None)
            else:
                st.exit(target, draw.choice(["kill", "shutdown"]))
            await asyncio.sleep(0)

    for _ in range(3):
        st.spawn(meddle)
    await wait_quiet()
    for target in targets:
        st.exit(target, "kill")
    await wait_quiet()
    for watcher in watchers:
        told, most = await st.call(watcher, "downs")  # type: ignore[misc]  # what handle_call returns
        assert all(count == 1 for count in told)
        assert most <= 1


async def living(steps: int, crashes: bool) -> None:
    """Be a process that lives for some steps, or for ever."""
    for _ in range(steps):
        await asyncio.sleep(0)
    if crashes:
        raise st.ProcessExit(("shutdown", "crashed"))
    if steps % 2:
        await asyncio.Event().wait()


async def senders_keep_their_order() -> None:
    """What one process sends to another arrives in its order, also when some of it is delayed."""
    draw = choices()
    probe = Probe()
    if draw.random() < 0.5:
        delay(probe.pid, 0.5, chance=0.2)
    kinds = [st.cast, st.send]

    async def sender(name: int) -> None:
        for number in range(10):
            draw.choice(kinds)(probe.pid, (name, number))
            if draw.random() < 0.5:
                await asyncio.sleep(0)

    for name in range(4):
        st.spawn(sender, name)
    await probe.refuse("nothing", within=5)
    came: list[tuple[int, int]] = probe.messages  # type: ignore[assignment]  # what the senders sent
    assert len(came) == 40
    for name in range(4):
        assert [number for sender_, number in came if sender_ == name] == list(range(10))


class Moody(st.GenServer):
    """Replies at once, later, from another process, or never."""

    def init(self, draw: Random) -> None:
        self.draw = draw
        self.kept: list[tuple[st.Sender, object]] = []

    async def handle_call(self, request: object, sender: st.Sender) -> object:
        if self.kept and self.draw.random() < 0.5:
            st.reply(*self.kept.pop())
        match self.draw.randrange(6):
            case 0:
                await asyncio.sleep(0)
            case 1:
                st.spawn(answer, sender, request)
                return st.NO_REPLY
            case 2:
                return st.Reply(request, then=st.Stop("shutdown"))
            case 3 if self.draw.random() < 0.3:
                return st.Stop("shutdown")
            case 4:
                self.kept.append((sender, request))
                return st.NO_REPLY
            case _:
                pass
        return request


async def answer(sender: st.Sender, value: object) -> None:
    """Reply for somebody else."""
    await asyncio.sleep(0)
    st.reply(sender, value)


async def calls_end() -> None:
    """Every call ends with its reply or an error: where messages get lost, by its timeout; else without any."""
    draw = choices()
    await start_supervised(Moody, draw, name="moody")
    crash_on("moody", chance=0.1)
    timeout = None
    if draw.random() < 0.5:
        drop("moody", chance=0.05)
        timeout = 2.0
    calls = [asyncio.create_task(calling(draw, timeout)) for _ in range(20)]
    await advance(0.1)
    moody = st.whereis("moody")
    if moody is not None:
        st.exit(moody, "kill")  # those whose request it kept hear of this
    assert all(await asyncio.gather(*calls))


async def calling(draw: Random, timeout: float | None) -> bool:
    """Call, and say whether it ended as it may."""
    await asyncio.sleep(draw.choice([0, 0, 0.01]))
    request = object()
    try:
        async with asyncio.timeout(2 + 1 / 64):
            return await st.call("moody", request, timeout=timeout) is request
    except CallError:
        return True


PROGRAMS = (monitors_tell_once, senders_keep_their_order, calls_end, broadcasts_are_atomic)
