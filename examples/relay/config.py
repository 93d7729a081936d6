# SPDX-License-Identifier: MIT
"""The configuration: ``relay.toml`` and the secrets from the environment, checked at the start."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from examples.relay.routing import WantError, check_want, wants
from examples.relay.toml_table import ConfigError, Table
from stanchion.errors import CronError, InvalidOptionError
from stanchion.scheduler import Cron

IN_FLIGHT: Final = 8
"""Dead letters of one subscriber that are being sent again at once; events are sent one after the other."""


@dataclass(frozen=True, kw_only=True)
class SourceConfig:
    """Who may send webhooks, and in which headers it says what they are."""

    name: str
    secret: bytes = field(repr=False)
    event_header: str = "X-GitHub-Event"
    id_header: str = "X-GitHub-Delivery"
    signature_header: str = "X-Hub-Signature-256"


@dataclass(frozen=True, kw_only=True)
class SubscriberConfig:
    """Who gets which events, and how hard the relay tries. Durations are seconds; ``relay.toml`` explains each."""

    name: str
    url: str
    events: tuple[str, ...]
    secret: bytes | None = field(default=None, repr=False)
    timeout: float = 10.0
    retries: int = 5
    initial: float = 0.5
    maximum: float = 30.0

    @property
    def ack_timeout(self) -> float:
        """How long one attempt may take: its own POST, and those of dead letters that came before it."""
        return self.timeout * 2 * (IN_FLIGHT + 1)

    def wants(self, event_type: str) -> bool:
        """Return whether an event of this type goes to this subscriber."""
        return wants(self.events, event_type)


@dataclass(frozen=True, kw_only=True)
class RedeliveryConfig:
    """When dead letters are sent again."""

    initial: float = 5.0
    maximum: float = 3600.0
    attempts: int = 20


@dataclass(frozen=True, kw_only=True)
class NightlyConfig:
    """When dead letters that wait for a person are sent again all the same; no ``cron`` is never."""

    cron: str | None = "0 3 * * *"
    zone: str = "UTC"


@dataclass(frozen=True, kw_only=True)
class RelayConfig:
    """Everything."""

    sources: tuple[SourceConfig, ...]
    subscribers: tuple[SubscriberConfig, ...]
    host: str = "127.0.0.1"
    port: int = 8080
    database: str = "sqlite:///relay.db"
    keep: float = 86_400.0
    max_body: int = 1_048_576
    max_requests: int = 100
    read_timeout: float = 10.0
    max_restarts: int = 10
    max_seconds: float = 60.0
    redelivery: RedeliveryConfig = RedeliveryConfig()
    nightly: NightlyConfig = NightlyConfig()

    def matching(self, event_type: str) -> list[SubscriberConfig]:
        """Return who gets an event of this type."""
        return [subscriber for subscriber in self.subscribers if subscriber.wants(event_type)]


def load(path: Path, environ: Mapping[str, str]) -> RelayConfig:
    """Read a configuration file.

    Raises:
        ConfigError: something in it is wrong, or it cannot be read.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(str(path), expected="a file that can be read", got=error.strerror or repr(error)) from None
    except ValueError as error:
        raise ConfigError(str(path), expected="TOML", got=str(error)) from None
    return parse(values, environ)


def parse(values: Mapping[str, object], environ: Mapping[str, str]) -> RelayConfig:
    """Make a configuration of what a TOML file says.

    Raises:
        ConfigError: something in it is wrong.
    """
    root = Table("", dict(values))
    sources = [_source(name, table, environ) for name, table in root.tables("sources", "github").items()]
    subscribers = [_subscriber(name, table, environ) for name, table in root.tables("subscribers", "audit").items()]
    config = RelayConfig(
        sources=tuple(sources),
        subscribers=tuple(subscribers),
        redelivery=_redelivery(root.table("redelivery")),
        nightly=_nightly(root.table("nightly")),
    )
    config = _relay(root.table("relay"), config)
    root.end()
    return config


def _relay(table: Table, default: RelayConfig) -> RelayConfig:
    host, port = _address(table, f"{default.host}:{default.port}")
    config = replace(
        default,
        host=host,
        port=port,
        database=table.text("database", default.database),
        keep=table.seconds("keep", default.keep),
        max_body=table.whole("max_body", default.max_body, at_least=1),
        max_requests=table.whole("max_requests", default.max_requests, at_least=1),
        read_timeout=table.seconds("read_timeout", default.read_timeout),
        max_restarts=table.whole("max_restarts", default.max_restarts, at_least=0),
        max_seconds=table.seconds("max_seconds", default.max_seconds),
    )
    table.end()
    return config


def _redelivery(table: Table) -> RedeliveryConfig:
    default = RedeliveryConfig()
    config = RedeliveryConfig(
        initial=table.seconds("initial", default.initial),
        maximum=table.seconds("maximum", default.maximum),
        attempts=table.whole("attempts", default.attempts, at_least=0),
    )
    table.end()
    return config


def _nightly(table: Table) -> NightlyConfig:
    default = NightlyConfig()
    cron, zone = table.text("cron", default.cron), table.text("zone", default.zone)
    table.end()
    if cron == "never":
        return NightlyConfig(cron=None, zone=zone)
    try:
        Cron(cron, zone)
    except InvalidOptionError as error:
        key = "cron" if isinstance(error, CronError) else "zone"
        raise ConfigError(table.path(key), expected=error.expected, got=error.got, fix=error.fix) from None
    return NightlyConfig(cron=cron, zone=zone)


def _source(name: str, table: Table, environ: Mapping[str, str]) -> SourceConfig:
    secret = table.secret("secret_env", environ)
    if secret is None:
        raise ConfigError(
            table.path("secret_env"),
            expected="the name of an environment variable",
            got="nothing",
            fix='write secret_env = "RELAY_SECRET"; a source without a secret could be anybody.',
        )
    config = SourceConfig(
        name=name,
        secret=secret,
        event_header=table.text("event_header", SourceConfig.event_header),
        id_header=table.text("id_header", SourceConfig.id_header),
        signature_header=table.text("signature_header", SourceConfig.signature_header),
    )
    table.end()
    return config


def _subscriber(name: str, table: Table, environ: Mapping[str, str]) -> SubscriberConfig:
    default = SubscriberConfig
    config = SubscriberConfig(
        name=name,
        url=_url(table),
        events=_patterns(table),
        secret=table.secret("secret_env", environ),
        timeout=table.seconds("timeout", default.timeout),
        retries=table.whole("retries", default.retries, at_least=0),
        initial=table.seconds("initial", default.initial),
        maximum=table.seconds("maximum", default.maximum),
    )
    table.end()
    return config


def _url(table: Table) -> str:
    url = table.text("url")
    if url.startswith(("http://", "https://")) and url.partition("//")[2].strip("/"):
        return url
    raise ConfigError(table.path("url"), expected="an http:// or https:// URL", got=repr(url))


def _patterns(table: Table) -> tuple[str, ...]:
    patterns: list[str] = []
    for text in table.texts("events"):
        try:
            patterns.append(check_want(text))
        except WantError as error:
            raise ConfigError(table.path("events"), expected=error.expected, got=repr(text), fix=error.fix) from None
    return tuple(patterns)


def _address(table: Table, default: str) -> tuple[str, int]:
    text = table.text("listen", default)
    host, colon, port = text.rpartition(":")
    if colon and host and port.isascii() and port.isdecimal() and int(port) < 65536:
        return host.strip("[]"), int(port)
    raise ConfigError(table.path("listen"), expected="an address and a port, as '127.0.0.1:8080'", got=repr(text))
