# SPDX-License-Identifier: MIT
from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.examples.relay_kit import MakeRelay, relay_with


@pytest.fixture
def make_relay(tmp_path: Path) -> MakeRelay:
    return partial(relay_with, f"sqlite:///{tmp_path}/relay.db")
