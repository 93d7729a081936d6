# SPDX-License-Identifier: MIT
"""Makes docs/explanation/differences-from-otp.md of the table in ``differences.py``: ``python -m tests.conformance.page``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.conformance.differences import DIFFERENCES, Difference, expected_difference
from tests.conformance.themes import SCENARIOS

PAGE: Final = Path(__file__).resolve().parents[2] / "docs/explanation/differences-from-otp.md"

_INTRODUCTION: Final = """\
<!-- Generated from tests/conformance/differences.py by `python -m tests.conformance.page`; do not edit. -->
# Differences from OTP

Stanchion follows Erlang/OTP, and, where OTP has no such thing, Elixir. This is tested: {count} scenarios run on Stanchion,
in virtual time, and on the real Erlang/OTP and Elixir, and their traces are compared event by event. Where the two
differ, we keep the difference on purpose, and it is a row of this page, which is made of the table that the tests use.

Three things are translated and not listed. An error result, or an exit of the calling process, is an exception:
`exit(noproc)` of `gen_server:call` is a `CallExitError` whose reason is `"noproc"`. Milliseconds are seconds. A crash is
`{{boom, Stack}}` there, and the exception here. What differs underneath is in [Coming from OTP](coming-from-otp.md).
"""

_SHOWN: Final = """\
## What the scenarios show

Each line is an event, with the number of the step that led to it and the process that tells it: `-` comes on Erlang/OTP
only, `+` on Stanchion only.
"""


def page() -> str:
    """Return the text of the page."""
    table = ["| | Erlang/OTP | Stanchion | Why |", "|---|---|---|---|"]
    table += [f"| {row.about} | {row.otp} | {row.stanchion} | {row.reason} |".replace("\n", " ") for row in DIFFERENCES]
    shown = [line for row in DIFFERENCES for line in _shown(row)]
    return "\n".join([_INTRODUCTION.format(count=len(SCENARIOS)), *table, "", _SHOWN, *shown]).rstrip() + "\n"


def _shown(row: Difference) -> Iterator[str]:
    yield f"### {row.about}"
    yield ""
    for name in row.shown:
        yield f"`{name}`: {SCENARIOS[name].rule}"
        yield ""
        yield "```diff"
        yield expected_difference(name)
        yield "```"
        yield ""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
