# SPDX-License-Identifier: MIT
"""Registry and groups against their models, as in tests/properties, with many more examples."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

from tests.properties import test_process_groups_model, test_registry_model
from tests.properties.test_registry_model import Step

ROUNDS = int(os.environ.get("STANCHION_STRESS_ROUNDS", "40"))

pytestmark = [pytest.mark.stress, pytest.mark.timeout(600)]


@settings(max_examples=25 * ROUNDS, suppress_health_check=[HealthCheck.too_slow])
@test_registry_model.cases
async def test_registry_does_what_the_model_does(unique: bool, steps: list[Step]) -> None:
    await test_registry_model.compare(unique=unique, steps=steps)


@settings(max_examples=25 * ROUNDS, suppress_health_check=[HealthCheck.too_slow])
@test_process_groups_model.cases
async def test_groups_do_what_the_model_does(steps: list[test_process_groups_model.Step]) -> None:
    await test_process_groups_model.compare(steps)
