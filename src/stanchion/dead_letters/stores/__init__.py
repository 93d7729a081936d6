# SPDX-License-Identifier: MIT
"""The kinds of stores, and which URL means which."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from stanchion._validate import cut, nearest
from stanchion.dead_letters.stores.memory import MemoryStore
from stanchion.errors import InvalidOptionError

if TYPE_CHECKING:
    from stanchion.dead_letters._store import Store

_SCHEMES = ("memory", "sqlite")


def check_url(url: str) -> str:
    """Return the URL's scheme when there is a store for it.

    Raises:
        InvalidOptionError: there is none.
    """
    scheme = url.partition(":")[0]
    if scheme in _SCHEMES and ":" in url:
        return scheme
    guess = nearest(scheme, _SCHEMES)
    raise InvalidOptionError(
        "dead-letter store",
        expected='a store, or a URL: "sqlite:///letters.db" or "memory:"',
        got=cut(url),
        fix=f"did you mean {guess}:?" if guess else None,
    )


async def store_of(url: str) -> Store:
    """Return a new store for the URL. Loads SQLAlchemy, in a thread, when it is the first SQL store.

    Raises:
        InvalidOptionError: the URL is wrong.
    """
    return MemoryStore() if check_url(url) == "memory" else await asyncio.to_thread(_sql_store, url)


def _sql_store(url: str) -> Store:
    from stanchion.dead_letters.stores.sql import SqlStore

    return SqlStore(url)
