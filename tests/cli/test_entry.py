# SPDX-License-Identifier: MIT
"""The way in and the way out: what the program needs, how it ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import stanchion
from stanchion.cli import main
from tests.cli.commands import Fill, cli, command, environment, letter, process


def test_version_is_printed() -> None:
    assert cli("--version").stdout == f"stanchion {stanchion.__version__}\n"


def test_main_takes_its_arguments_and_ends_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["dlq", "stats", "--db", "memory:"])
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("error: --db: expected a database that outlives its process")


def test_module_is_the_same_as_the_command(tmp_path: Path) -> None:
    done = process("--version", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"stanchion {stanchion.__version__}\n")


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_command_says_what_to_install_when_the_extra_is_missing(tmp_path: Path, missing: str) -> None:
    code = f"import sys; sys.modules['{missing}'] = None; from stanchion.cli import main; main(['--version'])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"error: stanchion: expected the extra for the command line, got no {missing}; "
        "Fix: pip install 'stanchion[cli]'\n"
    )


def test_command_hides_no_other_missing_module(tmp_path: Path) -> None:
    code = "import sys; sys.modules['msgspec'] = None; from stanchion.cli import main; main(['--version'])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "msgspec" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("words", [[], ["dlq"]])
def test_command_alone_shows_help_and_ends_with_2(words: list[str]) -> None:
    shown = cli(*words)
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert "Usage: " in shown.stderr
    assert "Commands:" in shown.stderr


@pytest.mark.parametrize("words", [["-h"], ["dlq", "--help"], ["dlq", "purge", "--help"], ["run", "-h"]])
def test_help_is_printed_and_ends_with_0(words: list[str]) -> None:
    shown = cli(*words)
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert shown.stdout.startswith("Usage: ")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["rnu"], "error: stanchion: No such command 'rnu'"),
        (["dlq", "lst"], "error: stanchion dlq: No such command 'lst'"),
        (["--verion"], "error: stanchion: No such option: --verion"),
        (["dlq", "show"], "error: stanchion dlq show: Missing argument 'ID'"),
        (["dlq", "stats", "extra"], "error: stanchion dlq stats: Got unexpected extra argument"),
    ],
)
def test_command_that_is_not_right_ends_with_2(words: list[str], error: str) -> None:
    refused = cli(*words)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr.startswith(error)
    assert refused.stderr.rstrip().endswith("--help shows what it takes.")


def test_error_has_a_traceback_when_it_is_asked_for(fill: Fill) -> None:
    url = fill()
    assert "Traceback" not in cli("dlq", "show", "zzz", "--db", url).stderr
    for shown in (
        cli("--traceback", "dlq", "show", "zzz", "--db", url),
        cli("dlq", "show", "zzz", "--db", url, STANCHION_TRACEBACK="1"),
    ):
        assert shown.exit_code == 1
        assert shown.stderr.startswith("Traceback (most recent call last):\n")
        assert "\nerror: dead letter 'zzz': expected" in shown.stderr


def test_listing_ends_quietly_when_its_reader_has_gone(fill: Fill, tmp_path: Path) -> None:
    url = fill(*(letter(0, id=f"019cb000-0000-7000-8000-{number:012}") for number in range(3000)))
    for words in (["dlq", "list", "--all", "--db", url], ["dlq", "list", "--all", "--json", "--db", url]):
        listing = subprocess.Popen(
            command(*words), cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert listing.stdout is not None
        listing.stdout.close()
        _, errors = listing.communicate(timeout=15)
        assert (listing.returncode, errors) == (1, b"")


def test_table_is_printed_when_the_encoding_lacks_its_characters(fill: Fill, tmp_path: Path) -> None:
    shown = subprocess.run(
        command("dlq", "list", "--db", fill(letter(1, recipient="März"))), cwd=tmp_path, capture_output=True,
        env=environment(PYTHONIOENCODING="ascii"), check=True,
    )  # fmt: skip
    assert rb"M\xe4rz" in shown.stdout
