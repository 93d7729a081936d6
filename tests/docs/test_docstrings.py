# SPDX-License-Identifier: MIT
"""The ``>>>`` examples of docstrings run, each docstring by itself, with the names of its module."""

from __future__ import annotations

import ast
import doctest
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src"
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

Documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def docstrings(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield (line, name, docstring) of everything in a file that has one."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, Documented) and (docstring := ast.get_docstring(node)):
            yield node.body[0].lineno, getattr(node, "name", "module"), docstring


def example_problem(name: str, text: str) -> str | None:
    """Say so when a docstring announces an example that nothing runs."""
    if "Example:" in text and ">>> " not in text:
        return f"{name}: expected `>>> ` lines under Example:, got none"
    return None


def run_docstring(text: str, names: dict[str, object], name: str, file: str, line: int) -> str:
    """Run one docstring's examples; return the report, empty when all did what they show."""
    # Classes made here belong to __main__, as in a user's script.
    names = {**names, "__name__": "__main__"}
    test = doctest.DocTestParser().get_doctest(text, names, name, file, line)
    report: list[str] = []
    doctest.DocTestRunner(optionflags=FLAGS).run(test, out=report.append)
    return "".join(report)


EXAMPLES = [
    pytest.param(path, line, name, text, id=f"{path.relative_to(SOURCE)}:{name}")
    for path in sorted(SOURCE.rglob("*.py"))
    for line, name, text in docstrings(path.read_text(encoding="utf-8"))
    if "Example:" in text or ">>> " in text
]


@pytest.mark.parametrize(("path", "line", "name", "text"), EXAMPLES)
def test_docstring_does_what_it_shows(
    path: Path, line: int, name: str, text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert example_problem(name, text) is None
    dotted = ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
    report = run_docstring(text, vars(importlib.import_module(dotted)), name, str(path), line)
    assert report == ""


def test_docstring_check_objects_to_another_output() -> None:
    assert "Expected:\n    3\nGot:\n    2" in run_docstring(">>> 1 + 1\n3\n", {}, "f", "f.py", 1)


def test_docstring_check_objects_to_an_example_without_code() -> None:
    assert example_problem("f", "Add.\n\nExample:\n    f(1)") is not None
    assert example_problem("f", "Add.\n\nExample:\n    >>> f(1)") is None
