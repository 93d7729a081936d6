# SPDX-License-Identifier: MIT
"""What Alembic runs to apply revisions: on the connection, and in the transaction, that it is given."""

from __future__ import annotations

from alembic import context

context.configure(**context.config.attributes)
context.run_migrations()
