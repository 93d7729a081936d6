# SPDX-License-Identifier: MIT
"""These tests wait in virtual time: a backoff of minutes takes none."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import stanchion as st
from stanchion.testing import VirtualClock, VirtualTimeLoop


@pytest.fixture
def loop_factory():
    return VirtualTimeLoop


@pytest.fixture
def new_node() -> Callable[..., st.Node]:
    """Return what makes a node in virtual time, its jitter always the same."""

    def make(**options: object) -> st.Node:
        return st.Node(clock=VirtualClock(), block_threshold=None, seed=7, **options)

    return make
