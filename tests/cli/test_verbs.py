# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

import stanchion as st
from stanchion.dead_letters import DeadLetterQueue, SqlStore, Write
from stanchion.errors import StoreError, StoreFullError
from tests.cli.commands import NOON, Fill, cli, cli_json, id_of, letter, process, states, stored

SENDS = "The node that runs on this database sends what is due, within its poll interval (1 s by default).\n"


# --- retry -----------------------------------------------------------------------------------------


def test_retry_makes_a_named_letter_due_without_asking(fill: Fill) -> None:
    url = fill(letter(1, redeliveries=9), letter(2))
    done = cli("dlq", "retry", id_of(1), "--db", url)
    assert (done.exit_code, done.stdout, done.stderr) == (0, f"retried {id_of(1)}\n", SENDS)
    retried = stored(url)[id_of(1)]
    assert (retried.state, retried.redeliveries) == ("waiting", 0)
    assert retried.next_attempt_at == pytest.approx(time.time(), abs=30)
    assert states(url) == ["waiting", "exhausted"]


def test_retry_by_filter_says_how_many_and_what_is_left_out(fill: Fill) -> None:
    url = fill(
        letter(1), letter(2, state="waiting"), letter(3, state="delivered"), letter(4, recipient="inventory"),
        letter(5, redeliverable=False),
    )  # fmt: skip
    done = cli("dlq", "retry", "--recipient", "mail", "--yes", "--db", url)
    assert done.exit_code == 0
    assert done.stdout == f"retried {id_of(1)}\nretried {id_of(2)}\n"
    assert done.stderr == (
        "This retries 2 letters (1 waiting, 1 exhausted). 1 more fits, and cannot be sent: it went to a pid, or its "
        f"message is no data.\n2 letters retried.\n{SENDS}"
    )
    assert states(url) == ["waiting", "waiting", "delivered", "exhausted", "exhausted"]


def test_retry_goes_on_when_one_letter_cannot_be_retried(fill: Fill) -> None:
    url = fill(letter(1, redeliverable=False, recipient="<shop.4>"), letter(2), letter(3, state="delivered"))
    done = cli("dlq", "retry", id_of(1), id_of(2), id_of(3), "--db", url)
    assert (done.exit_code, done.stdout) == (1, f"retried {id_of(2)}\n")
    assert (
        "got one that is addressed to <shop.4>\nFix: send it to a registered name: stanchion dlq replay ID --to NAME."
        in done.stderr
    )
    assert "got one that is delivered\nFix: send it again by stanchion dlq replay ID." in done.stderr
    as_json = cli("dlq", "retry", id_of(3), "--json", "--db", url)
    assert as_json.exit_code == 1
    assert as_json.stdout.startswith(
        f'{{"retried": [], "failed": [{{"id": "{id_of(3)}", "error": "retry of dead letter'
    )


def test_retry_changes_nothing_when_one_of_the_ids_is_unknown(fill: Fill) -> None:
    url = fill(letter(1))
    assert cli("dlq", "retry", id_of(1), "zzz", "--db", url).exit_code == 1
    assert states(url) == ["exhausted"]


def test_retried_letter_is_sent_by_the_node_that_runs_on_the_database(fill: Fill, tmp_path: Path) -> None:
    url = fill(letter(1, "hello", recipient="mail"))
    delivered: asyncio.Future[object]

    class Mail(st.GenServer):
        async def handle_cast(self, message: object) -> None:
            delivered.set_result(message)

    async def main() -> object:
        nonlocal delivered
        delivered = asyncio.get_running_loop().create_future()
        async with st.Node("shop", dead_letters=url):
            await st.start(Mail, name="mail")
            await asyncio.to_thread(process, "dlq", "retry", id_of(1), "--db", url, cwd=tmp_path)
            return await asyncio.wait_for(delivered, 10)

    assert asyncio.run(main()) == "hello"


# --- replay ----------------------------------------------------------------------------------------


def test_replay_makes_a_new_letter_to_another_name(fill: Fill) -> None:
    url = fill(letter(1, redeliverable=False, recipient="<shop.4>"))
    done = cli_json("dlq", "replay", id_of(1), "--to", "inventory", "--db", url)
    [(old_id, new_id)] = [(pair["id"], pair["new_id"]) for pair in done["replayed"]]
    letters = stored(url)
    assert (old_id, letters[old_id].state, letters[old_id].note) == (id_of(1), "discarded", f"replayed as {new_id}")
    assert (letters[new_id].recipient, letters[new_id].replay_of) == ("inventory", id_of(1))


def test_replay_says_which_letter_it_made(fill: Fill) -> None:
    url = fill(letter(1, state="delivered"))
    done = cli("dlq", "replay", id_of(1), "--db", url)
    [_, new_id] = stored(url)
    assert (done.exit_code, done.stdout, done.stderr) == (0, f"replayed {id_of(1)} as {new_id}\n", SENDS)


def test_replay_of_all_leaves_settled_letters_alone_unless_they_are_asked_for(fill: Fill) -> None:
    url = fill(letter(1), letter(2, state="delivered"), letter(3, payload=None))
    assert cli_json("dlq", "replay", "--all", "--dry-run", "--db", url) == {"dry_run": True, "count": 1, "left_out": 1}
    assert cli_json("dlq", "replay", "--state", "delivered", "--dry-run", "--db", url)["count"] == 1


# --- discard ---------------------------------------------------------------------------------------


def test_discard_notes_why(fill: Fill) -> None:
    url = fill(letter(1), letter(2))
    done = cli("dlq", "discard", id_of(1), "--why", "a test", "--yes", "--db", url)
    assert (done.exit_code, done.stdout) == (0, f"discarded {id_of(1)}\n")
    assert done.stderr == "This discards 1 letter (1 exhausted).\n"
    assert [(letter.state, letter.note) for letter in stored(url).values()] == [
        ("discarded", "a test"), ("exhausted", None),
    ]  # fmt: skip


def test_discard_takes_letters_that_nobody_could_send(fill: Fill) -> None:
    url = fill(letter(1, payload=None), letter(2, redeliverable=False))
    assert len(cli_json("dlq", "discard", "--all", "--yes", "--db", url)["discarded"]) == 2


def test_discard_of_many_letters_discards_each(fill: Fill) -> None:
    url = fill(*(letter(0, id=f"019cb000-0000-7000-8000-{number:012}") for number in range(1200)))
    assert len(cli_json("dlq", "discard", "--all", "--yes", "--db", url)["discarded"]) == 1200
    assert cli_json("dlq", "stats", "--db", url)["discarded"] == 1200


# --- purge -----------------------------------------------------------------------------------------


def test_purge_deletes_settled_letters_only(fill: Fill) -> None:
    url = fill(letter(1), letter(2, state="delivered"), letter(3, state="discarded"), letter(4, state="waiting"))
    done = cli("dlq", "purge", "--yes", "--db", url)
    assert (done.exit_code, done.stdout) == (0, "Deleted 2 letters.\n")
    assert done.stderr == "This deletes 2 letters (1 delivered, 1 discarded) for good.\n"
    assert states(url) == ["exhausted", "waiting"]


def test_purge_deletes_open_letters_when_it_is_asked_to(fill: Fill) -> None:
    url = fill(letter(1), letter(2, recipient="inventory"))
    assert cli_json("dlq", "purge", "--state", "exhausted", "--recipient", "mail", "--yes", "--db", url) == {
        "purged": 1
    }
    assert list(stored(url)) == [id_of(2)]


def test_purge_spares_letters_that_changed_of_late(fill: Fill) -> None:
    url = fill(letter(1, state="delivered"), letter(2, state="delivered", updated_at=time.time() - 60))
    assert cli_json("dlq", "purge", "--older-than", "1h", "--yes", "--db", url) == {"purged": 1}
    assert list(stored(url)) == [id_of(2)]


def test_purge_spares_letters_that_were_settled_after_it_counted(fill: Fill, monkeypatch: pytest.MonkeyPatch) -> None:
    url = fill(letter(1, state="delivered"), letter(2))

    async def settle_another() -> None:
        async with DeadLetterQueue(url) as queue:
            await queue.discard(id_of(2))

    def agree(*_: object, yes: bool) -> None:
        asyncio.run(settle_another())

    monkeypatch.setattr("stanchion.cli._dlq_verbs.agree", agree)
    agreed = cli("dlq", "purge", "--db", url)
    assert agreed.stdout == "Deleted 1 letter.\n"
    assert list(stored(url)) == [id_of(2)]


def test_purge_of_nothing_is_no_failure(fill: Fill) -> None:
    nothing = cli("dlq", "purge", "--yes", "--db", fill(letter(1)))
    assert (nothing.exit_code, nothing.stderr) == (0, "There are no such letters; nothing was changed.\n")


# --- all of them -----------------------------------------------------------------------------------

CHANGES = (
    ["retry", "--all"],
    ["replay", "--all"],
    ["discard", "--all"],
    ["discard", "019cb001"],
    ["purge", "--state", "exhausted"],
)


@pytest.mark.parametrize("change", CHANGES, ids=" ".join)
def test_verb_refuses_when_nobody_can_be_asked(fill: Fill, change: list[str]) -> None:
    url = fill(letter(1))
    refused = cli("dlq", *change, "--db", url)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr.partition("\n")[0].endswith((" 1 letter (1 exhausted).", " 1 letter (1 exhausted) for good."))
    assert refused.stderr.endswith(
        f"error: dlq {change[0]}: expected --yes where nobody can be asked, got neither --yes nor a terminal; nothing "
        "was changed\nFix: add --yes, or --dry-run to see how many there are.\n"
    )
    assert states(url) == ["exhausted"]


@pytest.mark.parametrize("change", CHANGES, ids=" ".join)
def test_dry_run_changes_nothing(fill: Fill, change: list[str]) -> None:
    url = fill(letter(1))
    said = cli("dlq", *change, "--dry-run", "--db", url)
    expected = f"This would {change[0]} 1 letter (1 exhausted); nothing was changed.\n"
    assert (said.exit_code, said.stdout) == (0, expected)
    assert states(url) == ["exhausted"]


@pytest.mark.parametrize("verb", ["retry", "replay", "discard"])
def test_verb_ends_with_1_when_no_letter_fits(fill: Fill, verb: str) -> None:
    nothing = cli("dlq", verb, "--reason", "down", "--yes", "--db", fill(letter(1)))
    assert (nothing.exit_code, nothing.stderr) == (1, "There are no such letters; nothing was changed.\n")


@pytest.mark.parametrize("verb", ["retry", "replay", "discard"])
def test_verb_wants_to_know_which_letters(fill: Fill, verb: str) -> None:
    url = fill(letter(1))
    for words, problem in [
        ([], "expected ids, a filter such as --reason noproc, or --all, got none of them"),
        (["--reason", ""], "expected ids, a filter such as --reason noproc, or --all, got none of them"),
        (["019cb001", "--all"], "expected ids, or a filter, got both"),
        (["019cb001", "--reason", "noproc"], "expected ids, or a filter, got both"),
    ]:
        refused = cli("dlq", verb, *words, "--yes", "--db", url)
        assert refused.exit_code == 2
        assert refused.stderr.startswith(f"error: dlq {verb}: {problem}\n")
    assert states(url) == ["exhausted"]


@pytest.mark.parametrize(("verb", "state"), [("retry", "delivered"), ("discard", "discarded"), ("purge", "retrying")])
def test_verb_refuses_a_state_that_it_cannot_be_done_to(fill: Fill, verb: str, state: str) -> None:
    refused = cli("dlq", verb, "--state", state, "--yes", "--db", fill(letter(1)))
    assert refused.exit_code == 2
    assert refused.stderr.startswith(f"error: dlq {verb} --state: expected one of waiting, exhausted")


def test_verb_tells_what_it_did_when_the_store_fails_on_the_way(fill: Fill, monkeypatch: pytest.MonkeyPatch) -> None:
    url = fill(letter(1), letter(2))
    working_write = SqlStore.write

    async def write(self: SqlStore, writes: Sequence[Write]) -> list[bool]:
        if any(write.letter.id == id_of(2) for write in writes):
            raise StoreFullError(self.name, expected="room", got="database or disk is full", fix="make room.")
        return await working_write(self, writes)

    monkeypatch.setattr(SqlStore, "write", write)
    failed = cli("dlq", "retry", "--all", "--yes", "--db", url)
    assert (failed.exit_code, failed.stdout) == (1, f"retried {id_of(1)}\n")
    assert failed.stderr.endswith(f"error: store {url}: expected room, got database or disk is full\nFix: make room.\n")


def test_purge_tells_what_it_did_when_the_store_fails_on_the_way(fill: Fill, monkeypatch: pytest.MonkeyPatch) -> None:
    url = fill(letter(1, state="delivered"))

    async def remove(self: SqlStore, keys: object) -> list[bool]:
        raise StoreError(self.name, expected="to work", got="a failure")

    monkeypatch.setattr(SqlStore, "remove", remove)
    failed = cli("dlq", "purge", "--yes", "--db", url)
    assert (failed.exit_code, failed.stdout) == (1, "Deleted 0 letters.\n")
    assert failed.stderr.endswith(f"error: store {url}: expected to work, got a failure\n")


async def _retry(url: str, id: str) -> None:
    async with DeadLetterQueue(url) as queue:
        await queue.retry(id)


def test_verb_leaves_alone_what_changed_while_it_asked(fill: Fill, monkeypatch: pytest.MonkeyPatch) -> None:
    url = fill(letter(1), letter(2))

    def agree(*_: object, yes: bool) -> None:
        asyncio.run(_retry(url, id_of(2)))

    monkeypatch.setattr("stanchion.cli._dlq_verbs.agree", agree)
    done = cli("dlq", "discard", "--all", "--db", url)
    assert (done.exit_code, done.stdout) == (1, f"discarded {id_of(1)}\n")
    assert done.stderr == f"error: dead letter '{id_of(2)}' changed since it was counted, and was left alone\n"
    assert states(url) == ["discarded", "waiting"]


def test_purge_leaves_alone_what_changed_while_it_asked(fill: Fill, monkeypatch: pytest.MonkeyPatch) -> None:
    url = fill(letter(1), letter(2))

    def agree(*_: object, yes: bool) -> None:
        asyncio.run(_retry(url, id_of(2)))

    monkeypatch.setattr("stanchion.cli._dlq_verbs.agree", agree)
    done = cli("dlq", "purge", "--state", "exhausted", "--db", url)
    assert (done.exit_code, done.stdout) == (0, "Deleted 1 letter.\n")
    assert done.stderr == "1 letter changed since the count, and stayed.\n"
    assert states(url) == ["waiting"]


# --- stats -----------------------------------------------------------------------------------------


def test_stats_counts_the_letters_in_each_state(fill: Fill) -> None:
    url = fill(letter(1), letter(2), letter(3, state="waiting", next_attempt_at=NOON), letter(4, state="delivered"))
    shown = [line.rstrip() for line in cli("dlq", "stats", "--db", url).stdout.splitlines()]
    assert shown == [
        "STATE      LETTERS",
        "waiting          1",
        "retrying         0",
        "exhausted        2",
        "delivered        1",
        "discarded        0",
        "total            4",
        "The next is due now.",
    ]
    assert cli_json("dlq", "stats", "--db", url) == {
        "waiting": 1, "retrying": 0, "exhausted": 2, "delivered": 1, "discarded": 0, "next_due": NOON, "total": 4,
    }  # fmt: skip


def test_stats_says_when_the_next_is_due(fill: Fill) -> None:
    url = fill(letter(1, state="waiting", next_attempt_at=time.time() + 330))
    assert "The next is due in 5 min.\n" in cli("dlq", "stats", "--db", url).stdout
