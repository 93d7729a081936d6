# SPDX-License-Identifier: MIT
"""The table of kept differences, and the page that is made of it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.conformance.differences import DIFFERENCES
from tests.conformance.page import PAGE, page
from tests.conformance.themes import SCENARIOS, THEMES


def test_each_difference_names_scenarios_that_exist_and_says_how_they_differ() -> None:
    shown = [(name, lines) for difference in DIFFERENCES for name, lines in difference.shown.items()]
    assert [name for name, lines in shown if name not in SCENARIOS or not lines.strip()] == []
    assert all(difference.shown for difference in DIFFERENCES)


def test_each_scenario_belongs_to_one_difference_at_most() -> None:
    counts = Counter(name for difference in DIFFERENCES for name in difference.shown)
    assert [name for name, count in counts.items() if count > 1] == []


def test_each_theme_has_the_name_of_its_file() -> None:
    files = {path.stem for path in Path(__file__).parent.glob("*.py") if f"{path.stem} = Theme(" in path.read_text()}
    assert {theme.name for theme in THEMES} == files


def test_page_is_made_of_the_table() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "Fix: python -m tests.conformance.page"
