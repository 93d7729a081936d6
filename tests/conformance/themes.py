# SPDX-License-Identifier: MIT
"""All scenarios."""

from __future__ import annotations

from typing import Final

from tests.conformance.calls import calls
from tests.conformance.dynamic_supervisors import dynamic_supervisors
from tests.conformance.exits import exits
from tests.conformance.holders import holders
from tests.conformance.introspection import introspection
from tests.conformance.links import links
from tests.conformance.machines import machines
from tests.conformance.monitors import monitors
from tests.conformance.names import names
from tests.conformance.partition_supervisors import partition_supervisors
from tests.conformance.process_groups import process_groups
from tests.conformance.registries import registries
from tests.conformance.scenario import Scenario, Theme
from tests.conformance.starts import starts
from tests.conformance.supervisors_requests import supervisors_requests
from tests.conformance.supervisors_restart import supervisors_restart
from tests.conformance.supervisors_shutdown import supervisors_shutdown
from tests.conformance.supervisors_start import supervisors_start
from tests.conformance.tasks import tasks
from tests.conformance.timers import timers

THEMES: Final[tuple[Theme, ...]] = (
    calls,
    starts,
    introspection,
    machines,
    exits,
    links,
    monitors,
    names,
    timers,
    supervisors_start,
    supervisors_restart,
    supervisors_requests,
    supervisors_shutdown,
    dynamic_supervisors,
    partition_supervisors,
    tasks,
    registries,
    process_groups,
    holders,
)

SCENARIOS: Final[dict[str, Scenario]] = {scenario.name: scenario for theme in THEMES for scenario in theme}
