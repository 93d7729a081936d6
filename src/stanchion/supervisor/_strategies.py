# SPDX-License-Identifier: MIT
"""Strategies: which children stop and start again when one of them is restarted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeVar, get_args

from stanchion._validate import one_of

_C = TypeVar("_C")

Strategy = Literal["one_for_one", "one_for_all", "rest_for_one"]
"""Who is restarted with a child: nobody, all the others, or those that were started after it."""


def checked_strategy(subject: str, strategy: str) -> Strategy:
    """Return ``strategy`` when it is one.

    Raises:
        InvalidOptionError: it is not; the error names the nearest one.
    """
    return one_of(subject, strategy, get_args(Strategy))  # type: ignore[return-value]  # narrowed by one_of


def affected(strategy: Strategy, children: Sequence[_C], failed: _C) -> Sequence[_C]:
    """Return the children to restart, in the order of their start; those of them that run are stopped in reverse.

    Source: ``restart/3`` of OTP's supervisor.
    """
    if strategy == "one_for_all":
        return children
    if strategy == "rest_for_one":
        return children[children.index(failed) :]
    return [failed]
