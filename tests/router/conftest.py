# SPDX-License-Identifier: MIT
"""The tests of the router that take no database wait in virtual time."""

from __future__ import annotations

import pytest

from stanchion.testing import VirtualTimeLoop
from tests.conftest import LoopFactory


@pytest.fixture
def loop_factory() -> LoopFactory:
    return VirtualTimeLoop
