# SPDX-License-Identifier: MIT
"""The command: ``python -m examples.relay.demo [--events FILE]``; exits with 1 if anything was lost."""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from pathlib import Path

from examples.relay.demo.scenario import Scenario
from examples.relay.demo.source import read_webhooks

_OURS = Path(__file__).resolve().parent.parent / "events.jsonl"


def main() -> int:
    """Run the demo in a folder of its own, which is removed."""
    arguments = _parser().parse_args()
    with tempfile.TemporaryDirectory(prefix="relay-demo-") as folder:
        source = random.Random(arguments.seed)
        try:
            webhooks = read_webhooks(arguments.events, source)
        except (OSError, ValueError) as error:
            print(f"--events: expected a JSONL file of events, got {arguments.events}: {error}", file=sys.stderr)
            return 2
        try:
            log = arguments.log or Path(folder, "relay.log")
            scenario = Scenario(webhooks, f"sqlite:///{folder}/relay.db", str(log.resolve()), source)
            return 0 if asyncio.run(scenario.run()) else 1
        except KeyboardInterrupt:
            return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m examples.relay.demo", description="See the relay at work.")
    parser.add_argument("--events", type=Path, default=_OURS, metavar="FILE", help="a JSONL file; default: ours")
    parser.add_argument("--seed", type=int, default=1, help="of everything that is random; default: 1")
    parser.add_argument("--log", type=Path, metavar="FILE", help="keep the log")
    return parser


if __name__ == "__main__":
    sys.exit(main())
