# SPDX-License-Identifier: MIT
"""One durable subscription to several patterns."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import stanchion as st
from stanchion.errors import InvalidOptionError, PatternError
from stanchion.router import pattern_matches
from stanchion.router._pattern import Patterns
from tests.router.durable_support import Subscriber, info, node, publish, until


@pytest.fixture
def loop_factory():
    return asyncio.SelectorEventLoop


def test_patterns_match_what_one_of_them_matches() -> None:
    patterns = Patterns("here", ["order.*", "**.failed", "order.*"])
    found = [type for type in ("order.placed", "mail.failed", "mail.sent", "order") if patterns.matches(type)]
    assert (found, patterns.text) == (["order.placed", "mail.failed"], "order.* **.failed")


def test_patterns_are_the_same_when_they_are_read_from_their_text() -> None:
    given = Patterns("here", ("a.**.b", "*"))
    assert Patterns.stored(given.text).each == given.each == (("a", "**", "b"), ("*",))


def test_patterns_are_refused_when_one_is_malformed_or_there_is_none() -> None:
    with pytest.raises(PatternError, match=r"^here: expected a segment at position 2 of 'a\.', got its end"):
        Patterns("here", ["order.*", "a."])
    with pytest.raises(InvalidOptionError, match=r"^here: expected a pattern of types, 'order\.\*' say, got \[\]$"):
        Patterns("here", [])


def test_pattern_matches_a_type_as_a_subscription_would() -> None:
    found = [pattern_matches(pattern, "order.line.added") for pattern in ("order.**", "order.*", "**.added", "order")]
    assert found == [True, False, True, False]


def test_pattern_matches_refuses_what_is_malformed() -> None:
    with pytest.raises(
        PatternError, match=r"^pattern: expected a word, '\*' or '\*\*' as a whole segment at position 3"
    ):
        pattern_matches("iss*", "issues")
    with pytest.raises(PatternError, match=r"^type: expected a type without wildcards at position 0 of '\*'"):
        pattern_matches("**", "*")


async def test_signal_that_several_patterns_of_a_subscription_match_comes_once(tmp_path: Path) -> None:
    log: list[object] = []
    async with node(f"sqlite:///{tmp_path}/app.db") as running:
        await st.start(Subscriber, log, name="auditor")
        subscription = await running.router.subscribe_durable("audit", ["order.*", "**.failed"], "auditor")
        for number, type in enumerate(["order.failed", "mail.sent", "mail.failed", "order.placed"]):
            await publish(running.router, number, type=type)
        await until(lambda: len(log) == 3)
        found = await info(running, "audit")
    assert (log, subscription.pattern, found.pattern) == ([0, 2, 3], "order.* **.failed", "order.* **.failed")


async def test_patterns_are_replaced_and_the_position_stays_when_others_are_given(tmp_path: Path) -> None:
    log: list[object] = []
    async with node(f"sqlite:///{tmp_path}/app.db") as running:
        await running.router.subscribe_durable("audit", ["order.*", "mail.*"], "auditor")
        await publish(running.router, 1, type="mail.sent")
        await running.router.subscribe_durable("audit", ["mail.sent", "mail.*", "stock.*"], "auditor")
        await publish(running.router, 2, type="order.placed")
        await publish(running.router, 3, type="stock.low")
        assert (await info(running, "audit")).behind == 2
        await st.start(Subscriber, log, name="auditor")
        await until(lambda: len(log) == 2)
    assert log == [1, 3]


@pytest.mark.parametrize("pattern", [[], "", ["order.*", ""], ["a..b"], [3], 3])
async def test_subscribe_durable_refuses_what_is_no_pattern(tmp_path: Path, pattern: object) -> None:
    async with node(f"sqlite:///{tmp_path}/app.db") as running:
        with pytest.raises(InvalidOptionError, match=r"^SignalRouter\.subscribe_durable\(pattern\): expected a"):
            await running.router.subscribe_durable("audit", pattern, "auditor")  # type: ignore[arg-type]
        assert await running.router.durable_subscriptions() == []
