# SPDX-License-Identifier: MIT
"""The tests that the docs show pass, run by pytest as a reader would run them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.test_pages import blocks

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "test-in-virtual-time.md"


def test_tests_of_the_page_pass(pytester: pytest.Pytester) -> None:
    code = "\n".join(block.code for block in blocks(PAGE.read_text(encoding="utf-8")))
    pytester.makepyfile(test_page="from __future__ import annotations\n" + code)
    # In a process of its own, for the page defines message types, and another test may have run the page here.
    result = pytester.runpytest_subprocess(
        "-p", "no:cacheprovider", "-p", "no:xdist", "-W", "error", "--stanchion-seeds=5"
    )
    result.assert_outcomes(passed=code.count("async def test_") * 5)
