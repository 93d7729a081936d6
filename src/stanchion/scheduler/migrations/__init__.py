# SPDX-License-Identifier: MIT
"""The schema of the persistent schedules, step by step."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from stanchion.storage import Schema

SCHEMA: Final = Schema(Path(__file__).parent, head="0001", version_table="stanchion_schedules_version")
"""What a scheduler brings its database to."""
