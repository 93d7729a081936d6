# SPDX-License-Identifier: MIT
"""Pages that are made from the code: one reference page a station, and the table of telemetry events."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from stanchion.telemetry import EVENTS

SOURCE = Path(__file__).resolve().parent.parent / "src" / "stanchion"
EVENTS_MARK = "<!-- events -->"


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
    """Put the table of events where a page asks for it."""
    return markdown.replace(EVENTS_MARK, events_table()) if EVENTS_MARK in markdown else markdown


def events_table() -> str:
    """Return the events, each with its measurements and metadata, as Markdown."""
    parts: list[str] = []
    for event in EVENTS:
        parts += [f"## `{'.'.join(event.name)}`", event.meaning, "| | key | meaning |\n|---|---|---|"]
        parts[-1] += "".join(_rows("measurement", event.measurements) + _rows("metadata", event.metadata))
    return "\n\n".join(parts)


def _rows(kind: str, keys: Mapping[str, str]) -> list[str]:
    return [f"\n| {kind} | `{key}` | {meaning} |" for key, meaning in keys.items()]
