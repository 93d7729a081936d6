# SPDX-License-Identifier: MIT
"""The default of every ``timeout`` option."""

from __future__ import annotations

from enum import Enum
from typing import Final


class Policy(Enum):
    """The type of ``POLICY``."""

    POLICY = "POLICY"

    def __repr__(self) -> str:
        return self.value


POLICY: Final = Policy.POLICY
"""Passed as a timeout: the default that the option's text names, in most cases the node's ``call_timeout``."""
