# SPDX-License-Identifier: MIT
"""Reading a TOML file, with an error of ours for each way in which that goes wrong."""

from __future__ import annotations

from stanchion.errors import ConfigError


def read_toml(path: str, error: type[ConfigError], *, subject: str | None = None) -> dict[str, object]:
    """Return what a TOML file holds. It blocks.

    Args:
        path: The file.
        error: The class of what is raised.
        subject: What the file is called in texts; None for its path.

    Raises:
        ConfigError: the file cannot be read, or is no TOML.
    """
    import tomllib  # only programs with a file pay for these two
    from pathlib import Path

    shown = path if subject is None else subject
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as cause:
        got = cause.strerror or repr(cause)
        raise error(shown, None, subject=shown, expected="a file to read", got=got) from cause
    except (ValueError, RecursionError) as cause:  # no TOML, or no UTF-8; or tables within tables without an end
        raise error(shown, None, subject=shown, expected="TOML", got=str(cause)) from cause
