# SPDX-License-Identifier: MIT
"""Imports run downward, and a station's private files stay its own.

Imports under ``if TYPE_CHECKING:`` are not counted: they never run. Imports inside functions are.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.stations import FRONT, ONLY, ORDER, SOURCE, source_files, station_of

PRIVATE_ALLOWED: dict[tuple[str, str], str] = {}
"""(station, "stanchion.other._file") -> why this station may reach past the other's front."""

HEAVY = (
    "alembic",
    "aiosqlite",
    "asyncpg",
    "dataclasses",
    "libcst",
    "msgspec",
    "ray",
    "rich",
    "sqlalchemy",
    "stanchion.monitors",
    "starlette",
    "typer",
    "uvloop",
)
"""What a plain ``import stanchion`` must not pay for."""


def runtime_imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield (line, dotted name) of each import that runs; ``from a import b`` yields ``a.b``."""
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            pending.extend(node.orelse)
            continue
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
        pending.extend(ast.iter_child_nodes(node))


def target_of(name: str) -> str | None:
    """Return the station that a dotted name is imported from, None when it is not ours."""
    head, *rest = name.split(".")
    if head != "stanchion":
        return None
    return rest[0] if rest and rest[0] in ORDER else FRONT


def import_problems(path: Path, text: str) -> list[str]:
    """Say what is wrong with the imports of one file of the library."""
    station = station_of(path)
    if station not in ORDER:
        return [f"{station}: expected a station named in ORDER of tests/architecture/stations.py"]
    problems = []
    for line, name in runtime_imports(ast.parse(text)):
        target = target_of(name)
        if target is None or target == station:
            continue
        where = f"{path.relative_to(SOURCE)}:{line}"
        if target not in ONLY.get(station, ORDER[: ORDER.index(station)]):
            problems.append(f"{where}: {station} must not import {target} ({name})")
        module = ".".join(name.split(".")[:3])
        # A private file: stanchion.kernel._x. A private name in a front (stanchion.errors._x) is as bad.
        if module.count(".") == 2 and module.split(".")[2].startswith("_") and (station, module) not in PRIVATE_ALLOWED:
            problems.append(f"{where}: {name} is private to {target}; import from stanchion.{target}")
    return problems


@pytest.mark.parametrize("path", source_files(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_file_imports_downward_and_through_fronts(path: Path) -> None:
    assert import_problems(path, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("file", "code", "problem"),
    [
        ("kernel/_x.py", "from stanchion.server import call", "kernel must not import server"),
        ("kernel/_x.py", "import stanchion.messages", "kernel must not import messages"),
        (
            "kernel/_x.py",
            "def f():\n    from stanchion.delivery import send",
            "kernel must not import delivery",
        ),
        ("dead_letters/_x.py", "from stanchion.server import call", "dead_letters must not import server"),
        ("delivery/_x.py", "from stanchion.testing import Probe", "delivery must not import testing"),
        ("delivery/_x.py", "import stanchion", "delivery must not import stanchion"),
        ("delivery/_x.py", "from stanchion import Node", "delivery must not import stanchion"),
        ("delivery/_x.py", "from stanchion import cli", "delivery must not import cli"),
        (
            "coordination/_x.py",
            "from stanchion.delivery import send",
            "coordination must not import delivery",
        ),
        ("server/_x.py", "from stanchion.kernel._mailbox import Mailbox", "is private to kernel"),
        ("server/_x.py", "from stanchion.kernel import _mailbox", "is private to kernel"),
        ("metaphors/_x.py", "import os", "expected a station named in ORDER"),
    ],
)
def test_import_check_objects_to(file: str, code: str, problem: str) -> None:
    assert any(problem in found for found in import_problems(SOURCE / file, code))


@pytest.mark.parametrize(
    ("file", "code"),
    [
        ("errors.py", "if TYPE_CHECKING:\n    from stanchion.delivery import Delivery"),
        ("delivery/_x.py", "from stanchion.delivery._y import z\nfrom stanchion._validate import cut"),
        ("cli/_x.py", "from stanchion import Node"),
        ("coordination/_x.py", "import stanchion as st"),
    ],
)
def test_import_check_accepts(file: str, code: str) -> None:
    assert import_problems(SOURCE / file, code) == []


def test_exceptions_for_private_imports_are_all_in_use() -> None:
    used = {
        (station_of(path), ".".join(name.split(".")[:3]))
        for path in source_files()
        for _, name in runtime_imports(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert set(PRIVATE_ALLOWED) <= used


def heavy_imports(statement: str) -> list[str]:
    """Return the heavy modules that are loaded after ``statement`` ran in a new interpreter."""
    code = f"{statement}\nimport sys\nprint(*(name for name in {HEAVY!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_import_stanchion_loads_nothing_heavy() -> None:
    assert heavy_imports("import stanchion") == []


def test_heavy_import_check_sees_a_heavy_import() -> None:
    assert heavy_imports("import msgspec") == ["msgspec"]
