# SPDX-License-Identifier: MIT
"""What is made for the pages: one reference page a station, the table of telemetry events, and tables of figures."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from stanchion.telemetry import EVENTS

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parent / "src" / "stanchion"
FIGURES = HERE / "figures"


def stations() -> list[str]:
    """Return the public stations that have a front, sorted."""
    packages = (path.parent.name for path in SOURCE.glob("*/__init__.py"))
    modules = (path.stem for path in SOURCE.glob("*.py"))
    return sorted(name for name in (*packages, *modules) if not name.startswith("_"))


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the stations to the navigation."""
    reference = next(entry["Reference"] for entry in config.nav or [] if "Reference" in entry)
    reference[:0] = [{f"stanchion.{name}": f"reference/{name}.md"} for name in stations()]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each station."""
    for name in stations():
        content = f"# stanchion.{name}\n\n::: stanchion.{name}\n"
        files.append(File.generated(config, f"reference/{name}.md", content=content))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put each table where a page asks for it."""
    for mark, made in TABLES.items():
        if mark in markdown:
            markdown = markdown.replace(mark, made())
    return markdown


def events_table() -> str:
    """Return the events, each with its measurements and metadata, as Markdown."""
    parts: list[str] = []
    for event in EVENTS:
        parts += [f"## `{'.'.join(event.name)}`", event.meaning, "| | key | meaning |\n|---|---|---|"]
        parts[-1] += "".join(_rows("measurement", event.measurements) + _rows("metadata", event.metadata))
    return "\n\n".join(parts)


def _rows(kind: str, keys: Mapping[str, str]) -> list[str]:
    return [f"\n| {kind} | `{key}` | {meaning} |" for key, meaning in keys.items()]


def budgets_table() -> str:
    """Return what ``make bench`` measured, as Markdown."""
    head = "| | loop | ours | floor | ratio | first target | goal |\n|---|---|--:|--:|--:|--:|--:|"
    return "\n".join([head, *(_budget(row) for row in _figures("bench"))])


def peers_table() -> str:
    """Return what ``make bench-peers`` measured, as Markdown: a line for each library, a column for each job."""
    lines = _figures("peers")
    jobs = {line["job"]: line["work"] for line in lines}
    subjects = {line["subject"]: line["version"] for line in lines}
    cells = {(line["subject"], line["job"]): _peer(line) for line in lines}
    head = "| | " + " | ".join(jobs.values()) + " |\n|---|" + "--:|" * len(jobs)
    rows = [
        f"| {subject} {version} | " + " | ".join(cells[subject, job] for job in jobs) + " |"
        for subject, version in subjects.items()
    ]
    return "\n".join([head, *rows])


def profile_table() -> str:
    """Return where the time of a call goes, as Markdown."""
    profiles = _figures("profile")
    parts = list(dict.fromkeys(part for profile in profiles for part in profile["shares"]))
    head = "| | " + " | ".join(f"{profile['callers']} at once" for profile in profiles) + " |\n|---|"
    rows = [
        f"| {part} | " + " | ".join(f"{profile['shares'].get(part, 0):.0f} %" for profile in profiles) + " |"
        for part in parts
    ]
    return "\n".join([head + "--:|" * len(profiles), *rows])


def crash_table() -> str:
    """Return what ``python -m tests.crash`` came to, as Markdown: a line for each campaign."""
    head = "| | store | kills | promises | under way | handled again | promises broken |\n|---|---|--:|--:|--:|--:|--:|"
    return "\n".join([head, *(_campaign(line) for line in _figures("crash"))])


def _campaign(line: dict[str, Any]) -> str:
    counts = (line["kills"], line["promised"], line["undecided"], line["duplicates"], len(line["problems"]))
    return f"| {line['target']} | {line['store']} | " + " | ".join(f"{count:,}" for count in counts) + " |"


def _budget(row: dict[str, Any]) -> str:
    def number(value: float | None) -> str:
        return "" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"

    ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
    cells = (number(row["value"]) + " " + row["unit"], number(row["floor"]), ratio)
    return (
        "| " + " | ".join([row["name"], row["loop"], *cells, number(row["first_target"]), number(row["goal"])]) + " |"
    )


def _peer(line: dict[str, Any]) -> str:
    return "missing" if line["rate"] is None else f"{line['ratio']:.2f} ({line['rate']:,.0f}/s)"


def _figures(name: str) -> list[dict[str, Any]]:
    figures: list[dict[str, Any]] = json.loads((FIGURES / f"{name}.json").read_text(encoding="utf-8"))
    return figures


TABLES: Mapping[str, Callable[[], str]] = {
    "<!-- events -->": events_table,
    "<!-- figures: bench -->": budgets_table,
    "<!-- figures: crash -->": crash_table,
    "<!-- figures: peers -->": peers_table,
    "<!-- figures: profile -->": profile_table,
}
