# SPDX-License-Identifier: MIT
"""Which events a pattern matches, and what an event is called."""

from __future__ import annotations

from typing import Any

import pytest

from examples.relay.routing import event_type, parse_pattern


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("push", ["push", "push.forced"], ["pushed", "ping"]),
        ("issues.opened", ["issues.opened"], ["issues", "issues.closed", "pull_request.opened"]),
        ("issues.*", ["issues", "issues.opened", "issues.closed"], ["issue_comment.created"]),
        ("*.deleted", ["label.deleted", "release.deleted"], ["delete", "label.created"]),
        ("*", ["push", "issues.opened"], []),
        ("*.*", ["push", "issues.opened"], []),
    ],
)
def test_pattern_matches(pattern: str, matching: list[str], others: list[str]) -> None:
    parsed = parse_pattern(pattern)
    assert parsed is not None
    assert [type_ for type_ in matching + others if parsed.matches(type_)] == matching


@pytest.mark.parametrize("text", ["", ".", "a.b.c", "issues.", ".opened", "iss*", "is sues", "**"])
def test_pattern_is_none_when_the_text_is_no_pattern(text: str) -> None:
    assert parse_pattern(text) is None


@pytest.mark.parametrize(
    ("event", "payload", "expected"),
    [
        ("push", {}, "push"),
        ("issues", {"action": "opened"}, "issues.opened"),
        ("issues", {"action": 3}, "issues"),
        ("issues", {"action": "two words"}, "issues"),
        ("a.b", {}, None),
        ("", {}, None),
    ],
)
def test_event_type_is_the_event_and_its_action(event: str, payload: dict[str, object], expected: str | None) -> None:
    assert event_type(event, payload) == expected


def test_event_type_exists_for_each_real_webhook(webhooks: list[dict[str, Any]]) -> None:
    types = {event_type(webhook["event"], webhook["payload"]) for webhook in webhooks}
    assert None not in types
    assert {"push", "issues.opened", "star.deleted"} <= types
