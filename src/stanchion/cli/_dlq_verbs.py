# SPDX-License-Identifier: MIT
"""``stanchion dlq retry``, ``replay``, ``discard`` and ``purge``: decide about letters."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Final, NamedTuple

import msgspec
import typer

from stanchion.cli import _json as for_programs
from stanchion.cli import _people as for_people
from stanchion.cli._change import Changed, Chosen, agree, change, count_text, fitting, named
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
from stanchion.dead_letters import DeadLetter, DeadLetterQueue, LetterFilter, State
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
        can_be: Whether it can be done to a letter in such a state; None when to all of them.
        do: Does it.
        asks: Whether it asks even for letters that were named.
        after: What to say afterwards.
    """

    name: str
    past: str
    states: tuple[State, ...]
    can_be: Callable[[DeadLetter], bool] | None
    do: Callable[[DeadLetterQueue, str], Awaitable[object]]
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
    verb = _Verb("retry", "retried", _OPEN, _can_be_retried, _retry, asks=False, after=_WHO_SENDS)
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

    def can_be(letter: DeadLetter) -> bool:
        return letter.replayable and (letter.redeliverable or to is not None)

    async def do(queue: DeadLetterQueue, id: str) -> str:
        return await queue.replay(id, to)

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

    async def do(queue: DeadLetterQueue, id: str) -> DeadLetter:
        return await queue.discard(id, why=why)

    verb = _Verb("discard", "discarded", _OPEN, None, do, asks=True, after=None)
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
    before = now - (0.0 if older_than is None else duration("--older-than", older_than))
    wanted = Filters(state, recipient, reason, message_type, since, until).checked(now)
    wanted = msgspec.structs.replace(wanted, state=_within("purge", wanted.states, (*_OPEN, *_SETTLED)) or _SETTLED)

    def old_enough(letter: DeadLetter) -> bool:
        return letter.updated_at < before

    chosen = asyncio.run(fitting(letters_in(db), wanted, old_enough))
    chosen = chosen._replace(left_out=0)  # those that are not old enough are not missing
    if dry_run or not chosen.ids:
        _say_only("purge", chosen, json=json, dry_run=dry_run)
        return
    agree("purge", f"This deletes {chosen.text} for good.", yes=yes)
    # A letter that changed since it was counted is not older than this, and stays.
    deleted = asyncio.run(_purge(letters_in(db), wanted, before))
    if json:
        for_programs.write({"purged": deleted})
    else:
        print(f"Deleted {count_text(deleted)}.")


async def _purge(queue: DeadLetterQueue, wanted: LetterFilter, before: float) -> int:
    async with queue:
        return await queue.purge(wanted, older_than=time.time() - before)


def _can_be_retried(letter: DeadLetter) -> bool:
    return letter.replayable and letter.redeliverable


async def _retry(queue: DeadLetterQueue, id: str) -> DeadLetter:
    return await queue.retry(id)


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
    chosen = _chosen(verb, ids, db, filters)
    if how.dry_run or not chosen.ids:
        _say_only(verb.name, chosen, json=how.json, dry_run=how.dry_run)
        if not chosen.ids:
            raise typer.Exit(FAILED)
        return
    if verb.asks or not ids:
        agree(verb.name, _announcement(verb.name, chosen), yes=how.yes)
    _report(verb, asyncio.run(change(letters_in(db), chosen.ids, verb.do)), json=how.json)


def _chosen(verb: _Verb, ids: list[str] | None, db: str | None, filters: Filters) -> Chosen:
    if ids:
        return asyncio.run(named(letters_in(db), ids))
    wanted = filters.checked(time.time())
    states = _within(verb.name, wanted.states, verb.states) or verb.states
    return asyncio.run(fitting(letters_in(db), msgspec.structs.replace(wanted, state=states), verb.can_be))


def _within(verb: str, states: tuple[State, ...], able: tuple[State, ...]) -> tuple[State, ...]:
    for state in states:
        if state not in able:
            raise InvalidOptionError(
                f"dlq {verb} --state", expected="one of " + ", ".join(able), got=state, fix="choose among these."
            )
    return states


def _announcement(name: str, chosen: Chosen) -> str:
    return f"This {_THIRD_PERSON[name]} {chosen.text}.{_left_out(chosen)}"


def _left_out(chosen: Chosen) -> str:
    if not chosen.left_out:
        return ""
    fit = "fits" if chosen.left_out == 1 else "fit"
    return f" {chosen.left_out} more {fit}, and cannot be sent: it went to a pid, or its message is no data."


def _say_only(name: str, chosen: Chosen, *, json: bool, dry_run: bool) -> None:
    """Say what would be done, where nothing is."""
    if json:
        for_programs.write({"dry_run": dry_run, "count": len(chosen.ids), "left_out": chosen.left_out})
    elif chosen.ids:
        print(f"This would {name} {chosen.text}; nothing was changed.{_left_out(chosen)}")
    else:
        for_people.hint("There are no such letters; nothing was changed.")


def _report(verb: _Verb, changed: Changed, *, json: bool) -> None:
    done, failed, stopped = changed
    if json:
        ids: list[Json] = [_result(id, result) for id, result in done]
        problems: list[Json] = [{"id": id, "error": error} for id, error in failed]
        for_programs.write({verb.past: ids, "failed": problems})
    else:
        for id, result in done:
            print(f"{verb.past} {id}" + (f" as {result}" if isinstance(result, str) else ""))
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


def _result(id: str, result: object) -> Json:
    return {"id": id, "new_id": result} if isinstance(result, str) else id
