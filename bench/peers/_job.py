# SPDX-License-Identifier: MIT
"""The four jobs, and the entry of the fresh process that does one of them.

A file of ``jobs/`` calls ``main`` with a function for each job. This file and those may import nothing of ours but
``bench._floors``, since the virtual environments of the peers hold the peers alone.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Mapping
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
