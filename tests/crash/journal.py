# SPDX-License-Identifier: MIT
"""The journal: what a process did and what it was told, in a file that survives its death.

Each entry is one ``write()`` to a file that is opened for appending, made before the next step: what was written is
the kernel's, and no longer the process's. Several processes may write to one journal; its order is theirs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line.

    Attributes:
        life: Which process wrote it; 0 is the one that kills.
        what: What happened.
        number: The message that it is about.
        id: The dead letter, or the message id, that it is about.
        replay_of: The letter that it is a replay of.
        recipient: Whose letters it is about.
        state: The letter's state, as the caller was told.
        revision: The letter's revision, as the caller was told.
    """

    life: int
    what: str
    number: int | None = None
    id: str | None = None
    replay_of: str | None = None
    recipient: str | None = None
    state: str | None = None
    revision: int | None = None


class Journal:
    """Writes the entries of one process.

    Args:
        path: The file; made when it is not there.
        life: The number of the process.
    """

    def __init__(self, path: Path, life: int) -> None:
        self._file = os.open(path, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)
        self._life = life

    def note(
        self,
        what: str,
        *,
        number: int | None = None,
        id: str | None = None,
        replay_of: str | None = None,
        recipient: str | None = None,
        state: str | None = None,
        revision: int | None = None,
    ) -> None:
        """Write an entry; it is safe when this returns."""
        entry = Entry(self._life, what, number, id, replay_of, recipient, state, revision)
        # The line break comes first: an entry that a kill cut short does not spoil the next one.
        os.write(self._file, b"\n" + msgspec.json.encode(entry))

    def close(self) -> None:
        """Let the file go."""
        os.close(self._file)


def read(path: Path) -> Iterator[Entry]:
    """Yield the entries, oldest first. One that was cut short is left out: its writer did not get beyond it."""
    for line in path.read_bytes().split(b"\n"):
        try:
            yield msgspec.json.decode(line, type=Entry)
        except msgspec.DecodeError:
            continue
