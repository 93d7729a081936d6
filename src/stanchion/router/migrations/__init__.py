# SPDX-License-Identifier: MIT
"""The schema of the journal of signals, step by step."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from stanchion.storage import Schema

SCHEMA: Final = Schema(Path(__file__).parent, head="0001", version_table="stanchion_signals_version")
"""What a router brings its database to."""
