# SPDX-License-Identifier: MIT
"""A PostgreSQL server to measure on, where there is one."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import uuid4

SERVER: Final = os.environ.get("STANCHION_TEST_POSTGRES", "")
"""The URL of a server on which databases may be made; empty where there is none."""


@asynccontextmanager
async def new_database() -> AsyncGenerator[str, None]:
    """Make a database for the block, and give its URL."""
    name = f"stanchion_bench_{uuid4().hex}"
    async with connected(SERVER) as server:
        await server.execute(f"CREATE DATABASE {name}")
        try:
            yield urlsplit(SERVER)._replace(path=f"/{name}").geturl()
        finally:
            await server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@asynccontextmanager
async def connected(url: str) -> AsyncGenerator[Any, None]:
    """Give a connection of asyncpg, which has no types, for the block."""
    connection: Any = await import_module("asyncpg").connect(url)
    try:
        yield connection
    finally:
        await connection.close()
