# SPDX-License-Identifier: MIT
"""What holds for every file: its size, its licence line, its paths, the names of changelog fragments."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.architecture.stations import ROOT, source_files

MAX_LINES = 600
SPDX = "# SPDX-License-Identifier: MIT"
OWNED = ("src", "tests", "docs", "examples", "bench", "changelog.d", ".ci")
TEXT = ("", ".md", ".py", ".toml", ".yml", ".txt", ".json", ".html", ".css", ".js", ".sql", ".mako", ".ini")
# A folder that exists on one machine only: somebody's home, a work tree, a scratch environment.
MACHINE_PATH = re.compile(r"(?<![\w.:/~}>-])/(?:work|root|home/\w+|Users/\w+|tmp/\w+)/[\w.]")
FRAGMENT = re.compile(r"[0-9]+\.(security|removed|deprecated|added|changed|fixed)\.md")


def text_files() -> list[Path]:
    """Return the text files that make up the project."""
    files = list(ROOT.glob("[!.]*"))
    for folder in OWNED:
        files += (ROOT / folder).rglob("*")
    return sorted(path for path in files if path.is_file() and path.suffix in TEXT)


def size_problem(text: str) -> str | None:
    """Say so when a file is long and its first lines do not say why."""
    lines = text.count("\n")
    head = " ".join((ast.get_docstring(ast.parse(text)) or "").split("\n\n", maxsplit=2)[:2])
    if lines > MAX_LINES and "one piece" not in head:
        return f"expected at most {MAX_LINES} lines, or first lines that say why it is one piece, got {lines} lines"
    return None


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", source_files(), ids=name_of)
def test_source_file_is_short_or_says_why_not(path: Path) -> None:
    assert size_problem(path.read_text(encoding="utf-8")) is None


def test_size_check_objects_to_a_long_file_without_a_reason() -> None:
    assert size_problem("pass\n" * 601) is not None
    assert size_problem('"""Many things.\n\nIt is one piece because ..."""\n' + "pass\n" * 601) is None
    assert size_problem("pass\n" * 600) is None


def test_python_files_carry_the_licence() -> None:
    bare = [
        name_of(path)
        for path in text_files()
        if path.suffix == ".py" and SPDX not in path.read_text(encoding="utf-8").splitlines()[:2]
    ]
    assert bare == []


def test_no_file_names_a_path_of_one_machine() -> None:
    found = [
        f"{name_of(path)}:{number}: {line.strip()}"
        for path in text_files()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if MACHINE_PATH.search(line)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("line", "is_found"),
    [
        ("see " + "/" + "root/stanchion/notes", True),
        ('open("/' + 'home/ada/letters.db")', True),
        ("sqlite:///letters.db", False),
        ("https://example.org/work/place", False),
        ("src/root/file", False),
        ("/path/to/python3.11", False),
    ],
)
def test_machine_path_check_finds(line: str, is_found: bool) -> None:
    assert bool(MACHINE_PATH.search(line)) is is_found


def fragment_problems(folder: Path) -> list[str]:
    """Say which changelog fragments have a wrong name or no text."""
    files = [path for path in folder.iterdir() if path.name != "README.md"]
    return [
        f"{path.name}: expected <issue>.<kind>.md with some text in it"
        for path in files
        if not FRAGMENT.fullmatch(path.name) or not path.read_text(encoding="utf-8").strip()
    ]


def test_changelog_fragments_are_named_and_filled() -> None:
    assert fragment_problems(ROOT / "changelog.d") == []


def test_changelog_check_objects_to_wrong_names_and_empty_files(tmp_path: Path) -> None:
    (tmp_path / "2.added.md").write_text("Fine.")
    (tmp_path / "2.fixed.md").write_text("")
    (tmp_path / "new.md").write_text("Text.")
    assert sorted(fragment_problems(tmp_path)) == [
        "2.fixed.md: expected <issue>.<kind>.md with some text in it",
        "new.md: expected <issue>.<kind>.md with some text in it",
    ]
