# SPDX-License-Identifier: MIT
"""The programs of tests/properties in thousands of orders.

250 seeds for each of ``STANCHION_STRESS_ROUNDS``, 10,000 by default.
"""

from __future__ import annotations

import logging
import os

import pytest

from stanchion.testing import run_isolated
from tests.properties.interleavings import PROGRAMS

ROUNDS = int(os.environ.get("STANCHION_STRESS_ROUNDS", "40"))
SEEDS = 250

pytestmark = [pytest.mark.stress, pytest.mark.timeout(600)]


@pytest.mark.parametrize("round_", range(ROUNDS))
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_promise_holds_under_every_seed(program, round_, caplog):
    caplog.set_level(logging.CRITICAL)
    for seed in range(round_ * SEEDS, (round_ + 1) * SEEDS):
        try:
            run_isolated(program, seed=seed, debug=False)
        except BaseException as error:
            error.add_note(f"seed {seed}: run_isolated({program.__name__}, seed={seed})")
            raise
