# SPDX-License-Identifier: MIT
"""Every scenario does on Stanchion what it does on Erlang/OTP, or differs as ``differences.py`` says."""

from __future__ import annotations

import fcntl

import pytest

from stanchion.testing import VirtualTimeLoop
from tests.conformance import on_otp, on_stanchion
from tests.conformance.differences import expected_difference
from tests.conformance.scenario import Scenario
from tests.conformance.themes import SCENARIOS
from tests.conformance.trace import Trace, difference, side_by_side

# The first test waits for all scenarios on Erlang/OTP, where time passes.
pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def loop_factory() -> type[VirtualTimeLoop]:
    return VirtualTimeLoop


@pytest.fixture(scope="session")
def otp_traces(tmp_path_factory: pytest.TempPathFactory, worker_id: str, require_otp: None) -> dict[str, Trace]:
    """Return the traces of all scenarios on Erlang/OTP, which one of the test processes makes for all."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "conformance"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        traces = folder / "traces.tsv"
        if not traces.exists():
            on_otp.run(SCENARIOS.values(), folder, traces)
    return on_otp.read(traces)


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=lambda scenario: scenario.name)
async def test_scenario_runs_as_on_otp(scenario: Scenario, otp_traces: dict[str, Trace]) -> None:
    theirs = otp_traces[scenario.name].steps(scenario)
    ours = (await on_stanchion.run(scenario)).steps(scenario)
    found, expected = difference(theirs, ours), expected_difference(scenario.name)
    if found != expected:
        declared = f"differences.py says that they differ so:\n{expected}\n\n" if expected else ""
        text = f"{scenario.name}: {scenario.rule}\n\n{side_by_side(scenario, theirs, ours)}\n\n"
        pytest.fail(f"{text}{declared}they differ so:\n{found or '(not at all)'}", pytrace=False)


def test_scenarios_have_something_to_compare(otp_traces: dict[str, Trace]) -> None:
    assert [name for name in SCENARIOS if name not in otp_traces] == []
