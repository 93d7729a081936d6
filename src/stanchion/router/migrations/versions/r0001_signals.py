# SPDX-License-Identifier: MIT
"""The tables of signals, of the last position that one has, and of durable subscriptions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create them."""
    position = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "stanchion_signals",
        sa.Column("position", position, primary_key=True, autoincrement=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.Column("stored_at", sa.Double, nullable=False),
    )
    op.create_index("stanchion_signals_id", "stanchion_signals", ["id"])
    op.create_index("stanchion_signals_stored_at", "stanchion_signals", ["stored_at"])
    head = op.create_table(
        "stanchion_signals_head",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("position", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(head, [{"id": 1, "position": 0}])
    op.create_table(
        "stanchion_subscriptions",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("pattern", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("incarnation", sa.Text, nullable=False),
        sa.Column("in_hand", sa.BigInteger),
        sa.Column("interrupted", sa.Integer, nullable=False),
    )
