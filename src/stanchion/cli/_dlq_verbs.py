# SPDX-License-Identifier: MIT
"""``stanchion dlq retry``, ``replay``, ``discard`` and ``purge``: decide about letters."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from itertools import zip_longest
from typing import Annotated, Final, NamedTuple

import msgspec
import typer

from stanchion.cli import _json as for_programs
from stanchion.cli import _people as for_people
from stanchion.cli._change import Changed, agree, change, count_text, fitting, named, selection_text
from stanchion.cli._database import letters_in
from stanchion.cli._exit_codes import FAILED
from stanchion.cli._find import Filters
from stanchion.cli._options import (
    All,
    AsJson,
    Db,
    DryRun,
    Ids,
    Reason,
    Recipient,
    Since,
    StateOption,
    TypeOption,
    Until,
    Yes,
)
from stanchion.cli._payload import Json
from stanchion.cli._times import duration
from stanchion.dead_letters import BulkResult, DeadLetterQueue, Key, Selection, State
from stanchion.errors import InvalidOptionError

_OPEN: Final[tuple[State, ...]] = ("waiting", "exhausted")
_SETTLED: Final[tuple[State, ...]] = ("delivered", "discarded")
_THIRD_PERSON: Final = {"retry": "retries", "replay": "replays", "discard": "discards"}
_WHO_SENDS: Final = "The node that runs on this database sends what is due, within its poll interval (1 s by default)."


class _Verb(NamedTuple):
    """A verb on single letters.

    Attributes:
        name: Of the command.
        past: Of the results.
        states: What it can be done to.
        can_be: Whether it can be done to a letter in such a state.
        do: Does it.
        asks: Whether it asks even for letters that were named.
        after: What to say afterwards.
    """

    name: str
    past: str
    states: tuple[State, ...]
    can_be: Callable[[Key], bool]
    do: Callable[[Selection], Awaitable[BulkResult]]
    asks: bool
    after: str | None


class _How(NamedTuple):
    """The options that say how a command goes about it."""

    all: bool
    yes: bool
    dry_run: bool
    json: bool


# --- the commands ----------------------------------------------------------------------------------


def retry(
    ids: Ids = None,
    db: Db = None,
    all_: All = False,
    state: StateOption = None,
    recipient: Recipient = None,
    reason: Reason = None,
    message_type: TypeOption = None,
    since: Since = None,
    until: Until = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    json: AsJson = False,
) -> None:
    """Make letters due now.

    Waiting and exhausted letters get all their attempts anew. Name the letters, or choose them by --all or filters;
    then it says how many and asks. Nothing is sent by this command: the node that runs on the database sends what is due.
    """
    verb = _Verb("retry", "retried", _OPEN, _can_be_retried, Selection.retry, asks=False, after=_WHO_SENDS)
    filters = Filters(state, recipient, reason, message_type, since, until)
    _run(verb, ids, db, filters, _How(all_, yes, dry_run, json))


def replay(
    ids: Ids = None,
    db: Db = None,
    to: Annotated[
        str | None, typer.Option("--to", metavar="NAME", help="Send to this name, and not to the same recipient.")
    ] = None,
    all_: All = False,
    state: StateOption = None,
    recipient: Recipient = None,
    reason: Reason = None,
    message_type: TypeOption = None,
    since: Since = None,
    until: Until = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    json: AsJson = False,
) -> None:
    """Send messages again, as new letters.

    The new letters are due now. Name the letters, or choose them by --all or filters; then it says how many and asks.
    A letter that was waiting or exhausted is discarded by it. Delivered and discarded letters can be replayed too: name
    them, or add --state.
    """

    def can_be(key: Key) -> bool:
        return key.replayable and (key.redeliverable or to is not None)

    def do(selection: Selection) -> Awaitable[BulkResult]:
        return selection.replay(to)

    verb = _Verb("replay", "replayed", (*_OPEN, *_SETTLED), can_be, do, asks=False, after=_WHO_SENDS)
    # Without a word about it, what was delivered is not sent again.
    filters = Filters(state or (None if ids else list(_OPEN)), recipient, reason, message_type, since, until)
    _run(verb, ids, db, filters, _How(all_, yes, dry_run, json), filtered=bool(state) or any(filters[1:]))


def discard(
    ids: Ids = None,
    db: Db = None,
    why: Annotated[str | None, typer.Option("--why", metavar="TEXT", help="What to note on each letter.")] = None,
    all_: All = False,
    state: StateOption = None,
    recipient: Recipient = None,
    reason: Reason = None,
    message_type: TypeOption = None,
    since: Since = None,
    until: Until = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    json: AsJson = False,
) -> None:
    """Give letters up.

    Waiting and exhausted letters become discarded; they stay visible until they are purged. Name the letters, or choose
    them by --all or filters. It says how many and asks.
    """

    def do(selection: Selection) -> Awaitable[BulkResult]:
        return selection.discard(why=why)

    verb = _Verb("discard", "discarded", _OPEN, _any, do, asks=True, after=None)
    filters = Filters(state, recipient, reason, message_type, since, until)
    _run(verb, ids, db, filters, _How(all_, yes, dry_run, json))


def purge(
    db: Db = None,
    older_than: Annotated[
        str | None,
        typer.Option("--older-than", metavar="DURATION", help="Only letters that did not change for so long: 30d."),
    ] = None,
    state: StateOption = None,
    recipient: Recipient = None,
    reason: Reason = None,
    message_type: TypeOption = None,
    since: Since = None,
    until: Until = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    json: AsJson = False,
) -> None:
    """Delete letters for good.

    Only delivered and discarded ones, unless --state says otherwise. It says how many and asks. To have nothing to delete is no failure.
    """
    now = time.time()
    before = None if older_than is None else now - duration("--older-than", older_than)
    wanted = Filters(state, recipient, reason, message_type, since, until).checked(now)
    states = _within("purge", wanted.states, (*_OPEN, *_SETTLED)) or _SETTLED
    queue = letters_in(db)
    chosen = asyncio.run(fitting(queue, msgspec.structs.replace(wanted, state=states, changed_before=before)))
    if dry_run or not chosen.count:
        _say_only("purge", chosen, 0, json=json, dry_run=dry_run)
        return
    agree("purge", f"This deletes {selection_text(chosen)} for good.", yes=yes)
    done, _, failed, stopped = asyncio.run(change(queue, chosen, Selection.purge))
    if json:
        for_programs.write({"purged": len(done)})
    else:
        print(f"Deleted {count_text(len(done))}.")
    if failed:
        for_people.hint(f"{count_text(len(failed))} changed since the count, and stayed.")
    if stopped is not None:
        raise stopped


def _any(key: Key) -> bool:
    return True


def _can_be_retried(key: Key) -> bool:
    return key.replayable and key.redeliverable


# --- how they go about it --------------------------------------------------------------------------


def _run(
    verb: _Verb, ids: list[str] | None, db: str | None, filters: Filters, how: _How, *, filtered: bool | None = None
) -> None:
    filtered = any(filters) if filtered is None else filtered
    if ids and (filtered or how.all):
        raise InvalidOptionError(
            f"dlq {verb.name}", expected="ids, or a filter", got="both", fix="leave one of the two out."
        )
    if not (ids or filtered or how.all):
        raise InvalidOptionError(
            f"dlq {verb.name}",
            expected="ids, a filter such as --reason noproc, or --all",
            got="none of them",
            fix="stanchion dlq list shows the ids.",
        )
    queue = letters_in(db)
    chosen, left_out = _chosen(verb, ids, queue, filters)
    if how.dry_run or not chosen.count:
        _say_only(verb.name, chosen, left_out, json=how.json, dry_run=how.dry_run)
        if not chosen.count:
            raise typer.Exit(FAILED)
        return
    if verb.asks or not ids:
        announcement = f"This {_THIRD_PERSON[verb.name]} {selection_text(chosen)}.{_left_out_text(left_out)}"
        agree(verb.name, announcement, yes=how.yes)
    _report(verb, asyncio.run(change(queue, chosen, verb.do)), json=how.json)


def _chosen(verb: _Verb, ids: list[str] | None, queue: DeadLetterQueue, filters: Filters) -> tuple[Selection, int]:
    """Return the letters to change, and how many fit and cannot be changed so."""
    if ids:
        return asyncio.run(named(queue, ids)), 0
    wanted = filters.checked(time.time())
    states = _within(verb.name, wanted.states, verb.states) or verb.states
    fit = asyncio.run(fitting(queue, msgspec.structs.replace(wanted, state=states)))
    able = fit.where(verb.can_be)
    return able, fit.count - able.count


def _within(verb: str, states: tuple[State, ...], able: tuple[State, ...]) -> tuple[State, ...]:
    for state in states:
        if state not in able:
            raise InvalidOptionError(
                f"dlq {verb} --state", expected="one of " + ", ".join(able), got=state, fix="choose among these."
            )
    return states


def _left_out_text(count: int) -> str:
    if not count:
        return ""
    fit = "fits" if count == 1 else "fit"
    return f" {count} more {fit}, and cannot be sent: it went to a pid, or its message is no data."


def _say_only(name: str, chosen: Selection, left_out: int, *, json: bool, dry_run: bool) -> None:
    """Say what would be done, where nothing is."""
    if json:
        for_programs.write({"dry_run": dry_run, "count": chosen.count, "left_out": left_out})
    elif chosen.count:
        print(f"This would {name} {selection_text(chosen)}; nothing was changed.{_left_out_text(left_out)}")
    else:
        for_people.hint("There are no such letters; nothing was changed.")


def _report(verb: _Verb, changed: Changed, *, json: bool) -> None:
    done, replayed_as, failed, stopped = changed
    if json:
        problems: list[Json] = [{"id": id, "error": error} for id, error in failed]
        for_programs.write({verb.past: _results(done, replayed_as), "failed": problems})
    else:
        for id, new_id in zip_longest(done, replayed_as):
            print(f"{verb.past} {id}" + (f" as {new_id}" if new_id else ""))
        if len(done) > 1:
            for_people.hint(f"{count_text(len(done))} {verb.past}.")
    for _, error in failed:
        for_people.hint(f"error: {error}")
    if done and verb.after and not json:
        for_people.hint(verb.after)
    if stopped is not None:
        raise stopped
    if failed:
        raise typer.Exit(FAILED)


def _results(done: tuple[str, ...], replayed_as: tuple[str, ...]) -> list[Json]:
    if replayed_as:
        return [{"id": id, "new_id": new_id} for id, new_id in zip(done, replayed_as, strict=True)]
    return list(done)
