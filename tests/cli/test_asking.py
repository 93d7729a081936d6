# SPDX-License-Identifier: MIT
"""What happens at a terminal: a person is asked, and colours are shown."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

import pytest

from tests.cli.commands import Fill, command, environment, letter, states


def at_terminal(*args: str, types: str, cwd: Path) -> tuple[int, str]:
    """Run a command at a terminal of 100 columns where somebody types; return its exit code and what is seen."""
    ours, theirs = pty.openpty()
    started = subprocess.Popen(
        command(*args), stdin=theirs, stdout=theirs, stderr=theirs, cwd=cwd, start_new_session=True,
        env=environment(COLUMNS="100", TERM="xterm-256color"),
    )  # fmt: skip
    os.close(theirs)
    seen = b""
    try:
        while True:
            seen += (part := os.read(ours, 4096))
            if b"[y/N] " in part or (types and b"[y/N] " in seen):
                os.write(ours, types.encode())
                types = ""
            if not part:
                break
    except OSError:  # Linux: the other side has closed
        pass
    finally:
        os.close(ours)
    return started.wait(timeout=10), seen.decode().replace("\r\n", "\n")


@pytest.mark.parametrize(("answer", "code", "state"), [("y\n", 0, "discarded"), ("Yes\n", 0, "discarded")])
def test_discard_asks_at_a_terminal_and_goes_on_with_yes(
    fill: Fill, tmp_path: Path, answer: str, code: int, state: str
) -> None:
    url = fill(letter(1))
    ended, seen = at_terminal("dlq", "discard", "--all", "--db", url, types=answer, cwd=tmp_path)
    assert seen.startswith(f"This discards 1 letter (1 exhausted).\nGo on? [y/N] {answer}")
    assert (ended, states(url)) == (code, [state])


@pytest.mark.parametrize("answer", ["\n", "n\n", "yeah\n", "\x04"])
def test_purge_changes_nothing_when_the_answer_is_another(fill: Fill, tmp_path: Path, answer: str) -> None:
    url = fill(letter(1, state="delivered"))
    ended, seen = at_terminal("dlq", "purge", "--db", url, types=answer, cwd=tmp_path)
    assert seen.startswith("This deletes 1 letter (1 delivered) for good.\nGo on? [y/N] ")
    assert f"expected y or yes, got {answer.strip(chr(4)).strip()!r}; nothing was changed" in seen
    assert (ended, states(url)) == (1, ["delivered"])


def test_interrupt_at_the_question_changes_nothing(fill: Fill, tmp_path: Path) -> None:
    url = fill(letter(1))
    ours, theirs = pty.openpty()
    started = subprocess.Popen(
        command("dlq", "retry", "--all", "--db", url), stdin=theirs, stdout=theirs, stderr=theirs, cwd=tmp_path,
        env=environment(), start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    seen = b""
    while b"[y/N] " not in seen:
        seen += os.read(ours, 4096)
    started.send_signal(2)
    assert started.wait(timeout=10) != 0
    os.close(ours)
    assert states(url) == ["exhausted"]


def test_states_are_coloured_at_a_terminal(fill: Fill, tmp_path: Path) -> None:
    ended, seen = at_terminal("dlq", "list", "--db", fill(letter(1)), types="", cwd=tmp_path)
    assert ended == 0
    assert "\x1b[31mexhausted" in seen
