# SPDX-License-Identifier: MIT
"""How these tests run commands, and the databases that they run them on."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from typer.testing import CliRunner, Result

import stanchion
from stanchion.cli._commands import app
from stanchion.dead_letters import DeadLetter, DeadLetterQueue, SqlStore, Write, encode

NOON = 1_772_366_400.0
"""2026-03-01, 12:00 UTC."""

SOURCE = Path(stanchion.__file__).resolve().parents[1]
ENVIRONMENT = {
    "COLUMNS": None,
    "NO_COLOR": None,
    "FORCE_COLOR": None,
    "STANCHION_DB": None,
    "STANCHION_TRACEBACK": None,
}


def cli(*args: str, **environment: str) -> Result:
    """Run ``stanchion`` in this process; nobody is at its terminal."""
    result = CliRunner().invoke(app, args, prog_name="stanchion", env={**ENVIRONMENT, **environment})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def cli_json(*args: str) -> Any:
    """Return what ``stanchion ... --json`` prints, parsed."""
    result = cli(*args, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a process of its own that finds the same library."""
    kept = {key: value for key, value in os.environ.items() if key not in ENVIRONMENT}
    return {**kept, "PYTHONPATH": str(SOURCE), **more}


def command(*args: str) -> list[str]:
    """Return the command line of a process of its own."""
    return [sys.executable, "-m", "stanchion", *args]


def process(*args: str, cwd: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run ``stanchion`` as a process of its own."""
    return subprocess.run(
        command(*args), cwd=cwd, env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=15, check=False, **options,
    )  # fmt: skip


# --- databases -------------------------------------------------------------------------------------


def id_of(number: int) -> str:
    """Return the id of the letter with this number."""
    return f"019cb{number:03d}-0000-7000-8000-000000000000"


def letter(number: int, message: object = "hello", **fields: Any) -> DeadLetter:
    """Return a letter that was added ``number`` seconds after noon, exhausted unless ``fields`` say otherwise."""
    encoded = encode(message)
    plain = DeadLetter(
        id=id_of(number),
        recipient="mail",
        message_type=encoded.type,
        version=encoded.version,
        payload=encoded.payload,
        preview=encoded.preview,
        reason="noproc",
        state="exhausted",
        created_at=NOON + number,
        updated_at=NOON + number,
    )
    return msgspec.structs.replace(plain, **fields)


def database(path: Path, *letters: DeadLetter) -> str:
    """Write a database with these letters, and return its URL."""
    write(f"sqlite:///{path}", *letters)
    return f"sqlite:///{path}"


def write(url: str, *letters: DeadLetter) -> None:
    """Write these letters to a database."""

    async def fill() -> None:
        store = SqlStore(url)
        await store.open()
        await store.write([Write(letter) for letter in letters])
        await store.close()

    asyncio.run(fill())


def stored(url: str) -> dict[str, DeadLetter]:
    """Return the letters in a database by id, oldest first."""

    async def read() -> dict[str, DeadLetter]:
        async with DeadLetterQueue(url) as queue:
            return {letter.id: letter for letter in (await queue.list()).entries}

    return asyncio.run(read())


def states(url: str) -> list[str]:
    """Return the states of the letters in a database, oldest first."""
    return [letter.state for letter in stored(url).values()]


Fill = Callable[..., str]
