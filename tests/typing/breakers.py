# SPDX-License-Identifier: MIT
"""What type checkers make of circuit breakers. Checked, never run."""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_type

import stanchion as st
from stanchion.breakers import BreakerStatistics, CircuitChange, Permit

breaker = st.CircuitBreaker("smtp", st.BreakerPolicy(is_failure=lambda error: not isinstance(error, LookupError)))


@breaker
def plain(number: int, *, text: str = "") -> float:
    return number / len(text)


@breaker
async def waits(number: int) -> str:
    return str(number)


async def use(node: st.Node) -> int:
    assert_type(plain(1, text="x"), float)
    assert_type(await waits(1), str)
    assert_type(node.breakers.statistics(), tuple[BreakerStatistics, ...])
    assert_type(breaker.add_listener(hear), Callable[[], None])
    with breaker.enter() as permit:
        assert_type(permit, Permit)
    async with breaker as permit:
        assert_type(permit, Permit)
        return 1  # no error: a block swallows no exception, so there is no way around it


def hear(change: CircuitChange) -> None:
    assert_type(change.breaker, st.CircuitBreaker)


def wrong() -> None:
    plain("1")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    st.BreakerPolicy(failure_threshold="3")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    st.Node(breaker=breaker)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
