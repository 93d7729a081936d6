# SPDX-License-Identifier: MIT
"""What holds in whatever order processes run: a few orders here, thousands in tests/stress."""

from __future__ import annotations

import logging

import pytest

from stanchion.testing import run_isolated
from tests.properties.interleavings import PROGRAMS

SEEDS = 30


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_promise_holds_under_every_seed(program, caplog):
    caplog.set_level(logging.CRITICAL)
    for seed in range(SEEDS):
        run_isolated(program, seed=seed)
