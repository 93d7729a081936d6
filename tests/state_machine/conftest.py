# SPDX-License-Identifier: MIT
"""These tests wait in virtual time."""

from __future__ import annotations

import pytest

from stanchion.testing import VirtualTimeLoop


@pytest.fixture
def loop_factory():
    return VirtualTimeLoop
