# SPDX-License-Identifier: MIT
"""The tables of messages, of who delivers them, and of what was handled."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create them."""
    op.create_table(
        "stanchion_outbox",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("message_id", sa.Text, nullable=False),
        sa.Column("recipient", sa.Text, nullable=False),
        sa.Column("message_type", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.Column("metadata", sa.LargeBinary),
        sa.Column("options", sa.Text, nullable=False),
        sa.Column("ordered", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("interrupted", sa.Integer),
        sa.Column("under_way", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("owner", sa.Text),
    )
    op.create_index(
        "stanchion_outbox_unclaimed",
        "stanchion_outbox",
        ["id"],
        sqlite_where=sa.text("owner IS NULL"),
        postgresql_where=sa.text("owner IS NULL"),
    )
    op.create_table(
        "stanchion_outbox_owners",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("host", sa.Text),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("started", sa.Text, nullable=False),
        sa.Column("lease", sa.Double, nullable=False),
        sa.Column("beats", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "stanchion_outbox_handled",
        sa.Column("recipient", sa.Text, primary_key=True),
        sa.Column("message_id", sa.Text, primary_key=True),
        sa.Column("handled_at", sa.Double, nullable=False),
    )
    op.create_index("stanchion_outbox_handled_at", "stanchion_outbox_handled", ["handled_at"])
