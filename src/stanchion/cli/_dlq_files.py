# SPDX-License-Identifier: MIT
"""``stanchion dlq export`` and ``import``: letters as lines of JSON."""

from __future__ import annotations

import asyncio
import shutil
import sys
import time
from tempfile import TemporaryFile
from typing import Annotated, TypeAlias

import typer

from stanchion.cli import _json as for_programs
from stanchion.cli._change import count_text
from stanchion.cli._database import letters_in
from stanchion.cli._find import Filters
from stanchion.cli._options import AsJson, Db, Reason, Recipient, Since, StateOption, TypeOption, Until
from stanchion.cli._people import hint
from stanchion.dead_letters import DeadLetterQueue, Imported, LetterFile, LetterFilter

_File: TypeAlias = Annotated[str, typer.Argument(metavar="FILE", show_default=False, help="The file; - for a pipe.")]


def export(
    file: _File,
    db: Db = None,
    state: StateOption = None,
    recipient: Recipient = None,
    reason: Reason = None,
    message_type: TypeOption = None,
    since: Since = None,
    until: Until = None,
) -> None:
    """Write letters to a file that is not there yet, one a line.

    All of them, or those that fit the filters. Nothing is changed in the database.
    """
    wanted = Filters(state, recipient, reason, message_type, since, until).checked(time.time())
    count = asyncio.run(_export(letters_in(db), sys.stdout.buffer if file == "-" else file, wanted))
    hint(f"{count_text(count)} exported.")


async def _export(queue: DeadLetterQueue, file: LetterFile, wanted: LetterFilter) -> int:
    async with queue:
        return await queue.export(file, wanted)


def import_(file: _File, db: Db = None, json: AsJson = False) -> None:
    """Store the letters of an exported file.

    They come as they were then; those whose ids are there already are skipped. When a line is wrong, none is stored.
    """
    queue = letters_in(db)
    if file == "-":
        with TemporaryFile() as copy:  # a pipe cannot be read twice
            shutil.copyfileobj(sys.stdin.buffer, copy)
            copy.seek(0)
            done = asyncio.run(_import(queue, copy))
    else:
        done = asyncio.run(_import(queue, file))
    if json:
        for_programs.write({"imported": done.imported, "skipped": done.skipped})
    else:
        print(f"{count_text(done.imported)} imported, {done.skipped} skipped.")


async def _import(queue: DeadLetterQueue, file: LetterFile) -> Imported:
    async with queue:
        return await queue.import_(file)
