# SPDX-License-Identifier: MIT
from __future__ import annotations

from pathlib import Path

import pytest

from stanchion.dead_letters import MemoryStore, SqlStore, Store


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/letters.db"


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def store(request: pytest.FixtureRequest, url: str) -> Store:
    """What the rules of the queue hold for: each kind of store."""
    if request.param == "memory":
        return MemoryStore()
    return SqlStore(url if request.param == "sqlite" else request.getfixturevalue("postgres_url"))
