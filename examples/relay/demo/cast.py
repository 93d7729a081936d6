# SPDX-License-Identifier: MIT
"""Who plays: the three subscribers, what their endpoints are like, and how the relay is configured for them."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Final, NamedTuple

from examples.relay.config import NightlyConfig, RedeliveryConfig, RelayConfig, SourceConfig, SubscriberConfig


class Role(NamedTuple):
    """One subscriber.

    Attributes:
        endpoint: What its endpoint is like, in words.
        events: What it wants.
        flaky: Whether its endpoint has flaws.
    """

    endpoint: str
    events: tuple[str, ...]
    flaky: bool = False


ROLES: Final = {
    "archive": Role("healthy", ("**",)),
    "chat": Role("flaky", ("push", "issues.**", "pull_request.*", "*.created", "*.completed", "*.deleted"), flaky=True),
    "tickets": Role("down for a while", ("issues.**", "issue_comment.*", "deployment.**", "*.opened", "*.edited")),
}

MAX_BODY: Final = 262_144
"""The largest body that the relay takes, in bytes."""

NIGHT: Final = "*/4 * * * * *"
"""When it is night: every four seconds."""

# Seconds that one POST may take. Every machine of the demo is this one, so an answer is quick or comes too late.
_TIMEOUT: Final = 0.3


def endpoint_options(source: random.Random) -> dict[str, list[str]]:
    """Return the command-line options of each subscriber's endpoint."""
    late = ["--too-late", str(3 * _TIMEOUT)]
    return {name: ["--flaky", str(source.getrandbits(32)), *late] if role.flaky else [] for name, role in ROLES.items()}


def relay_config(urls: Mapping[str, str], secret: bytes, database: str) -> RelayConfig:
    """Return the relay's configuration: everything happens sooner than in earnest, since the demo is short."""
    return RelayConfig(
        sources=(SourceConfig(name="github", secret=secret),),
        subscribers=tuple(_subscriber(name, url, secret) for name, url in urls.items()),
        database=database,
        max_body=MAX_BODY,
        max_restarts=200,  # crashes are what we are here for
        redelivery=RedeliveryConfig(initial=0.4, maximum=1.5, attempts=4),
        nightly=NightlyConfig(cron=NIGHT),
    )


def _subscriber(name: str, url: str, secret: bytes) -> SubscriberConfig:
    return SubscriberConfig(
        name=name,
        url=url,
        events=ROLES[name].events,
        secret=secret,
        timeout=_TIMEOUT,
        retries=2,
        initial=0.1,
        maximum=1.0,
    )
