# SPDX-License-Identifier: MIT
from __future__ import annotations

from stanchion import Message
from stanchion.dead_letters import Attempt, encode
from tests.cli.commands import NOON, Fill, cli, cli_json, id_of, letter

PARCEL = b"\x83\xa3sku\xa3A-1\xa8quantity\x02\xa4note\xc0"  # as a class that this program does not have was stored


class Card(Message, type="tests.cli.Card"):
    text: str


def test_show_tells_all_about_a_letter(fill: Fill) -> None:
    url = fill(
        letter(
            1,
            message_type="shop.Reserve", version=3, payload=PARCEL, recipient="inventory", reason="down",
            error="KeyError('A-1')", attempt_count=22, redeliveries=4, metadata={"tenant": "acme"}, message_id="m-1",
            trace_id="ab" * 16, span_id="cd" * 8, replay_of=id_of(7), note="look here",
            attempts=(Attempt(NOON, "timeout"), Attempt(NOON + 5, "down", "KeyError('A-1')")),
        )
    )  # fmt: skip
    lines = [line.rstrip() for line in cli("dlq", "show", id_of(1), "--db", url).stdout.splitlines()]
    assert lines[:7] == [
        f"id          {id_of(1)}",
        "state       exhausted",
        "recipient   inventory",
        "type        shop.Reserve, version 3",
        "reason      down",
        "error       KeyError('A-1')",
        "tries       22 failed, 4 of them redeliveries since it was added or retried",
    ]
    assert lines[7].startswith("added       2026-03-01 12:00:01 +00:00, ")
    assert lines[9:] == [
        "message id  m-1",
        "trace id    abababababababababababababababab",
        "span id     cdcdcdcdcdcdcdcd",
        f"replay of   {id_of(7)}",
        "note        look here",
        "",
        "Attempts that failed (20 in the middle are not kept)",
        "AT                   REASON   ERROR",
        "2026-03-01 12:00:00  timeout",
        "2026-03-01 12:00:05  down     KeyError('A-1')",
        "",
        "Metadata",
        "{",
        '  "tenant": "acme"',
        "}",
        "",
        "Message",
        "{",
        '  "sku": "A-1",',
        '  "quantity": 2,',
        '  "note": null',
        "}",
    ]


def test_show_says_who_claimed_a_letter_and_when_a_waiting_one_is_due(fill: Fill) -> None:
    url = fill(
        letter(1, state="retrying", claimed_by="host:1:ab", claimed_until=NOON),
        letter(2, state="waiting", next_attempt_at=NOON),
    )
    assert (
        "claimed    by host:1:ab until 2026-03-01 12:00:00 +00:00, " in cli("dlq", "show", id_of(1), "--db", url).stdout
    )
    assert "next try   2026-03-01 12:00:00 +00:00, " in cli("dlq", "show", id_of(2), "--db", url).stdout


def test_show_says_that_a_pid_is_gone(fill: Fill) -> None:
    shown = cli("dlq", "show", id_of(1), "--db", fill(letter(1, recipient="<shop.4>", redeliverable=False)))
    assert "recipient  <shop.4> (cannot be found again: replay it to a name)" in shown.stdout


def test_show_falls_back_on_the_preview_when_the_message_never_was_data(fill: Fill) -> None:
    url = fill(letter(1, version=0, payload=None, preview="<function \x1b[31m>", note="expected data, got a function"))
    shown = cli("dlq", "show", id_of(1), "--db", url).stdout
    assert "note       expected data, got a function" in shown
    assert shown.endswith(
        "\nMessage, as its preview\n<function \\x1b[31m>\n(it could not become data; the note says why)\n"
    )


def test_show_falls_back_on_the_preview_when_the_stored_data_is_damaged(fill: Fill) -> None:
    url = fill(letter(1, payload=b"\xc1"))
    assert "Message, as its preview\n'hello'\n" in cli("dlq", "show", id_of(1), "--db", url).stdout
    shown = cli_json("dlq", "show", id_of(1), "--db", url)
    assert shown["message"] is None
    assert "MessagePack data is malformed" in shown["message_problem"]


def test_show_as_json_adds_the_message_and_its_bytes(fill: Fill) -> None:
    url = fill(letter(1, message_type="shop.Reserve", version=3, payload=PARCEL))
    shown = cli_json("dlq", "show", id_of(1), "--db", url)
    assert shown["id"] == id_of(1)
    assert shown["message"] == {"sku": "A-1", "quantity": 2, "note": None}
    assert shown["message_problem"] is None
    assert shown["payload"] == "g6Nza3WjQS0xqHF1YW50aXR5AqRub3RlwA=="


def test_show_reads_a_message_of_a_class_without_the_class(fill: Fill) -> None:
    encoded = encode(("for", [Card("you")]))
    # The class has gone by the time of the look, as far as the stored data can tell.
    payload = encoded.payload.replace(b"tests.cli.Card", b"tests.cli.Gone")
    shown = cli_json("dlq", "show", id_of(1), "--db", fill(letter(1, payload=payload)))
    assert shown["message"] == ["for", [{"type": "tests.cli.Gone", "version": 1, "fields": {"text": "you"}}]]


def test_show_takes_the_beginning_of_an_id_when_one_letter_has_it(fill: Fill) -> None:
    url = fill(*map(letter, (1, 20, 21)))
    assert cli_json("dlq", "show", "019cb001", "--db", url)["id"] == id_of(1)
    assert cli_json("dlq", "show", "019CB021-0", "--db", url)["id"] == id_of(21)
    several = cli("dlq", "show", "019cb02", "--db", url)
    assert several.exit_code == 1
    assert several.stderr == (
        "error: dead letter '019cb02': expected an id, or a beginning that one id has, got the beginning of "
        f"{id_of(20)}, {id_of(21)}\nFix: write more of it; letters that were added together differ late.\n"
    )


def test_show_ends_with_1_when_there_is_no_such_letter(fill: Fill) -> None:
    url = fill(letter(1))
    for id in ("019cc", "019cb0010", "zzz"):
        missing = cli("dlq", "show", id, "--db", url)
        assert missing.exit_code == 1
        assert missing.stderr == (
            f"error: dead letter '{id}': expected a stored letter with this id, got none\n"
            "Fix: stanchion dlq list shows the ids; a purged letter is gone.\n"
        )
    assert cli("dlq", "show", "", "--db", url).exit_code == 2


def test_show_tells_which_letters_replay_which(fill: Fill) -> None:
    url = fill(
        letter(1, state="discarded"), letter(2, state="waiting", replay_of=id_of(1), recipient="inventory"), letter(3)
    )
    lines = [line.rstrip() for line in cli("dlq", "show", id_of(2), "--db", url).stdout.splitlines()]
    place = lines.index("Replays")
    assert [line.split() for line in lines[place + 1 : place + 4]] == [
        ["ID", "REPLAY", "OF", "STATE", "RECIPIENT"],
        [id_of(1), "-", "discarded", "mail"],
        [id_of(2), id_of(1), "waiting", "inventory"],
    ]
    assert cli_json("dlq", "show", id_of(1), "--db", url)["lineage"] == [id_of(1), id_of(2)]
    assert cli_json("dlq", "show", id_of(3), "--db", url)["lineage"] == [id_of(3)]


def test_show_tells_where_the_recipient_crashed(fill: Fill) -> None:
    trace = 'Traceback (most recent call last):\n  File "shop.py", line 7, in handle_cast\nKeyError: 1'
    url = fill(letter(1, attempts=(Attempt(NOON, "down", "KeyError(1)", trace), Attempt(NOON + 5, "timeout"))))
    shown = cli("dlq", "show", id_of(1), "--db", url).stdout
    assert f"\nWhere the recipient crashed last\n{trace}\n" in shown
