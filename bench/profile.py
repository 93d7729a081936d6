# SPDX-License-Identifier: MIT
"""Where the time of a call goes: ``python -m bench.profile``.

A timer interrupts the program some hundred times in each second of its work, as often as the machine allows, and the
Python function that runs then is counted. C code counts for the function that called it. A tracing profiler would add
more to each function than most of them take.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Final, NamedTuple

from bench._servers import Counter as CounterServer
from bench.calls import calls
from stanchion import Node
from stanchion.server import start

_INTERVAL: Final = 0.001
_RESULTS: Final = Path(__file__).with_name("profile.json")

_PARTS: Final = {
    "asyncio/": "the event loop: ready queue, select, handles, futures",
    "selectors.py": "the event loop: ready queue, select, handles, futures",
    "bench/calls.py": "the caller's own loop",
    "bench/_servers.py": "the handler",
    "server/_call.py": "call() and its reply token",
    "kernel/_timer_wheel.py": "the deadline of the call",
    "server/_loop.py": "the server's loop",
    "kernel/_mailbox.py": "the mailbox",
}
"""What the files, by a part of their path, stand for."""


class Profile(NamedTuple):
    """Where the time went; these are the keys of the JSON.

    Attributes:
        callers: How many called at once.
        microseconds: How long one call took, with the sampling.
        samples: How many times it was looked.
        shares: The parts, in percent of the samples, the largest first.
    """

    callers: int
    microseconds: float
    samples: int
    shares: dict[str, float]


def main() -> None:
    """Profile calls by one caller and by 100, print the shares and write the JSON."""
    parser = argparse.ArgumentParser("python -m bench.profile", description="Show where the time of a call goes.")
    parser.add_argument("--calls", type=int, default=1_000_000, help="how many calls, of each kind")
    parser.add_argument("--json", type=Path, default=_RESULTS, metavar="FILE", help="where the shares go as JSON")
    arguments = parser.parse_args()
    profiles = [asyncio.run(profile(callers, arguments.calls)) for callers in (1, 100)]
    for one in profiles:
        print(f"{one.callers} at once: {one.microseconds:.2f} µs a call, {one.samples} samples")
        for part, share in one.shares.items():
            print(f"  {share:5.1f} %  {part}")
    text = json.dumps([one._asdict() for one in profiles], indent=2)
    arguments.json.write_text(text + "\n", encoding="utf-8")


async def profile(callers: int, count: int) -> Profile:
    """Sample ``count`` calls by so many callers."""
    samples: Counter[str] = Counter()

    def look(_signal: int, frame: FrameType | None) -> None:
        path = "" if frame is None else frame.f_code.co_filename
        samples[next((part for piece, part in _PARTS.items() if piece in path), "the rest")] += 1

    async with Node():
        counter = await start(CounterServer)
        await calls(counter, max(callers, count // 20), callers)
        before = signal.signal(signal.SIGPROF, look)
        signal.setitimer(signal.ITIMER_PROF, _INTERVAL, _INTERVAL)
        try:
            rate = await calls(counter, count, callers)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.signal(signal.SIGPROF, before)
    total = sum(samples.values())
    shares = {part: round(100 * seen / total, 1) for part, seen in samples.most_common()}
    return Profile(callers, round(1e6 / rate, 2), total, shares)


if __name__ == "__main__":
    main()
