# SPDX-License-Identifier: MIT
"""These tests run in virtual time."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from stanchion.testing import VirtualTimeLoop


@pytest.fixture
def loop_factory() -> type[VirtualTimeLoop]:
    return VirtualTimeLoop


@pytest.fixture
def no_gc() -> Iterator[None]:
    """Let only reference counts free things: what is left then is part of a cycle."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()
