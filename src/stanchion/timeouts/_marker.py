# SPDX-License-Identifier: MIT
"""The default of every ``timeout`` option."""

from __future__ import annotations

from enum import Enum
from typing import Final

from stanchion._validate import Seconds, seconds_or_none


class Policy(Enum):
    """The type of ``POLICY``."""

    POLICY = "POLICY"

    def __repr__(self) -> str:
        return self.value


POLICY: Final = Policy.POLICY
"""Passed as a timeout: what the node's ``TimeoutPolicy`` says."""


def checked_timeout(subject: str, timeout: Seconds | Policy | None) -> float | Policy | None:
    """Return a timeout as float seconds, None for no limit, or POLICY.

    Raises:
        InvalidOptionError: it is none of these.
    """
    return timeout if isinstance(timeout, Policy) else seconds_or_none(subject, timeout)
