# SPDX-License-Identifier: MIT
"""The four jobs, and the entry of the fresh process that does one of them.

A file of ``jobs/`` calls ``main`` with a function for each job. This file and those may import nothing of ours but
``bench._floors``, since the virtual environments of the peers hold the peers alone.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Callable, Coroutine, Mapping
from typing import Final, Literal

JobName = Literal["a", "b", "c", "d"]

JOBS: Final[dict[JobName, str]] = {
    "a": "one way, the handler counts",
    "b": "round trips, one caller",
    "c": "round trips, 100 callers",
    "d": "start and stop",
}

CALLERS: Final = 100
"""How many callers job c has."""

TIMEOUT: Final = 30.0
"""Seconds that a round trip may take, where the library takes a timeout."""

YIELD_EVERY: Final = 1000
"""Messages after which a sender of job a lets the others run, where sending does not do that by itself."""

Job = Callable[[int], float]
"""Does its work so many times and returns how many it did in a second."""


Work = Callable[..., Coroutine[object, object, float]]
"""A coroutine function that does a job; the loop that runs it is the library's."""


def on_asyncio(work: Work, *args: int) -> float:
    """Run a job on asyncio's own loop."""
    return asyncio.run(work(*args))


def main_async(one_way: Work, round_trips: Work, start_stop: Work, run: Callable[..., float] = on_asyncio) -> None:
    """Do as ``main``; the jobs are coroutine functions, and ``run(work, *args)`` runs one on a loop of its own."""
    main(
        {
            "a": lambda count: run(one_way, count),
            "b": lambda count: run(round_trips, count, 1),
            "c": lambda count: run(round_trips, count, CALLERS),
            "d": lambda count: run(start_stop, count),
        }
    )


def main(jobs: Mapping[JobName, Job]) -> None:
    """Do the job that the command line names, print its figure as the last line, and end at once."""
    parser = argparse.ArgumentParser()
    parser.add_argument("job", choices=list(JOBS))
    parser.add_argument("count", type=int)
    arguments = parser.parse_args()
    logging.disable(logging.INFO)
    job: JobName = arguments.job
    figure = jobs[job](arguments.count)
    print(f"\n{figure}")
    sys.stdout.flush()
    os._exit(0)  # some peers leave threads and processes behind
