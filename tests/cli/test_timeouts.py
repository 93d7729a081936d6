# SPDX-License-Identifier: MIT
"""``stanchion timeouts``: what it says, and how it ends."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.cli.commands import cli, cli_json

RULES = """
default = 2.0
environment = "ci"
maximum = 5

[environments]
ci = 4.0

[services]
inventory = 3.0

[operations]
reserve = 1
"""


@pytest.fixture(autouse=True)
def rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a file of rules in the current folder."""
    for variable in list(os.environ):
        if variable.startswith(("STANCHION_TIMEOUTS__", "STANCHION_ENVIRONMENT")):
            monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.toml").write_text(RULES)
    return tmp_path / "t.toml"


def test_explain_says_which_rule_counts_and_why() -> None:
    shown = cli("timeouts", "explain", "inventory", "reserve", "--file", "t.toml", "--deadline", "1.5")
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert shown.stdout == (
        "reserve to inventory: 1.5 s\n"
        "  rule      operation 'reserve' = 1 s (t.toml)\n"
        "  factor    4 (environment 'ci')\n"
        "  deadline  1.5 s left\n"
        "  not       service 'inventory' = 3 s (t.toml)\n"
        "  not       default = 2 s (t.toml)\n"
    )


def test_explain_takes_another_environment() -> None:
    shown = cli("timeouts", "explain", "inventory", "x", "--file", "t.toml", "--environment", "laptop")
    assert shown.stdout.splitlines()[:3] == [
        "x to inventory: 3 s",
        "  rule      service 'inventory' = 3 s (t.toml)",
        "  factor    1 (environment 'laptop')",
    ]


def test_explain_tells_programs_the_same() -> None:
    assert cli_json("timeouts", "explain", "inventory", "x", "--file", "t.toml") == {
        "server": "inventory",
        "request": "x",
        "limit": 5.0,
        "base": 3.0,
        "rule": {"kind": "service", "key": "inventory", "seconds": 3.0, "source": "t.toml"},
        "factor": 4.0,
        "environment": "ci",
        "minimum": None,
        "maximum": 5.0,
        "deadline": None,
        "losers": [{"kind": "default", "key": None, "seconds": 2.0, "source": "t.toml"}],
    }


def test_show_lists_every_rule() -> None:
    shown = cli("timeouts", "show", "--file", "t.toml")
    lines = [line.split() for line in shown.stdout.splitlines()]
    assert lines[:2] == [["RULE", "KEY", "SECONDS", "SOURCE"], ["operation", "reserve", "1", "t.toml"]]
    assert ["built-in", "stanchion.send", "30", "built-in"] in lines
    assert lines[-3:-1] == [["service", "inventory", "3", "t.toml"], ["default", "2", "t.toml"]]
    assert shown.stdout.splitlines()[-1] == "factor 4.0, environment ci, maximum 5.0, debugger 3600.0"


def test_show_tells_programs_the_same() -> None:
    told = cli_json("timeouts", "show", "--file", "t.toml")
    assert told["rules"][0] == {"kind": "operation", "key": "reserve", "seconds": 1.0, "source": "t.toml"}
    del told["rules"]
    assert told == {
        "file": "t.toml",
        "factor": 4.0,
        "environment": "ci",
        "minimum": None,
        "maximum": 5.0,
        "debugger": 3600.0,
        "watch": None,
    }


def test_environment_goes_before_the_file() -> None:
    shown = cli("timeouts", "show", "--file", "t.toml", STANCHION_TIMEOUTS__DEFAULT="9")
    assert "environment variable STANCHION_TIMEOUTS__DEFAULT" in shown.stdout


def test_nearest_pyproject_is_read_when_no_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.stanchion.timeouts]\ndefault = 7\n")
    assert cli("timeouts", "explain", "a", "b").stdout == "b to a: 7 s\n  rule      default = 7 s (pyproject.toml)\n"


def test_check_counts_the_rules_of_a_file_that_is_right(rules: Path) -> None:
    assert cli("timeouts", "check", "t.toml").stdout == "t.toml: 3 rules\n"
    rules.write_text("default = 1\n")
    assert cli("timeouts", "check", "t.toml").stdout == "t.toml: 1 rule\n"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (
            ["check", "t.toml"],
            "error: t.toml: default: expected seconds > 0 as a finite number, got '5s'\nFix: write 5.0.\n",
        ),
        (["show", "--file", "gone.toml"], "error: gone.toml: expected a file to read, got No such file or directory\n"),
        (
            ["explain", "a", "b", "--deadline", "-1"],
            (
                "error: TimeoutPolicy.explain(deadline): expected seconds >= 0 as a finite number, or a timedelta, "
                "got -1.0\n"
            ),
        ),
    ],
)
def test_mistake_ends_with_2(words: list[str], error: str, rules: Path) -> None:
    rules.write_text("default = '5s'\n")
    refused = cli("timeouts", *words)
    assert (refused.exit_code, refused.stdout, refused.stderr) == (2, "", error)


def test_timeouts_alone_shows_help_and_ends_with_2() -> None:
    shown = cli("timeouts")
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert "explain" in shown.stderr


def test_names_are_shown_without_steering_the_terminal() -> None:
    assert cli("timeouts", "explain", "a\x1b[2J", "b").stdout.startswith("b to a\\x1b[2J: 5 s\n")
    assert "\x1b" not in cli("timeouts", "show", "--environment", "a\x1b[2J").stdout


def test_json_is_one_document() -> None:
    assert json.loads(cli("timeouts", "explain", "a", "b", "--json").stdout)["limit"] == 5.0
