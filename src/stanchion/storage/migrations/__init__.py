# SPDX-License-Identifier: MIT
"""The schema of the leases, step by step."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from stanchion.storage._schema import Schema

SCHEMA: Final = Schema(Path(__file__).parent, head="0001", version_table="stanchion_leases_version")
"""What a lease brings its database to."""
