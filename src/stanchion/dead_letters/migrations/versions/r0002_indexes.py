# SPDX-License-Identifier: MIT
"""Indexes for listings, purging by age, and replays: what each costs no longer grows with the letters beside it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_TABLE = "stanchion_dead_letters"


def upgrade() -> None:
    """Create them."""
    _index("aged", "state", "updated_at", where="due_at IS NULL")
    for column in ("state", "recipient", "reason", "message_type"):
        _index(column, column, "id")
    _index("replay_of", "replay_of", where="replay_of IS NOT NULL")


def _index(name: str, *columns: str, where: str | None = None) -> None:
    condition = None if where is None else sa.text(where)
    op.create_index(f"{_TABLE}_{name}", _TABLE, list(columns), sqlite_where=condition, postgresql_where=condition)
