# SPDX-License-Identifier: MIT
from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.cli.commands import Fill, cli, cli_json, id_of, letter


def ids(document: dict[str, list[dict[str, str]]]) -> list[str]:
    return [entry["id"] for entry in document["letters"]]


def test_list_shows_a_row_a_letter_oldest_first(fill: Fill) -> None:
    url = fill(letter(2, recipient="inventory", reason="down", attempt_count=3), letter(1))
    assert cli("dlq", "list", "--db", url).stdout.splitlines() == [
        "ID                                    STATE      RECIPIENT  TYPE  REASON  TRIES  ADDED                NEXT",
        "019cb001-0000-7000-8000-000000000000  exhausted  mail       data  noproc      0  2026-03-01 12:00:01  -   ",
        "019cb002-0000-7000-8000-000000000000  exhausted  inventory  data  down        3  2026-03-01 12:00:02  -   ",
    ]


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"state": "waiting", "next_attempt_at": 330}, "in 5 min"),
        ({"state": "waiting", "next_attempt_at": -9}, "due"),
        ({"state": "retrying", "claimed_by": "node", "claimed_until": 60}, "now"),
        ({"state": "delivered"}, "-"),
    ],
)
def test_list_says_when_a_letter_is_sent_next(fill: Fill, fields: dict[str, Any], shown: str) -> None:
    fields = {key: time.time() + value if isinstance(value, int) else value for key, value in fields.items()}
    assert cli("dlq", "list", "--db", fill(letter(1, **fields))).stdout.rstrip().endswith(f"12:00:01  {shown}")


def test_list_keeps_ids_and_ages_whole_when_the_terminal_has_80_columns(fill: Fill) -> None:
    url = fill(letter(1, recipient="a-recipient-with-a-long-name", created_at=time.time() - 7300))
    heading, row = cli("dlq", "list", "--db", url, COLUMNS="80").stdout.splitlines()
    assert heading.split() == ["ID", "STATE", "RECIPIENT", "REASON", "AGE"]
    assert row.split() == [id_of(1), "exhausted", "a-recipient-…", "noproc", "2", "h"]
    assert len(row) <= 80


def test_list_takes_two_lines_a_letter_when_the_terminal_is_narrow(fill: Fill) -> None:
    url = fill(letter(1, created_at=time.time() - 7300))
    shown = cli("dlq", "list", "--db", url, COLUMNS="40").stdout
    assert shown == f"{id_of(1)}\n  exhausted  mail  noproc  2 h ago\n"


def test_list_has_colours_on_a_terminal_only_and_none_with_no_color(fill: Fill) -> None:
    url = fill(letter(1))
    assert "\x1b[" not in cli("dlq", "list", "--db", url).stdout
    assert "\x1b[31mexhausted" in cli("dlq", "list", "--db", url, FORCE_COLOR="1", TERM="xterm").stdout
    assert "\x1b[31m" not in cli("dlq", "list", "--db", url, FORCE_COLOR="1", TERM="xterm", NO_COLOR="1").stdout


def test_list_shows_control_characters_and_markup_as_they_are(fill: Fill) -> None:
    shown = cli("dlq", "list", "--db", fill(letter(1, recipient="\x1b[31m[red]:smile:\n\u202e"))).stdout
    assert r"\x1b[31m[red]:smile:\n\u202e" in shown


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], [1, 2, 3, 4]),
        (["--state", "waiting"], [2]),
        (["--state", "waiting", "--state", "delivered"], [2, 3]),
        (["--recipient", "inventory"], [4]),
        (["--reason", "down"], [3]),
        (["--type", "shop.Reserve"], [2]),
        (["--since", "2026-03-01T12:00:03"], [3, 4]),
        (["--since", "2026-03-01T13:00:03+01:00"], [3, 4]),
        (["--until", "@1772366403"], [1, 2]),
        (["--since", "1h"], []),
        (["--until", "1h"], [1, 2, 3, 4]),
        (["--newest-first"], [4, 3, 2, 1]),
        (["--cursor", id_of(2)], [3, 4]),
    ],
)
def test_list_shows_the_letters_that_fit(fill: Fill, options: list[str], expected: list[int]) -> None:
    url = fill(
        letter(1),
        letter(2, state="waiting", message_type="shop.Reserve"),
        letter(3, state="delivered", reason="down"),
        letter(4, recipient="inventory"),
    )
    assert ids(cli_json("dlq", "list", "--db", url, *options)) == [id_of(number) for number in expected]


def test_list_says_how_to_go_on_when_there_are_more(fill: Fill) -> None:
    url = fill(*map(letter, (1, 2, 3)))
    shown = cli("dlq", "list", "--db", url, "--limit", "2")
    assert len(shown.stdout.splitlines()) == 3
    assert shown.stderr == f"There are more: --cursor {id_of(2)} goes on, --all lists every one.\n"
    assert cli_json("dlq", "list", "--db", url, "--limit", "2")["next_cursor"] == id_of(2)
    assert cli_json("dlq", "list", "--db", url, "--limit", "3")["next_cursor"] is None


def test_list_shows_every_letter_once_when_it_takes_several_pages(fill: Fill) -> None:
    url = fill(*(letter(0, id=f"019cb000-0000-7000-8000-{number:012}") for number in range(2500)))
    listed = cli_json("dlq", "list", "--db", url, "--all")
    assert len(set(ids(listed))) == len(ids(listed)) == 2500
    assert len(ids(cli_json("dlq", "list", "--db", url, "--limit", "1500"))) == 1500
    lines = cli("dlq", "list", "--db", url, "--all").stdout.splitlines()
    assert len(lines) == 2501
    assert len({line.index("exhausted") for line in lines[1:]}) == 1


def test_list_ends_well_when_there_is_nothing(fill: Fill) -> None:
    url = fill()
    shown = cli("dlq", "list", "--db", url)
    assert (shown.exit_code, shown.stdout, shown.stderr) == (0, "", "There are no such letters.\n")
    assert cli_json("dlq", "list", "--db", url) == {"letters": [], "next_cursor": None}


def test_list_as_json_has_the_keys_that_are_promised(fill: Fill) -> None:
    url = fill(letter(1, {"sku": "ä"}, metadata={"tenant": "acme"}))
    [entry] = json.loads(cli("dlq", "list", "--json", STANCHION_DB=url).stdout)["letters"]
    assert entry == {
        "id": id_of(1), "state": "exhausted", "recipient": "mail", "message_type": "data", "version": 1,
        "preview": "{'sku': 'ä'}", "reason": "noproc", "error": None, "attempt_count": 0, "redeliveries": 0,
        "next_attempt_at": None, "created_at": 1772366401.0, "updated_at": 1772366401.0, "claimed_by": None,
        "claimed_until": None, "replayable": True, "redeliverable": True, "replay_of": None, "note": None,
        "message_id": None, "trace_id": None, "span_id": None, "metadata": {"tenant": "acme"}, "attempts": [],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--state", "exhaust"], "got 'exhaust'\nFix: write 'exhausted'."),
        (["--since", "yesterday"], "error: --since: expected a time such as 2h (ago), 2026-03-01"),
        (["--until", "@soon"], "error: --until: expected a time"),
        (["--limit", "0"], "error: stanchion dlq list: Invalid value for '--limit'"),
        (["--sate", "waiting"], "No such option: --sate"),
    ],
)
def test_list_says_what_is_wrong_with_an_option(fill: Fill, options: list[str], error: str) -> None:
    refused = cli("dlq", "list", "--db", fill(), *options)
    assert refused.exit_code == 2
    assert error in refused.stderr
