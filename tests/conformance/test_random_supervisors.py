# SPDX-License-Identifier: MIT
"""Random supervisors on Stanchion against the same ones on Erlang/OTP."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from stanchion.testing import VirtualTimeLoop
from tests.conformance import on_otp, on_stanchion
from tests.conformance.random_supervisors import random_scenario
from tests.conformance.trace import difference, side_by_side

ROUNDS = int(os.environ.get("STANCHION_STRESS_ROUNDS", "40"))
SEEDS = 250

pytestmark = [pytest.mark.stress, pytest.mark.timeout(600)]


@pytest.fixture
def loop_factory() -> type[VirtualTimeLoop]:
    return VirtualTimeLoop


@pytest.fixture(scope="module", autouse=True)
def _quiet() -> Iterator[None]:
    """Keep the lines of so many crashes out of the report."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.allow_blocking("it waits for Erlang")
@pytest.mark.parametrize("block", range(ROUNDS))
async def test_random_supervisor_does_as_on_otp(block: int, tmp_path: Path, require_otp: None) -> None:
    scenarios = [random_scenario(seed) for seed in range(SEEDS * block, SEEDS * (block + 1))]
    traces = tmp_path / "traces.tsv"
    on_otp.run(scenarios, tmp_path, traces)
    otp = on_otp.read(traces)
    for scenario in scenarios:
        theirs = otp[scenario.name].steps(scenario)
        ours = (await on_stanchion.run(scenario)).steps(scenario)
        assert difference(theirs, ours) == "", f"{scenario}\n\n{side_by_side(scenario, theirs, ours)}"
