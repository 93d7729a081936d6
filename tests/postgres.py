# SPDX-License-Identifier: MIT
"""PostgreSQL for tests: a schema for each on a server that is there, and a server of our own to stop and start."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self


def execute(url: str, *statements: str) -> list[Any]:
    """Run statements on a connection of their own, and return the rows of the last one. Not for async tests."""
    return asyncio.run(execute_async(url, *statements))


async def execute_async(url: str, *statements: str) -> list[Any]:
    """Run statements on a connection of their own, and return the rows of the last one."""
    import asyncpg

    connection = await asyncpg.connect(url)
    try:
        rows: list[Any] = []
        for statement in statements:
            rows = [tuple(row) for row in await connection.fetch(statement)]
        return rows
    finally:
        await connection.close()


@contextmanager
def schema_in(url: str) -> Generator[str]:
    """Make an empty schema, and give the URL under which it is what unqualified names mean."""
    schema = f"test_{uuid.uuid4().hex}"
    execute(url, f"CREATE SCHEMA {schema}")
    yield f"{url}{'&' if '?' in url else '?'}search_path={schema}"
    execute(url, f"DROP SCHEMA {schema} CASCADE")


class PostgresServer:
    """A PostgreSQL server in a folder of its own, on a port of loopback, which trusts everybody.

    Attributes:
        url: Its database ``postgres``.
    """

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs = programs
        self._folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self.url = f"postgresql://postgres@127.0.0.1:{self._port}/postgres"

    @staticmethod
    def find_programs() -> Path | None:
        """Return the folder with ``initdb`` and ``pg_ctl``; Debian keeps them out of the path."""
        if found := shutil.which("pg_ctl"):
            return Path(found).resolve().parent
        return max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), default=None)

    @classmethod
    @contextmanager
    def made(cls, programs: Path) -> Generator[Self]:
        """Make a server, and remove it afterwards."""
        with tempfile.TemporaryDirectory(prefix="stanchion-postgres-", ignore_cleanup_errors=True) as name:
            server = cls(programs, Path(name))
            if os.geteuid() == 0:
                shutil.chown(name, "postgres")
            server._run("initdb", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-sync")
            try:
                yield server
            finally:
                server.stop("immediate")

    def start(self) -> None:
        """Start it, unless it runs; it takes connections when this returns."""
        if self._run("pg_ctl", "status", check=False) != 0:
            options = f"-p {self._port} -c listen_addresses=127.0.0.1 -c fsync=off -k {self._folder}"
            self._run("pg_ctl", "start", "--wait", "--silent", "--log", f"{self._folder}/log", "--options", options)

    def stop(self, mode: str = "fast") -> None:
        """Stop it: ``"fast"`` ends all sessions; ``"immediate"`` is a crash."""
        self._run("pg_ctl", "stop", "--wait", "--silent", "--mode", mode, check=False)

    def _run(self, program: str, *args: str, check: bool = True) -> int:
        command = [str(self._programs / program), "--pgdata", f"{self._folder}/data", *args]
        user = "postgres" if os.geteuid() == 0 else None  # it refuses to be run by root
        done = subprocess.run(command, user=user, cwd=self._folder, stdout=subprocess.DEVNULL, check=check)
        return done.returncode
