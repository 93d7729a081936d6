# SPDX-License-Identifier: MIT
"""Plain asyncio: what everything is compared with."""

from __future__ import annotations

import asyncio

from bench import _floors
from bench.peers._job import CALLERS, main

if __name__ == "__main__":
    main(
        {
            "a": lambda count: asyncio.run(_floors.one_way(count)),
            "b": lambda count: asyncio.run(_floors.round_trips(count, 1)),
            "c": lambda count: asyncio.run(_floors.round_trips(count, CALLERS)),
            "d": lambda count: asyncio.run(_floors.tasks(count)),
        }
    )
