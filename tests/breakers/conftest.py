# SPDX-License-Identifier: MIT
"""A clock that tests move."""

from __future__ import annotations

import pytest

from tests.breakers.helpers import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()
