# SPDX-License-Identifier: MIT
"""On SQLite these tests run in virtual time; on PostgreSQL, whose answers no loop can foresee, in real time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

import stanchion as st
from stanchion.testing import VirtualClock, VirtualTimeLoop


@pytest.fixture
def loop_factory(request: pytest.FixtureRequest):
    return asyncio.SelectorEventLoop if "database_url" in request.fixturenames else VirtualTimeLoop


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Where the tests in virtual time keep what is durable."""
    return f"sqlite:///{tmp_path}/app.db"


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, url: str) -> str:
    """Each kind of database, for what must hold on both."""
    return url if request.param == "sqlite" else request.getfixturevalue("postgres_url")


@pytest.fixture
def new_node(url: str) -> Callable[..., st.Node]:
    """Return what makes a node in virtual time, its jitter always the same."""

    def make(**options: object) -> st.Node:
        return st.Node(clock=VirtualClock(), block_threshold=None, seed=7, **{"database": url, **options})

    return make
