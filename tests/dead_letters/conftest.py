# SPDX-License-Identifier: MIT
from __future__ import annotations

from pathlib import Path

import pytest

from stanchion.dead_letters import MemoryStore, SqlStore, Store


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/letters.db"


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, url: str) -> Store:
    """What the rules of the queue hold for: each kind of store."""
    return MemoryStore() if request.param == "memory" else SqlStore(url)
