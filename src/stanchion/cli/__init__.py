# SPDX-License-Identifier: MIT
"""The command line: run an application, and see to the letters that nobody could deliver.

It uses what every program can use, the dead-letter queue and ``run``, and adds words for people and JSON for
programs. It needs typer and rich, which come with the extra ``cli``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from stanchion._public import show_public_path

__all__ = ["main"]

_EXTRA = ("typer", "rich", "click")  # what the extra installs; click came with typer before its release 0.20


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line, and end the program with its exit code.

    0: done. 1: it failed, or there was nothing such to change. 2: the command is not right; nothing was done.

    Args:
        args: The words after ``stanchion``; None for those that the program was started with.

    Raises:
        SystemExit: always.

    Example:
        >>> main(["--version"])
        Traceback (most recent call last):
        SystemExit: 0
    """
    try:
        from stanchion.cli._commands import app
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _EXTRA:
            raise
        message = f"error: stanchion: expected the extra for the command line, got no {missing}"
        print(message, "Fix: pip install 'stanchion[cli]'", sep="; ", file=sys.stderr)
        sys.exit(2)
    app(args=args, prog_name="stanchion")


show_public_path(globals())
