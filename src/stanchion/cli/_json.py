# SPDX-License-Identifier: MIT
"""What programs read: one JSON document a command. Its keys are promises; times are Unix seconds."""

from __future__ import annotations

import json

import msgspec

from stanchion.cli._payload import Json, as_json, message_of
from stanchion.dead_letters import DeadLetter, Stats

_KEYS = (
    "id", "state", "recipient", "message_type", "version", "preview", "reason", "error", "attempt_count",
    "redeliveries", "next_attempt_at", "created_at", "updated_at", "claimed_by", "claimed_until", "replayable",
    "redeliverable", "replay_of", "note", "message_id", "trace_id", "span_id", "metadata", "attempts",
)  # fmt: skip


def write(document: Json) -> None:
    """Print a document."""
    print(text_of(document))


def text_of(value: Json, indent: int | None = None) -> str:
    """Return JSON text. It is ASCII, so that every terminal and pipe takes it."""
    return json.dumps(value, allow_nan=False, indent=indent)


def letter_json(letter: DeadLetter) -> dict[str, Json]:
    """Return a letter as listings show it: all but the message itself."""
    fields: dict[str, object] = msgspec.to_builtins(letter)
    return {key: as_json(letter.replayable if key == "replayable" else fields[key]) for key in _KEYS}


def whole_letter_json(letter: DeadLetter, lineage: tuple[DeadLetter, ...]) -> dict[str, Json]:
    """Return a letter with its message: as JSON, and as the bytes that are stored, in base64; and with its lineage."""
    message, problem = message_of(letter)
    payload: Json = msgspec.to_builtins(letter.payload)
    ids: list[Json] = [related.id for related in lineage]
    return {
        **letter_json(letter), "message": message, "message_problem": problem, "payload": payload, "lineage": ids,
    }  # fmt: skip


def stats_json(stats: Stats) -> dict[str, Json]:
    """Return the counts by state, their total, and when the next letter is due."""
    counts: dict[str, Json] = msgspec.to_builtins(stats)
    return {**counts, "total": stats.total}


class LetterListing:
    """Prints a listing as one document, page by page: it need not fit into memory."""

    def __init__(self) -> None:
        self._first = True
        print('{"letters": [', end="")

    def add(self, letters: tuple[DeadLetter, ...]) -> None:
        """Print more letters, one a line."""
        for letter in letters:
            print("" if self._first else ",", text_of(letter_json(letter)), sep="\n", end="")
            self._first = False

    def end(self, next_cursor: str | None) -> None:
        """Print the end of the document."""
        print("" if self._first else "\n", f'], "next_cursor": {text_of(next_cursor)}}}', sep="")
