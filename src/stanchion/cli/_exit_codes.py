# SPDX-License-Identifier: MIT
"""How commands end."""

from __future__ import annotations

from typing import Final

from stanchion.errors import StanchionError

OK: Final = 0
FAILED: Final = 1
"""It failed, or there was nothing such to show or to change."""
USAGE: Final = 2
"""The command is not right; nothing was done."""


class CommandError(StanchionError):
    """A command could not do its work; nobody but the command line sees this class.

    Attributes:
        exit_code: What the program ends with.
    """

    def __init__(
        self, subject: str, *, expected: str, got: str, fix: str | None = None, exit_code: int = FAILED
    ) -> None:
        text = f"{subject}: expected {expected}, got {got}"
        super().__init__(f"{text}\nFix: {fix}" if fix else text)
        self.exit_code: Final = exit_code
