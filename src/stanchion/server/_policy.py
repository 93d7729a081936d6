# SPDX-License-Identifier: MIT
"""The ``timeout`` option of whatever waits, and its default."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

from stanchion._validate import Seconds, seconds

if TYPE_CHECKING:
    from stanchion.kernel import Node


class Policy(Enum):
    """The type of ``POLICY``."""

    POLICY = "POLICY"

    def __repr__(self) -> str:
        return self.value


POLICY: Final = Policy.POLICY
"""Passed as a timeout: the default that the option's text names, in most cases the node's ``call_timeout``."""


def time_limit(subject: str, node: Node, timeout: Seconds | Policy | None) -> float | None:
    """Return the seconds that a ``timeout`` option means on a node; None for no limit."""
    return node.call_timeout if timeout is POLICY else None if timeout is None else seconds(subject, timeout)
