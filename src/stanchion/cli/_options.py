# SPDX-License-Identifier: MIT
"""The options that several commands take."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

Db: TypeAlias = Annotated[
    str | None,
    typer.Option("--db", metavar="URL", envvar="STANCHION_DB", help="The database, as in sqlite:///letters.db."),
]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON document, for programs.")]

OneId: TypeAlias = Annotated[
    str, typer.Argument(metavar="ID", show_default=False, help="The letter's id, or a beginning that only it has.")
]
Ids: TypeAlias = Annotated[
    list[str] | None,
    typer.Argument(metavar="ID", show_default=False, help="Ids, or beginnings that one letter has each."),
]

StateOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--state",
        metavar="STATE",
        help="Only letters in this state: waiting, retrying, exhausted, delivered or discarded. May be repeated.",
    ),
]
Recipient: TypeAlias = Annotated[
    str | None, typer.Option("--recipient", metavar="NAME", help="Only letters to this recipient.")
]
Reason: TypeAlias = Annotated[
    str | None, typer.Option("--reason", metavar="WORD", help="Only letters that last failed for this reason.")
]
TypeOption: TypeAlias = Annotated[
    str | None, typer.Option("--type", metavar="TYPE", help="Only letters with this stored type of message.")
]
Since: TypeAlias = Annotated[
    str | None,
    typer.Option("--since", metavar="TIME", help="Only letters added since: 2h (ago), 2026-03-01T09:30, @1772354000."),
]
Until: TypeAlias = Annotated[
    str | None, typer.Option("--until", metavar="TIME", help="Only letters added before; see --since.")
]
All: TypeAlias = Annotated[bool, typer.Option("--all", help="Every letter that it can be done to.")]
Yes: TypeAlias = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRun: TypeAlias = Annotated[bool, typer.Option("--dry-run", "-n", help="Only say how many letters there are.")]
