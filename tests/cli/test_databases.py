# SPDX-License-Identifier: MIT
"""What a command says when the database is not one that it can work on."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.commands import Fill, cli, command, environment, id_of, letter, states, write
from tests.postgres import execute


def test_missing_file_is_not_made_by_a_look_at_it(tmp_path: Path) -> None:
    missing = cli("dlq", "list", "--db", f"sqlite:///{tmp_path}/letters.db")
    assert missing.exit_code == 1
    assert missing.stderr == (
        f"error: store sqlite:///{tmp_path}/letters.db: expected an existing file, got none at {tmp_path}/letters.db\n"
        "Fix: a node makes it when it opens; a relative path begins at the current folder.\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_missing_file_is_answered_with_the_nearest_one(fill: Fill, tmp_path: Path) -> None:
    url = fill()
    missing = cli("dlq", "list", "--db", url.replace("letters", "leters"))
    assert missing.stderr.endswith(f"Fix: did you mean sqlite:///{tmp_path}/letters.db?\n")
    no_folder = cli("dlq", "list", "--db", f"sqlite:///{tmp_path}/data/letters.db")
    assert no_folder.stderr.endswith(f"Fix: there is no folder {tmp_path}/data.\n")


def test_relative_path_begins_at_the_current_folder(
    fill: Fill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(letter(1))
    monkeypatch.chdir(tmp_path)
    assert cli("dlq", "stats", "--db", "sqlite:///letters.db").exit_code == 0
    missing = cli("dlq", "stats", "--db", "sqlite:///x.db")
    assert missing.stderr.endswith("Fix: did you mean sqlite:///letters.db?\n")


@pytest.mark.parametrize("content", [b"no database\n" * 1000, b"SQLite format 3\x00" + b"\xff" * 8000])
def test_corrupt_file_is_named_as_such(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "letters.db").write_bytes(content)
    corrupt = cli("dlq", "list", "--db", f"sqlite:///{tmp_path}/letters.db")
    assert corrupt.exit_code == 1
    assert corrupt.stderr == (
        f"error: store sqlite:///{tmp_path}/letters.db: expected a SQLite database, got file is not a database\n"
        "Fix: keep the file for rescue (sqlite3's .recover), and start with another one.\n"
    )
    assert (tmp_path / "letters.db").read_bytes() == content


def test_damaged_page_is_named_as_such(fill: Fill, tmp_path: Path) -> None:
    url = fill(*map(letter, range(1, 200)))
    with (tmp_path / "letters.db").open("r+b") as file:
        file.seek(8192)
        file.write(b"\xa5" * 40_000)
    damaged = cli("dlq", "list", "--db", url)
    assert damaged.exit_code == 1
    assert damaged.stderr.startswith(f"error: store {url}: expected a SQLite database, got database disk image is malf")


def test_database_of_a_later_release_is_left_alone(fill: Fill, tmp_path: Path) -> None:
    url = fill(letter(1))
    with closing(sqlite3.connect(tmp_path / "letters.db")) as connection:
        connection.execute("UPDATE stanchion_dead_letters_version SET version_num = '9999'")
        connection.commit()
    newer = cli("dlq", "purge", "--yes", "--db", url)
    assert newer.exit_code == 1
    assert newer.stderr.startswith(f"error: store {url}: expected a schema up to revision ")
    assert newer.stderr.endswith(
        "got revision 9999\nFix: open it with the release of stanchion that wrote it, or a later one; nothing was changed.\n"
    )


def test_database_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "app.db")) as connection:
        connection.execute("CREATE TABLE users (name)")
        connection.commit()
    (tmp_path / "empty.db").touch()
    for name in ("app.db", "empty.db"):
        before = (tmp_path / name).read_bytes()
        foreign = cli("dlq", "stats", "--db", f"sqlite:///{tmp_path}/{name}")
        assert foreign.exit_code == 1
        assert foreign.stderr == (
            f"error: store sqlite:///{tmp_path}/{name}: expected a database with dead letters, got one that no "
            "dead-letter queue has been in\nFix: name the file that your node writes, the one of "
            "Node(dead_letters=...); nothing was changed.\n"
        )
        assert (tmp_path / name).read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["app.db", "empty.db"]


def test_folder_in_place_of_a_file_is_named_as_such(tmp_path: Path) -> None:
    folder = cli("dlq", "list", "--db", f"sqlite:///{tmp_path}")
    assert folder.exit_code == 1
    assert folder.stderr.endswith(f"got unable to open database file\nFix: name a file in it: {tmp_path}/app.db.\n")


def on_small_disk(folder: Path, before: str, *args: str, after: str = "true") -> subprocess.CompletedProcess[str]:
    """Run a command on a copy of ``letters.db`` in ``disk/``, a file system of its own that ``before`` prepares."""
    namespace = ["unshare", "--user", "--map-root-user", "--mount"]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*namespace, "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("a file system can be mounted only where unprivileged user namespaces are allowed")
    (folder / "disk").mkdir()
    script = f"""
        mount -t tmpfs -o size=400k tmpfs disk && cp letters.db disk/ || exit 99
        {before}
        {shlex.join(command("dlq", *args, "--db", "sqlite:///disk/letters.db"))}
        code=$?
        {after}
        exit $code
    """
    done = subprocess.run(
        [*namespace, "sh", "-c", script], cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )
    if done.returncode == 99:
        pytest.skip("no tmpfs can be mounted here")
    return done


def test_read_only_disk_ends_in_an_error(fill: Fill, tmp_path: Path) -> None:
    fill(letter(1))
    read_only = on_small_disk(tmp_path, "mount -o remount,ro disk", "list")
    assert (read_only.returncode, read_only.stdout) == (1, "")
    assert read_only.stderr == (
        "error: store sqlite:///disk/letters.db: expected a file that can be written, "
        "got unable to open database file\nFix: give this user the right to write the file and its folder.\n"
    )


@pytest.mark.skipif(os.getuid() == 0, reason="root writes to everything")
def test_read_only_file_is_named_as_such(fill: Fill, tmp_path: Path) -> None:
    url = fill(letter(1))
    (tmp_path / "letters.db").chmod(0o444)
    read_only = cli("dlq", "list", "--db", url)
    assert read_only.exit_code == 1
    assert read_only.stderr.startswith(f"error: store {url}: expected a file that can be written, got attempt to write")
    assert read_only.stderr.endswith("Fix: give this user the right to write the file and its folder.\n")


def test_full_disk_is_named_as_such_and_what_was_done_is_told(fill: Fill, tmp_path: Path) -> None:
    fill(*(letter(number, "x" * 2000) for number in range(1, 60)))
    fill_up = "cat /dev/zero > disk/filler 2>/dev/null; truncate -s -64K disk/filler"
    full = on_small_disk(tmp_path, fill_up, "discard", "--all", "--yes", after="rm disk/filler; cp disk/letters.db* .")
    assert full.returncode == 1
    assert full.stderr.endswith(
        "error: store sqlite:///disk/letters.db: expected room for what is written, got database or disk is full\n"
        "Fix: make room on the disk or raise max_bytes=, then purge() what is settled.\n"
    )
    assert states(f"sqlite:///{tmp_path}/letters.db").count("discarded") == full.stdout.count("discarded 019cb") < 59


@pytest.mark.parametrize(
    ("url", "error"),
    [
        (
            None,
            "--db: expected the URL of a database, got none\nFix: add --db sqlite:///letters.db, or set STANCHION_DB.",
        ),
        ("letters.db", "got 'letters.db'\nFix: add --db sqlite:///letters.db"),
        ("sqlite://letters.db", "got 'sqlite://letters.db'\nFix: add --db sqlite:///letters.db"),
        ("sqlite:///", "got 'sqlite:///'\nFix: name a file"),
        ("sqlite:///:memory:", "got 'sqlite:///:memory:'\nFix: name a file"),
        ("memory:", "--db: expected a database that outlives its process, got 'memory:'"),
        ("sqlit:///letters.db", "got 'sqlit:///letters.db'\nFix: did you mean sqlite:?"),
    ],
)
def test_url_that_names_no_database_is_refused(url: str | None, error: str) -> None:
    refused = cli("dlq", "list", *(() if url is None else ("--db", url)))
    assert refused.exit_code == 2
    assert error in refused.stderr


# --- on a PostgreSQL server ----------------------------------------------------------------------


def test_letters_on_a_server_are_seen_to_as_in_a_file(postgres_url: str) -> None:
    write(postgres_url, letter(1), letter(2))
    listing = cli("dlq", "list", "--db", postgres_url)
    assert listing.exit_code == 0
    assert id_of(2) in listing.stdout
    discarded = cli("dlq", "discard", id_of(1), "--yes", "--db", postgres_url)
    assert discarded.exit_code == 0
    assert states(postgres_url) == ["discarded", "exhausted"]


def test_server_that_no_queue_has_been_in_is_left_alone(postgres_url: str) -> None:
    foreign = cli("dlq", "stats", "--db", postgres_url)
    assert foreign.exit_code == 1
    assert foreign.stderr == (
        f"error: store {postgres_url}: expected a database with dead letters, got one that no dead-letter queue has "
        "been in\nFix: name the database that your node writes, the one of Node(dead_letters=...); nothing was changed.\n"
    )
    tables = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
    assert execute(postgres_url, tables) == []


def test_server_that_is_not_there_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    nobody = cli("dlq", "list", "--db", f"postgresql://127.0.0.1:{port}/app")
    assert nobody.exit_code == 1
    assert f"expected a server that takes connections at 127.0.0.1:{port}" in nobody.stderr
