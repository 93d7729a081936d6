# SPDX-License-Identifier: MIT
"""What durable subscriptions refuse."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import stanchion as st
from stanchion.errors import InvalidOptionError, PatternError, RouterClosedError, SubscriptionNotFoundError
from stanchion.testing import VirtualClock, VirtualTimeLoop
from tests.router.durable_support import info, node, publish

LASTS = (
    "SignalRouter.subscribe_durable(target): expected an address that a later node knows: a registered name, or the "
    "key of a registry by names, got {}\n"
    "Fix: register the process, and subscribe its name; for others there is subscribe()."
)
WHEN = (
    "SignalRouter.subscribe_durable(start): expected 'now', 'beginning', Unix seconds, a datetime with a time zone, or "
    "the id of a signal, got {}"
)


@pytest.fixture
def loop_factory():
    return VirtualTimeLoop


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/app.db"


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"target": 5}, LASTS.format("5")),
        ({"target": ""}, LASTS.format("''")),
        (
            {"target": st.Registry.via("books", object)},
            LASTS.format("Registry.via('books', <class 'object'>)"),
        ),
        ({"name": "a.b"}, "SignalRouter.subscribe_durable(name): expected a word without spaces or dots, got 'a.b'"),
        (
            {"name": "a" * 101},
            "SignalRouter.subscribe_durable(name): expected at most 100 characters, got '" + "a" * 101 + "'",
        ),
        ({"filter": 1}, "SignalRouter.subscribe_durable(filter): expected a plain function, got 1"),
        (
            {"breaker": 5},
            "SignalRouter.subscribe_durable(breaker): expected the name of one of the node's breakers, or None, got 5",
        ),
        (
            {"timeout": -1},
            "SignalRouter.subscribe_durable(timeout): expected seconds >= 0 as a finite number, or a timedelta, got -1",
        ),
        ({"retries": -1}, "SignalRouter.subscribe_durable(retries): expected a whole number >= 0, got -1"),
        ({"backoff": 1}, "SignalRouter.subscribe_durable(backoff): expected an instance of Backoff, got 1"),
        ({"poison_after": 0}, "SignalRouter.subscribe_durable(poison_after): expected a whole number >= 1, got 0"),
        ({"start": True}, WHEN.format("True")),
        ({"start": float("nan")}, WHEN.format("nan")),
        ({"start": ""}, WHEN.format("''")),
        (
            {"start": datetime(2026, 1, 1)},  # noqa: DTZ001 - what is refused
            WHEN.format("datetime.datetime(2026, 1, 1, 0, 0)") + "\nFix: give it a zone: datetime.now(UTC).",
        ),
        (
            {"start": "no such id"},
            "SignalRouter.subscribe_durable(start): expected the id of a signal in the journal, got 'no such id'",
        ),
    ],
)
async def test_subscription_is_refused_when_an_argument_is_wrong(url, given: Mapping[str, Any], text):
    arguments: dict[str, Any] = {"name": "audit", "pattern": "**", "target": "auditor", **given}
    async with node(url, clock=VirtualClock()) as running:
        with pytest.raises(InvalidOptionError) as caught:
            await running.router.subscribe_durable(**arguments)
        assert str(caught.value) == text
        with pytest.raises(PatternError):
            await running.router.subscribe_durable("audit", "a..b", "auditor")
        assert await running.router.durable_subscriptions() == []


async def test_time_can_be_a_datetime_with_a_zone(url):
    async with node(url, clock=VirtualClock(), journal=["**"]) as running:
        await publish(running.router, 1, 2)
        start = datetime.fromtimestamp(running.clock.time() - 60, UTC)
        await running.router.subscribe_durable("audit", "**", "auditor", start=start)
        assert (await info(running, "audit")).behind == 2


async def test_another_pattern_or_target_replaces_what_is_stored_and_the_position_stays(url):
    async with node(url, clock=VirtualClock()) as running:
        await running.router.subscribe_durable("audit", "mail.*", "auditor", start="beginning")
        await publish(running.router, 1, type="mail.sent")
        await running.router.subscribe_durable("audit", ["order.*", "mail.*"], "ledger", timeout=None)
        await publish(running.router, 2)
        found = await info(running, "audit")
        assert (found.pattern, found.target, found.behind) == ("order.* mail.*", "ledger", 2)
        await running.router.subscribe_durable("audit", "order.*", "ledger")
        assert (await info(running, "audit")).behind == 1


@pytest.mark.parametrize("verb", ["replay", "forget", "redrive"])
async def test_subscription_that_is_not_stored_is_not_found(url, verb):
    arguments = ["beginning"] if verb == "replay" else []
    async with node(url, clock=VirtualClock()) as running:
        with pytest.raises(SubscriptionNotFoundError) as caught:
            await getattr(running.router, verb)("audit", *arguments)
        assert str(caught.value) == (
            "durable subscription 'audit': expected one that is stored, got none\nFix: SignalRouter.subscribe_durable() makes one."
        )
        await running.router.subscribe_durable("audits", "**", "auditor")
        with pytest.raises(SubscriptionNotFoundError, match=f"Fix: {verb} one of 'audits'.$"):
            await getattr(running.router, verb)("audit", *arguments)


async def test_node_without_a_database_has_nothing_durable():
    async with node(None, clock=VirtualClock()) as running:
        with pytest.raises(InvalidOptionError) as caught:
            await running.router.subscribe_durable("audit", "**", "auditor")
        assert str(caught.value) == (
            "SignalRouter.subscribe_durable(): expected a node with a database, for what is durable, got "
            f"{running!r}, which has none\nFix: make the node with Node(database='sqlite:///app.db')."
        )
    with pytest.raises(InvalidOptionError, match=r"^SignalRouter\(journal\): expected a node with a database"):
        async with node(None, clock=VirtualClock(), journal=["**"]):
            pass


async def test_router_that_is_not_open_has_no_durable_subscriptions(url):
    with pytest.raises(RouterClosedError, match=r"^SignalRouter.durable_subscriptions\(\): expected an open router"):
        await st.SignalRouter().durable_subscriptions()
    running = node(url, clock=VirtualClock())
    async with running:
        await running.router.subscribe_durable("audit", "**", "auditor")
        durable = running.router._durable
        assert durable is not None
    with pytest.raises(RouterClosedError):
        await running.router.durable_subscriptions()
    with pytest.raises(RouterClosedError):
        await durable.all()
