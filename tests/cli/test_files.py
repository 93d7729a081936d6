# SPDX-License-Identifier: MIT
"""Letters to files and back."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from stanchion.cli._commands import app
from tests.cli.commands import ENVIRONMENT, Fill, cli, cli_json, database, id_of, letter, stored


def test_export_and_import_move_letters_to_another_database(fill: Fill, tmp_path: Path) -> None:
    url, file = fill(letter(1), letter(2, {"sku": "A-1"}, state="waiting")), str(tmp_path / "letters.jsonl")
    out = cli("dlq", "export", file, "--db", url)
    assert (out.exit_code, out.stdout, out.stderr) == (0, "", "2 letters exported.\n")
    other = database(tmp_path / "other.db", letter(1, state="discarded"))
    back = cli("dlq", "import", file, "--db", other)
    assert (back.exit_code, back.stdout) == (0, "1 letter imported, 1 skipped.\n")
    assert stored(other)[id_of(2)] == stored(url)[id_of(2)]
    assert cli_json("dlq", "import", file, "--db", other) == {"imported": 0, "skipped": 2}


def test_export_takes_filters_and_a_pipe(fill: Fill) -> None:
    url = fill(letter(1), letter(2, recipient="inventory"))
    out = cli("dlq", "export", "-", "--recipient", "inventory", "--db", url)
    assert [json.loads(line)["letter"]["id"] for line in out.stdout.splitlines()] == [id_of(2)]
    assert out.stderr == "1 letter exported.\n"


def test_import_takes_a_pipe(fill: Fill, tmp_path: Path) -> None:
    lines = cli("dlq", "export", "-", "--db", fill(letter(1), letter(2))).stdout
    other = database(tmp_path / "other.db")
    done = CliRunner().invoke(app, ["dlq", "import", "-", "--db", other], input=lines, env=ENVIRONMENT)
    assert done.stdout == "2 letters imported, 0 skipped.\n"
    assert list(stored(other)) == [id_of(1), id_of(2)]


def test_import_names_the_line_that_is_wrong(fill: Fill, tmp_path: Path) -> None:
    (tmp_path / "letters.jsonl").write_text("[]\n")
    failed = cli("dlq", "import", str(tmp_path / "letters.jsonl"), "--db", fill())
    assert (failed.exit_code, failed.stdout) == (1, "")
    assert failed.stderr.startswith(f"error: letters in {tmp_path / 'letters.jsonl'}, line 1: expected a letter as ")


def test_export_does_not_write_over_a_file(fill: Fill, tmp_path: Path) -> None:
    (tmp_path / "letters.jsonl").write_text("precious")
    failed = cli("dlq", "export", str(tmp_path / "letters.jsonl"), "--db", fill(letter(1)))
    assert failed.exit_code == 1
    assert failed.stderr.endswith("Fix: give another name, or remove it.\n")
    assert (tmp_path / "letters.jsonl").read_text() == "precious"
