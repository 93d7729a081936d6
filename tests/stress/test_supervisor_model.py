# SPDX-License-Identifier: MIT
"""The supervisor against its model, as in tests/properties, with many more lives."""

from __future__ import annotations

import logging
import os
from random import Random

import pytest

from stanchion.testing import VirtualTimeLoop
from tests.properties.test_supervisor_model import case_of, check

ROUNDS = int(os.environ.get("STANCHION_STRESS_ROUNDS", "40"))

pytestmark = [pytest.mark.stress, pytest.mark.timeout(600)]


@pytest.fixture
def loop_factory():
    return VirtualTimeLoop


@pytest.fixture(scope="module", autouse=True)
def _quiet():
    """Keep the lines of so many crashes out of the report."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("block", range(ROUNDS))
async def test_supervisor_does_what_the_model_does(block):
    for seed in range(1_000 + 250 * block, 1_000 + 250 * (block + 1)):
        try:
            await check(case_of(Random(seed)))
        except BaseException:
            print("seed", seed)
            raise
