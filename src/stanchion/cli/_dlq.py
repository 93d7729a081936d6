# SPDX-License-Identifier: MIT
"""``stanchion dlq``: look at dead letters. The commands that change them are in ``_dlq_verbs``."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated

import typer

from stanchion.cli import _json as for_programs
from stanchion.cli import _people as for_people
from stanchion.cli._database import letters_in
from stanchion.cli._dlq_files import export, import_
from stanchion.cli._dlq_verbs import discard, purge, replay, retry
from stanchion.cli._exit_codes import USAGE
from stanchion.cli._find import Filters, letter_of, pages
from stanchion.cli._options import AsJson, Db, OneId, Reason, Recipient, Since, StateOption, TypeOption, Until
from stanchion.dead_letters import DeadLetter, DeadLetterQueue, LetterFilter, Stats
from stanchion.errors import InvalidOptionError

dlq = typer.Typer(invoke_without_command=True, rich_markup_mode=None)


@dlq.callback()
def top(ctx: typer.Context) -> None:
    """Look at dead letters, and decide about them.

    Every command takes --db URL, or the environment variable STANCHION_DB. Opening a database brings its schema up to
    date, as a node does.
    """
    if ctx.invoked_subcommand is None:
        for_people.hint(ctx.get_help())
        raise typer.Exit(USAGE)


@dlq.command("list")
def list_(
    db: Db = None,
    state: StateOption = None,
    recipient: Recipient = None,
    reason: Reason = None,
    message_type: TypeOption = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="N", help="How many letters at most.")] = 100,
    all_: Annotated[bool, typer.Option("--all", help="Every letter, whatever --limit says.")] = False,
    cursor: Annotated[
        str | None, typer.Option("--cursor", metavar="CURSOR", help="Go on where another listing ended.")
    ] = None,
    newest_first: Annotated[bool, typer.Option("--newest-first", help="Turn the order round.")] = False,
    json: AsJson = False,
) -> None:
    """List letters, the oldest first."""
    now = time.time()
    wanted = Filters(state, recipient, reason, message_type, since, until).checked(now)
    listing = asyncio.run(_list(letters_in(db), wanted, cursor, None if all_ else limit, newest_first, json, now))
    if json:
        return
    count, next_cursor = listing
    if count == 0:
        for_people.hint("There are no such letters.")
    elif next_cursor is not None:
        for_people.hint(f"There are more: --cursor {next_cursor} goes on, --all lists every one.")


async def _list(
    queue: DeadLetterQueue,
    wanted: LetterFilter,
    cursor: str | None,
    limit: int | None,
    newest_first: bool,
    json: bool,
    now: float,
) -> tuple[int, str | None]:
    """Print the letters; return how many they were, and the cursor of the next."""
    count, next_cursor = 0, None
    async with queue:
        listing = for_programs.LetterListing() if json else for_people.LetterTable(now)
        async for letters, next_cursor in pages(  # noqa: B007 - the last one is returned
            queue, wanted, cursor=cursor, limit=limit, newest_first=newest_first
        ):
            listing.add(letters)
            count += len(letters)
    if isinstance(listing, for_programs.LetterListing):
        listing.end(next_cursor)
    return count, next_cursor


@dlq.command()
def show(id: OneId, db: Db = None, json: AsJson = False) -> None:
    """Show one letter: its message, its attempts, what its sender said, and which letters replay which.

    The message is shown as the data that is stored; no class of yours is imported.
    """
    if not id:
        raise InvalidOptionError("dlq show", expected="an id", got="''")
    letter, lineage = asyncio.run(_show(letters_in(db), id))
    if json:
        for_programs.write(for_programs.whole_letter_json(letter, lineage))
    else:
        for_people.show_letter(letter, lineage, time.time())


async def _show(queue: DeadLetterQueue, id: str) -> tuple[DeadLetter, tuple[DeadLetter, ...]]:
    async with queue:
        letter = await letter_of(queue, id)
        return letter, await queue.lineage(letter.id)


dlq.command()(retry)
dlq.command()(replay)
dlq.command()(discard)
dlq.command()(purge)
dlq.command()(export)
dlq.command("import")(import_)


@dlq.command()
def stats(db: Db = None, json: AsJson = False) -> None:
    """Count the letters in each state."""
    found = asyncio.run(_stats(letters_in(db)))
    if json:
        for_programs.write(for_programs.stats_json(found))
    else:
        for_people.show_stats(found, time.time())


async def _stats(queue: DeadLetterQueue) -> Stats:
    async with queue:
        return await queue.stats()
