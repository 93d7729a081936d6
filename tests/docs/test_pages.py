# SPDX-License-Identifier: MIT
"""What the README and the docs show is run, and what they say it prints is compared.

Each ``python`` block of a page runs in order, in one module per page that is called ``__main__``; a block may
use ``await`` at its top level. A ``text`` block right after a ``python`` block is what that one prints.
``<!-- not run: why -->`` right before a block leaves it out.
"""

from __future__ import annotations

import ast
import asyncio
import io
import re
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from types import CoroutineType, ModuleType
from typing import NamedTuple

import pytest
from sybil import Document
from sybil.parsers.markdown.lexers import RawFencedCodeBlockLexer

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]

FENCES = RawFencedCodeBlockLexer(re.compile(r"(?P<language>python|text)\b[^\n]*\n"))
NOT_RUN = re.compile(r"<!-- not run: \S.* -->\s*\Z")


class Block(NamedTuple):
    """A piece of Python on a page, and what the page says that it prints."""

    line: int
    code: str
    output: str | None


def blocks(text: str) -> Iterator[Block]:
    """Yield the blocks of a page that are to be run."""
    regions = sorted(FENCES(Document(text, "")), key=lambda region: region.start)
    for region, following in zip(regions, [*regions[1:], None], strict=False):
        if region.lexemes["language"] != "python" or NOT_RUN.search(text[: region.start]):
            continue
        output = None
        if following and following.lexemes["language"] == "text" and not text[region.end : following.start].strip():
            output = following.lexemes["source"]
        yield Block(text.count("\n", 0, region.start) + 2, region.lexemes["source"], output)


def run_page(name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the blocks of a page; fail at the first that raises or prints something else."""
    module = ModuleType("__main__")
    # Where msgspec, dataclasses and typing look for what the annotations of a class name.
    monkeypatch.setitem(sys.modules, "__main__", module)
    # One loop and one context for the page, as at the prompt of `python -m asyncio`.
    with asyncio.Runner(debug=True) as runner:
        for block in blocks(text):
            source = "\n" * (block.line - 1) + block.code
            code = compile(source, name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
            printed = io.StringIO()
            with redirect_stdout(printed):
                result = eval(code, vars(module))
                if isinstance(result, CoroutineType):
                    runner.run(result)
            if block.output is not None:
                assert printed.getvalue().strip() == block.output.strip(), f"output of {name}:{block.line}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_page_does_what_it_says(page: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    run_page(str(page), page.read_text(encoding="utf-8"), monkeypatch)


GOOD = """
```python
word = "hello"
```

Later:

```python
import asyncio
await asyncio.sleep(0)
print(word)
```

```text
hello
```

<!-- not run: it needs a server -->
```python
1 / 0
```
"""


def test_page_runs_its_blocks_in_one_module(monkeypatch: pytest.MonkeyPatch) -> None:
    run_page("good.md", GOOD, monkeypatch)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("\nhello\n", "\ngoodbye\n", "output of bad.md:9"),
        ("print(word)", "print(phrase)", "name 'phrase' is not defined"),
        ("<!-- not run: it needs a server -->", "", "division by zero"),
        ("<!-- not run: it needs a server -->", "<!-- not run: -->", "division by zero"),
    ],
)
def test_page_fails_when_a_block_does_not_do_what_it_says(
    old: str, new: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Exception, match=problem):
        run_page("bad.md", GOOD.replace(old, new), monkeypatch)
