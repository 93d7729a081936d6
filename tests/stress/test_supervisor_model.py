# SPDX-License-Identifier: MIT
"""The supervisor against its model, as in tests/properties, with many more examples."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

from tests.properties.test_supervisor_model import cases, check

ROUNDS = int(os.environ.get("STANCHION_STRESS_ROUNDS", "40"))

pytestmark = [pytest.mark.stress, pytest.mark.timeout(600)]


@settings(max_examples=50 * ROUNDS, suppress_health_check=[HealthCheck.too_slow])
@cases
async def test_supervisor_does_what_the_model_does(strategy, restarts, steps):
    await check(strategy, restarts, steps)
