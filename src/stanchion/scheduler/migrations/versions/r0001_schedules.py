# SPDX-License-Identifier: MIT
"""The tables of schedules, and of their runs that are under way."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create them."""
    op.create_table(
        "stanchion_schedules",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("added", sa.Double, nullable=False),
        sa.Column("trigger", sa.Text, nullable=False),
        sa.Column("jitter", sa.Double, nullable=False),
        sa.Column("recipient", sa.Text, nullable=False),
        sa.Column("message_type", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.Column("options", sa.Text, nullable=False),
        sa.Column("job", sa.Text, nullable=False),
        sa.Column("misfire_grace", sa.Double),
        sa.Column("coalesce", sa.Text, nullable=False),
        sa.Column("max_running", sa.Integer),
        sa.Column("overrun", sa.Text, nullable=False),
        sa.Column("paused", sa.Boolean, nullable=False),
        sa.Column("taken", sa.Double, nullable=False),
        sa.Column("counted_at", sa.Double, nullable=False),
        sa.Column("next_due", sa.Double),
        sa.Column("fire_at", sa.Double),
        sa.Column("waiting", sa.Double),
        sa.Column("runs", sa.BigInteger, nullable=False),
        sa.Column("missed", sa.BigInteger, nullable=False),
        sa.Column("last_run", sa.Double),
        sa.Column("last_outcome", sa.Text),
        sa.Column("last_error", sa.Text),
    )
    op.create_index("stanchion_schedules_fire_at", "stanchion_schedules", ["fire_at"])
    op.create_index(
        "stanchion_schedules_waiting",
        "stanchion_schedules",
        ["id"],
        sqlite_where=sa.text("waiting IS NOT NULL"),
        postgresql_where=sa.text("waiting IS NOT NULL"),
    )
    op.create_table(
        "stanchion_schedule_runs",
        sa.Column("message", sa.Text, primary_key=True),
        sa.Column("schedule", sa.Text, nullable=False),
        sa.Column("due", sa.Double, nullable=False),
    )
    op.create_index("stanchion_schedule_runs_schedule", "stanchion_schedule_runs", ["schedule"])
