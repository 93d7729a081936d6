# SPDX-License-Identifier: MIT
"""What an event is called, and by which patterns subscribers can want it."""

from __future__ import annotations

from typing import Any

import pytest

from examples.relay.routing import WantError, check_want, event_type, wants


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("push.**", ["push", "push.forced"], ["pushed", "ping"]),
        ("issues.opened", ["issues.opened"], ["issues", "issues.closed", "pull_request.opened"]),
        ("issues.*", ["issues.opened", "issues.closed"], ["issues", "issue_comment.created"]),
        ("*.deleted", ["label.deleted", "release.deleted"], ["delete", "label.created"]),
        ("**", ["push", "issues.opened"], []),
    ],
)
def test_pattern_matches(pattern: str, matching: list[str], others: list[str]) -> None:
    assert [type_ for type_ in matching + others if wants([check_want(pattern)], type_)] == matching


@pytest.mark.parametrize(
    ("text", "expected", "fix"),
    [
        ("*", "an event and an action, as 'issues.opened', or '**'", "write '**', with whatever action."),
        ("push", "an event and an action, as 'issues.opened', or '**'", "write 'push.**', with whatever action."),
        ("a.*.**.b", "an event and an action at most, as 'issues.opened'", None),
        ("issues.", "a segment at position 7 of 'issues.'", "write 'issues'."),
        ("iss ues.*", "a word without spaces or control characters at position 3 of 'iss ues.*'", None),
    ],
)
def test_pattern_is_refused_when_no_event_could_match_it_or_few(text: str, expected: str, fix: str | None) -> None:
    with pytest.raises(WantError) as caught:
        check_want(text)
    assert (caught.value.expected, caught.value.fix) == (expected, fix)


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
