# SPDX-License-Identifier: MIT
"""Each property is hundreds of examples, of a machine that may be busy with other tests."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the properties more time than other tests; pytest calls this with the tests of all folders."""
    for item in items:
        if item.path.parent == HERE and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(60))
