# SPDX-License-Identifier: MIT
"""The table of events."""

from __future__ import annotations

import pytest

import stanchion.telemetry
from stanchion.telemetry import EVENTS, Event


def test_event_names_are_permanent() -> None:
    """A name may be added here; one that is changed breaks whoever listens to it."""
    assert [".".join(event.name) for event in EVENTS] == [
        "stanchion.process.exit",
        "stanchion.process.runaway",
        "stanchion.handler.blocked",
        "stanchion.message.dead_letter",
        "stanchion.message.dropped",
        "stanchion.message.unhandled",
        "stanchion.message.duplicate",
        "stanchion.message.expired",
        "stanchion.monitor.leak",
        "stanchion.monitor.checked",
        "stanchion.call.late_reply",
        "stanchion.supervisor.restart",
        "stanchion.supervisor.gave_up",
        "stanchion.application.start",
        "stanchion.application.stop",
        "stanchion.delivery.retry",
        "stanchion.delivery.poison",
        "stanchion.delivery.stop",
        "stanchion.circuit.opened",
        "stanchion.circuit.half_opened",
        "stanchion.circuit.closed",
        "stanchion.circuit.rejected",
        "stanchion.timeouts.reloaded",
        "stanchion.timeouts.reload_failed",
        "stanchion.dead_letters.stored",
        "stanchion.dead_letters.delivered",
        "stanchion.dead_letters.exhausted",
        "stanchion.outbox.stored",
        "stanchion.outbox.delivered",
        "stanchion.outbox.given_up",
        "stanchion.outbox.resumed",
        "stanchion.dead_letters.purged",
        "stanchion.dead_letters.growth",
        "stanchion.lease.lost",
        "stanchion.router.routed",
        "stanchion.router.delivered",
        "stanchion.router.dropped",
        "stanchion.router.slow",
        "stanchion.schedule.started",
        "stanchion.schedule.stopped",
        "stanchion.schedule.missed",
        "stanchion.scheduler.clock_jumped",
    ]


def test_each_event_is_a_public_constant() -> None:
    public = {name for name in stanchion.telemetry.__all__ if name.isupper()} - {"EVENTS"}
    assert {id(getattr(stanchion.telemetry, name)) for name in public} == {id(event) for event in EVENTS}


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: ".".join(event.name))
def test_each_event_says_what_it_means_and_carries(event: Event) -> None:
    assert event.meaning.endswith(".")
    assert event.measurements
    assert event.metadata
    assert all(text for text in (*event.measurements.values(), *event.metadata.values()))
