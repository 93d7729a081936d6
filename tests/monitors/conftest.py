# SPDX-License-Identifier: MIT
"""These tests leak monitors on purpose, so they run without the leak check of the fixture ``node``, on virtual time."""

from __future__ import annotations

import pytest

from stanchion.testing import VirtualTimeLoop


@pytest.fixture
def loop_factory() -> type[VirtualTimeLoop]:
    return VirtualTimeLoop
