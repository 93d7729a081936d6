# SPDX-License-Identifier: MIT
"""Nothing is left of thousands of processes that called, monitored, waited and crashed."""

from __future__ import annotations

import logging

import pytest

from tests.integration.load import ENDS, WAVE, WORK, run


@pytest.mark.parametrize(
    ("count", "seed"),
    [
        pytest.param(2_000, 0, marks=pytest.mark.timeout(60)),
        # 100,000 in all, in four parts for several workers.
        *(pytest.param(25_000, seed, marks=[pytest.mark.stress, pytest.mark.timeout(600)]) for seed in range(1, 5)),
    ],
)
def test_node_owns_nothing_after_the_load(count: int, seed: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "stanchion")  # a captured record would hold the traceback of its crash
    found, done = run(count, seed)
    assert set(done) >= {*WORK, *ENDS, "CallTimeoutError", "CallExitError", "TaskTimeoutError", "Down", "Exit"}
    for audit, processes, _ in found:
        assert (audit.owners, audit.leaks, processes) == ((), (), 0)
    # Not one block of memory for each process that there was after the first waves.
    assert found[-1].blocks - found[1].blocks < WAVE
