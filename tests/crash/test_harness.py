# SPDX-License-Identifier: MIT
"""What the harness rests on: the journal, and the comparisons with it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stanchion.dead_letters import DeadLetter, encode
from tests.crash.handling import Handling
from tests.crash.journal import Entry, Journal, read
from tests.crash.letters import Ledger, message, recipient

# --- the journal ---------------------------------------------------------------------------------


def test_journal_has_the_entries_of_all_who_write_in_their_order(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    one, other = Journal(path, 1), Journal(path, 2)
    one.note("add", number=7)
    other.note("add", number=8)
    one.note("added", number=7, id="a")
    assert list(read(path)) == [Entry(1, "add", 7), Entry(2, "add", 8), Entry(1, "added", 7, "a")]
    one.close()
    other.close()


def test_journal_leaves_out_an_entry_that_a_kill_cut_short_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal(path, 1)
    journal.note("add", number=7)
    journal.note("added", number=7, id="a")
    os.truncate(path, path.stat().st_size - 3)
    journal.note("round")
    assert list(read(path)) == [Entry(1, "add", 7), Entry(1, "round")]
    journal.close()


# --- letters -------------------------------------------------------------------------------------

ADDED = (Entry(1, "add", 6), Entry(1, "added", 6, "a", state="waiting", revision=0))


def letter(id: str = "a", number: int = 6, *, state: str = "waiting", revision: int = 0, of: str | None = None):
    encoded = encode(message(number))
    return DeadLetter(
        id=id,
        recipient=recipient(number),
        message_type=encoded.type,
        version=encoded.version,
        payload=encoded.payload,
        preview=str(number),
        reason="noproc",
        state=state,
        revision=revision,
        replay_of=of,
        created_at=0.0,
        updated_at=0.0,
    )


@pytest.mark.parametrize(
    ("entries", "found"),
    [
        pytest.param(ADDED, [letter()], id="as it was added"),
        pytest.param([Entry(1, "add", 6)], [], id="an adding that was not committed"),
        pytest.param([Entry(1, "add", 6)], [letter()], id="an adding that was committed, and not reported"),
        pytest.param([*ADDED, Entry(1, "retry", id="a")], [letter()], id="a retry that was not committed"),
        pytest.param([*ADDED, Entry(1, "retry", id="a")], [letter(revision=1)], id="a retry that was committed"),
        pytest.param(
            [*ADDED, Entry(1, "replay", id="a")],
            [letter(state="discarded", revision=1), letter("b", of="a")],
            id="a replay that was committed",
        ),
        pytest.param(
            [*ADDED, Entry(1, "replay", id="a"), Entry(1, "replayed", id="b", replay_of="a")],
            [letter(state="discarded", revision=1), letter("b", of="a")],
            id="a replay that was reported",
        ),
        pytest.param(
            [
                *ADDED,
                Entry(1, "discard", id="a"),
                Entry(1, "changed", id="a", state="discarded", revision=1),
                Entry(1, "purge", recipient="writer0"),
                Entry(1, "purged", recipient="writer0"),
            ],
            [],
            id="a letter that was purged",
        ),
    ],
)
def test_ledger_agrees_with_what_a_kill_may_leave(entries: list[Entry], found: list[DeadLetter]) -> None:
    assert Ledger(entries).compare(found).problems == []


@pytest.mark.parametrize(
    ("entries", "found", "problem"),
    [
        (ADDED, [], "letter a of message 6: expected waiting at revision 0, got none"),
        (ADDED, [letter(revision=1)], "letter a: expected waiting at revision 0, got waiting at revision 1"),
        (
            [*ADDED, Entry(1, "discard", id="a")],
            [letter(state="exhausted", revision=1)],
            (
                "letter a: expected waiting at revision 0, or one further by the discard under way, "
                "got exhausted at revision 1"
            ),
        ),
        ([], [letter()], "letter a: nobody was adding message 6"),
        ([Entry(1, "add", 6)], [letter(), letter("b")], "message 6 is there twice"),
        ([*ADDED, Entry(1, "recovered")], [letter(), letter("b", of="a")], "letter b: nobody was replaying a"),
        (
            [*ADDED, Entry(1, "replay", id="a")],
            [letter(state="discarded", revision=1)],
            "letter a: it is discarded, and has 0 replays",
        ),
        (
            [*ADDED, Entry(1, "retry", id="a"), Entry(0, "recovered")],
            [letter(revision=1)],
            "letter a: expected waiting at revision 0, got waiting at revision 1",
        ),
    ],
)
def test_ledger_objects_to_what_a_kill_must_not_leave(
    entries: list[Entry], found: list[DeadLetter], problem: str
) -> None:
    (said,) = Ledger(entries).compare(found).problems
    assert said.endswith(problem)


# --- handling ------------------------------------------------------------------------------------


def handling(*entries: Entry) -> Handling:
    found = Handling()
    for entry in entries:
        found.take(entry)
    return found


BEGIN, END = Entry(1, "handling", 5), Entry(1, "handled", 5)
OTHER = Entry(2, "handling", 5)
DEATH = Entry(0, "dying", 1)


def test_message_may_be_handled_by_another_process_when_the_first_refused_it_or_died() -> None:
    assert handling(BEGIN, Entry(1, "refused", 5), OTHER).problems == []
    again = handling(BEGIN, END, DEATH, OTHER, Entry(2, "handled", 5))
    assert (again.problems, again.duplicates, again.order) == ([], 1, [5])
    assert handling(BEGIN, Entry(0, "round"), OTHER).problems == []


@pytest.mark.parametrize("entries", [(BEGIN, OTHER), (BEGIN, END, OTHER)])
def test_message_must_not_be_in_the_hands_of_two(entries: tuple[Entry, ...]) -> None:
    assert handling(*entries).problems == ["message 5: process 2 has it while process 1 does"]


def test_message_must_not_be_reported_as_delivered_before_it_is_handled_nor_be_handled_after_that() -> None:
    early = handling(BEGIN)
    early.done(5)
    assert early.problems == ["message 5: nobody handled it, and it was reported as delivered"]
    late = handling(BEGIN, END, DEATH)
    late.done(5)
    late.take(OTHER)
    assert late.problems == ["message 5: handled again after it was reported as delivered"]
