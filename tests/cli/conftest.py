# SPDX-License-Identifier: MIT
"""A database in the folder of each test, and times that read the same everywhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stanchion.dead_letters import DeadLetter
from tests.cli.commands import Fill, database


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture
def fill(tmp_path: Path) -> Fill:
    """Return what writes letters to a database and returns its URL."""

    def write(*letters: DeadLetter) -> str:
        return database(tmp_path / "letters.db", *letters)

    return write
