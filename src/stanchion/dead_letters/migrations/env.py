# SPDX-License-Identifier: MIT
"""What Alembic runs to apply revisions: on the connection, and in the transaction, that it is given."""

from __future__ import annotations

from alembic import context

from stanchion.dead_letters.migrations import VERSION_TABLE

context.configure(connection=context.config.attributes["connection"], version_table=VERSION_TABLE)
context.run_migrations()
