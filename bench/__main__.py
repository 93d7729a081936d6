# SPDX-License-Identifier: MIT
"""The command: ``python -m bench``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from bench._budgets import BUDGETS
from bench._loops import LOOPS
from bench._runner import rows
from bench._table import table

_RESULTS = Path(__file__).with_name("results.json")


def main() -> None:
    """Measure, print the table and write the JSON."""
    arguments = _parser().parse_args()
    names = [name for name in BUDGETS if not arguments.only or any(word in name for word in arguments.only)]
    if not names:
        words = ", ".join(repr(word) for word in arguments.only)
        raise SystemExit("\n  ".join((f"--only: expected a part of one of these names, got {words}", *BUDGETS)))
    results = list(rows(names, arguments.loop or list(LOOPS), quick=arguments.quick))
    print(table(results))
    text = json.dumps([row._asdict() for row in results], indent=2)
    arguments.json.write_text(text + "\n", encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m bench", description="Measure each budget beside its floor.")
    parser.add_argument("--quick", action="store_true", help="only see that it runs; the figures mean nothing")
    parser.add_argument("--only", action="append", metavar="NAME", help="what has NAME in its name; may be repeated")
    parser.add_argument("--loop", action="append", choices=list(LOOPS), help="only this event loop; may be repeated")
    parser.add_argument("--json", type=Path, default=_RESULTS, metavar="FILE", help="where the rows go as JSON")
    return parser


if __name__ == "__main__":
    main()
