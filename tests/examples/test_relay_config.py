# SPDX-License-Identifier: MIT
"""relay.toml: what it may say, and what it is told when it is wrong."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

import examples.relay
from examples.relay.config import NightlyConfig, RelayConfig, SubscriberConfig, load, parse
from examples.relay.toml_table import ConfigError

SAMPLE = Path(examples.relay.__file__).with_name("relay.toml")
ENVIRON = {"RELAY_GITHUB_SECRET": "s1", "RELAY_AUDIT_SECRET": "s2"}

GOOD = """
[sources.github]
secret_env = "RELAY_GITHUB_SECRET"
[subscribers.audit]
url = "http://127.0.0.1:9/webhook"
events = ["**"]
"""


def test_sample_configuration_says_what_the_defaults_are() -> None:
    config = load(SAMPLE, ENVIRON)
    tickets, audit = config.subscribers
    assert config == RelayConfig(sources=config.sources, subscribers=config.subscribers)
    assert tickets == SubscriberConfig(name="tickets", url=tickets.url, events=tickets.events)
    assert (audit.secret, config.sources[0].secret) == (b"s2", b"s1")
    assert tickets.events == ("issues.**", "issue_comment.created")


def test_configuration_reads_an_address_of_ipv6() -> None:
    config = parse(tomllib.loads('[relay]\nlisten = "[::1]:0"\n' + GOOD), ENVIRON)
    assert (config.host, config.port) == ("::1", 0)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            'url = "http://127.0.0.1:9/webhook"',
            "",
            "subscribers.audit.url: expected text, got nothing",
        ),
        (
            "url =",
            "ulr =",
            "subscribers.audit.url: expected text, got nothing\nFix: write url where it says ulr.",
        ),
        (
            '"http://127.0.0.1:9/webhook"',
            '"127.0.0.1"',
            "subscribers.audit.url: expected an http:// or https:// URL, got '127.0.0.1'",
        ),
        (
            'events = ["**"]',
            'events = ["**"]\ntimeuot = 3',
            (
                "subscribers.audit.timeuot: expected one of url, events, secret_env, timeout, retries, initial, maximum, "
                "got 'timeuot'\nFix: write timeout."
            ),
        ),
        (
            'events = ["**"]',
            'events = ["**"]\ntimeout = 0',
            "subscribers.audit.timeout: expected seconds, more than 0, got 0",
        ),
        (
            'events = ["**"]',
            'events = ["**"]\nretries = -1',
            "subscribers.audit.retries: expected a whole number >= 0, got -1",
        ),
        (
            'events = ["**"]',
            'events = ["**"]\nretries = true',
            "subscribers.audit.retries: expected a whole number >= 0, got True",
        ),
        (
            'events = ["**"]',
            "events = []",
            "subscribers.audit.events: expected a list of texts, at least one, got []",
        ),
        (
            'events = ["**"]',
            'events = ["iss*"]',
            (
                "subscribers.audit.events: expected a word, '*' or '**' as a whole segment at position 3 of 'iss*', got "
                "'iss*'\nFix: '*' is one whole segment, '**' any number of them; what is finer than segments, a filter= "
                "can decide."
            ),
        ),
        (
            'events = ["**"]',
            'events = ["push"]',
            (
                "subscribers.audit.events: expected an event and an action, as 'issues.opened', or '**', got 'push'\n"
                "Fix: write 'push.**', with whatever action."
            ),
        ),
        (
            "RELAY_GITHUB_SECRET",
            "NO_SUCH",
            (
                "sources.github.secret_env: expected the name of an environment variable that is set, got 'NO_SUCH'\n"
                "Fix: export NO_SUCH='...'."
            ),
        ),
        (
            'secret_env = "RELAY_GITHUB_SECRET"',
            "",
            (
                "sources.github.secret_env: expected the name of an environment variable, got nothing\n"
                'Fix: write secret_env = "RELAY_SECRET"; a source without a secret could be anybody.'
            ),
        ),
        (
            "[sources.github]",
            "[source.github]",
            "sources: expected a table, as [sources.github], got nothing\nFix: write sources where it says source.",
        ),
        (
            "[subscribers.audit]",
            '[subscribers."my audit"]',
            "subscribers.my audit: expected a name of letters, digits, - and _, got 'my audit'",
        ),
        (
            "[sources.github]",
            '[relay]\nlisten = "8080"\n[sources.github]',
            "relay.listen: expected an address and a port, as '127.0.0.1:8080', got '8080'",
        ),
        (
            "[sources.github]",
            '[relay]\nlisten = "localhost:66000"\n[sources.github]',
            "relay.listen: expected an address and a port, as '127.0.0.1:8080', got 'localhost:66000'",
        ),
        (
            "[sources.github]",
            "[rleay]\n[sources.github]",
            "rleay: expected one of sources, subscribers, redelivery, nightly, relay, got 'rleay'\nFix: write relay.",
        ),
        (
            "[sources.github]",
            '[nightly]\ncron = "0 25 * * *"\n[sources.github]',
            "nightly.cron: expected an hour from 0 to 23 at position 2 of '0 25 * * *', its hour, got '25'",
        ),
        (
            "[sources.github]",
            '[nightly]\nzone = "Europe/Berln"\n[sources.github]',
            (
                "nightly.zone: expected the name of a time zone, 'Europe/Berlin' say, got 'Europe/Berln'\n"
                "Fix: write 'Europe/Berlin'."
            ),
        ),
        (
            "[sources.github]",
            "relay = 3\n[sources.github]",
            "relay: expected a table, got 3",
        ),
    ],
)
def test_configuration_names_the_key_when_it_is_wrong(old: str, new: str, problem: str) -> None:
    assert old in GOOD
    with pytest.raises(ConfigError) as caught:
        parse(tomllib.loads(GOOD.replace(old, new)), ENVIRON)
    assert str(caught.value) == problem


def test_configuration_says_so_when_the_file_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "relay.toml"
    with pytest.raises(ConfigError, match="expected a file that can be read, got No such file or directory"):
        load(path, {})
    path.write_text("[relay\n")
    with pytest.raises(ConfigError, match="expected TOML, got Expected ']'"):
        load(path, {})


@pytest.mark.parametrize(
    ("text", "nightly"),
    [
        ('cron = "@weekly"\nzone = "Europe/Berlin"', NightlyConfig(cron="@weekly", zone="Europe/Berlin")),
        ('cron = "never"', NightlyConfig(cron=None)),
    ],
)
def test_configuration_says_when_it_is_night(text: str, nightly: NightlyConfig) -> None:
    assert parse(tomllib.loads(f"[nightly]\n{text}\n{GOOD}"), ENVIRON).nightly == nightly


def test_configuration_never_shows_a_secret() -> None:
    config = parse(tomllib.loads(GOOD), {"RELAY_GITHUB_SECRET": "hush"})
    assert "hush" not in repr(config)
