# SPDX-License-Identifier: MIT
"""Plain asyncio: what everything is compared with."""

from __future__ import annotations

from bench import _floors
from bench.peers._job import main_async

if __name__ == "__main__":
    main_async(_floors.one_way, _floors.round_trips, _floors.tasks)
