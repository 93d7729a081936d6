# SPDX-License-Identifier: MIT
"""The command: ``python -m tests.crash``."""

from __future__ import annotations

import argparse
import importlib
import os
import tempfile
from pathlib import Path
from typing import Final

import msgspec

from tests.crash import campaign
from tests.crash.campaign import Plan, Result
from tests.crash.databases import ExaminedDatabase, ExaminedPostgres, ExaminedSqlite
from tests.crash.faults import FAULTS
from tests.crash.letters import Letters
from tests.crash.migration import Migration
from tests.crash.outbox import OutboxOfMessages
from tests.crash.redelivery import RedeliveryOfLetters
from tests.crash.schedules import PersistentSchedules
from tests.crash.signals import DurableSubscriptions
from tests.crash.target import Target

TARGETS: Final[dict[str, Target]] = {
    "dead letters": Letters(),
    "redelivery": RedeliveryOfLetters(),
    "migration": Migration(),
    "outbox": OutboxOfMessages(),
    "persistent schedules": PersistentSchedules(),
    "durable subscriptions": DurableSubscriptions(),
}
STORES: Final = ("sqlite", "postgresql")

LOADED: Final = (
    "alembic.autogenerate",
    "alembic.command",
    "asyncpg",
    "stanchion.delivery._durable",
    "stanchion.scheduler._persistent",
    "stanchion.router._durable",
    "stanchion.storage.databases.postgres",
)
"""What processes would load by themselves; here it is loaded once for all that are forked."""


def main() -> None:
    """Run the campaigns that are asked for, print what each came to, and fail when a promise was broken."""
    arguments = _parser().parse_args()
    for name in LOADED:
        importlib.import_module(name)
    results = [
        _run(store, name, arguments)
        for store in arguments.store or _available()
        for name in arguments.target or TARGETS
    ]
    if arguments.json is not None:
        text = msgspec.json.format(msgspec.json.encode(results), indent=2).decode()
        arguments.json.write_text(text + "\n", encoding="utf-8")
    if any(result.problems for result in results):
        raise SystemExit(1)


def _run(store: str, name: str, arguments: argparse.Namespace) -> Result:
    folder = Path(tempfile.mkdtemp(prefix="stanchion-crash-"))

    def database(number: int) -> ExaminedDatabase:
        if store == "sqlite":
            return ExaminedSqlite(folder, number)
        return ExaminedPostgres(os.environ["STANCHION_TEST_POSTGRES"], number)

    target, fault = TARGETS[name], FAULTS[arguments.fault]
    result = campaign.run(Plan(name, target, store, database, folder, arguments.kills, arguments.seed, fault))
    print(
        f"{store}, {name}: {result.kills} kills in {result.seconds:.0f} s (seed {result.seed}); "
        f"{result.promised} promises looked after, {result.undecided} calls under way, "
        f"{result.duplicates} handled again; {len(result.problems)} problems",
        flush=True,
    )
    for problem in result.problems:
        print(f"  {problem}")
    if result.problems:
        print(f"  what is left of it is in {folder}", flush=True)
    else:
        folder.rmdir()
    return result


def _available() -> tuple[str, ...]:
    return STORES if "STANCHION_TEST_POSTGRES" in os.environ else ("sqlite",)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tests.crash", description="Kill processes by hundreds, and look for what they lost."
    )
    add = parser.add_argument
    add("--kills", type=int, default=150, help="how many processes of each target are killed, on each store")
    add("--store", action="append", choices=STORES, help="only this store; may be repeated")
    add("--target", action="append", choices=list(TARGETS), help="only this target; may be repeated")
    add("--seed", type=int, default=1, help="where each random choice comes from")
    add("--fault", default="none", choices=list(FAULTS), help="break the code first, to see that it is found")
    add("--json", type=Path, metavar="FILE", help="where the results go as JSON")
    return parser


if __name__ == "__main__":
    main()
