# SPDX-License-Identifier: MIT
"""A name with an underscore belongs to the station that defines it.

Two are lent: the stations above the kernel reach a pid's process and mailbox by attribute, because a function call in
between would cost more than a cast has to spare, and users shall not see them.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.stations import SOURCE, source_files, station_of

LENT = {("kernel", "_process"), ("kernel", "_mailbox")}

THIRD_PARTY = {"_asdict", "_current_frames", "_fields", "_getframe", "_make", "_replace"}
"""Public methods of named tuples, and sys._current_frames and sys._getframe, which have no other names."""


def private(name: str) -> bool:
    """Say whether an attribute's name is private: one leading underscore."""
    return name.startswith("_") and not name.startswith("__")


def defined(tree: ast.AST) -> Iterator[str]:
    """Yield the private names that a file defines, as attributes of its own classes or as functions and variables."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and own(node):
            yield node.attr


def own(node: ast.Attribute) -> bool:
    """Say whether it is an attribute of the object or class whose method this is."""
    return isinstance(node.value, ast.Name) and node.value.id in ("self", "cls", "mcls")


def used(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield (line, name) of the private attributes that a file reaches in other objects."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and private(node.attr) and not own(node):
            yield node.lineno, node.attr


def names_of(trees: dict[Path, ast.AST]) -> dict[str, set[str]]:
    """Return the private names that each station defines."""
    names: dict[str, set[str]] = defaultdict(set)
    for path, tree in trees.items():
        names[station_of(path)].update(filter(private, defined(tree)))
    return names


def attribute_problems(trees: dict[Path, ast.AST]) -> list[str]:
    """Say which files reach into another station's objects."""
    names = names_of(trees)
    lent = {name for station, name in LENT if name in names[station]}
    return [
        f"{path.relative_to(SOURCE)}:{line}: {name} belongs to another station"
        for path, tree in trees.items()
        for line, name in used(tree)
        if name not in names[station_of(path)] and name not in lent and name not in THIRD_PARTY
    ]


def test_stations_leave_each_others_private_attributes_alone() -> None:
    trees: dict[Path, ast.AST] = {path: ast.parse(path.read_text(encoding="utf-8")) for path in source_files()}
    assert attribute_problems(trees) == []


def test_lent_names_exist() -> None:
    trees: dict[Path, ast.AST] = {path: ast.parse(path.read_text(encoding="utf-8")) for path in source_files()}
    names = names_of(trees)
    assert all(name in names[station] for station, name in LENT)


KERNEL = "class Pid:\n    def __init__(self):\n        self._mailbox = self._secret = 1"


@pytest.mark.parametrize(
    ("code", "problems"),
    [
        ("pid._mailbox.put(1)", []),
        ("self._mine = 1", []),
        ("other.__class__", []),
        ("pid._secret", ["server/_x.py:1: _secret belongs to another station"]),
        ("pid._secret = 2", ["server/_x.py:1: _secret belongs to another station"]),
    ],
)
def test_attribute_check_objects_to(code: str, problems: list[str]) -> None:
    trees: dict[Path, ast.AST] = {
        SOURCE / "kernel" / "_pid.py": ast.parse(KERNEL),
        SOURCE / "server" / "_x.py": ast.parse(code),
    }
    assert attribute_problems(trees) == problems
