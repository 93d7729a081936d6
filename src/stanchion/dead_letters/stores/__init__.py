# SPDX-License-Identifier: MIT
"""The kinds of stores, and which URL means which."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from stanchion import storage
from stanchion.dead_letters.stores.memory import MemoryStore

if TYPE_CHECKING:
    from stanchion.dead_letters._store import Store


def check_url(url: str) -> str:
    """Return the URL's scheme when there is a store for it.

    Raises:
        InvalidOptionError: there is none.
    """
    return storage.check_url("dead-letter store", url, also=("memory",))


async def store_of(url: str) -> Store:
    """Return a new store for the URL. Loads SQLAlchemy, in a thread, when it is the first SQL store.

    Raises:
        InvalidOptionError: the URL is wrong.
    """
    return MemoryStore() if check_url(url) == "memory" else await asyncio.to_thread(_sql_store, url)


def _sql_store(url: str) -> Store:
    from stanchion.dead_letters.stores.sql import SqlStore

    return SqlStore(url)
