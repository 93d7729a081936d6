# SPDX-License-Identifier: MIT
"""The schema of the letters, step by step."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from stanchion.storage import Schema

SCHEMA: Final = Schema(Path(__file__).parent, head="0002", version_table="stanchion_dead_letters_version")
"""What an SQL store brings its database to."""
