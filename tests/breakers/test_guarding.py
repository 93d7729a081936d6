# SPDX-License-Identifier: MIT
"""The ways to send a call through a circuit: a block, a decorator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from functools import partial

import pytest

import stanchion as st
from stanchion.breakers import CircuitBreaker, CircuitState
from stanchion.errors import CircuitOpenError, DeadlineExceededError, InvalidOptionError
from stanchion.kernel import ProcessExit
from tests.breakers.helpers import ManualClock, fail, new_breaker


@pytest.fixture
def breaker(clock: ManualClock) -> CircuitBreaker:
    """Return a breaker that opens at the first failure."""
    return new_breaker(clock, failure_threshold=1)


def counts(breaker: CircuitBreaker) -> tuple[int, int]:
    return breaker.statistics().successes, breaker.statistics().failures


async def test_block_that_ends_well_is_a_success(breaker: CircuitBreaker) -> None:
    async with breaker:
        pass
    assert counts(breaker) == (1, 0)


async def test_block_that_raises_is_a_failure_and_the_error_goes_on(breaker: CircuitBreaker) -> None:
    with pytest.raises(OSError, match="gone"):
        async with breaker:
            raise OSError("gone")
    assert counts(breaker) == (0, 1)
    with pytest.raises(CircuitOpenError):
        async with breaker:
            pytest.fail("an open circuit lets no block begin")


async def test_block_can_say_by_its_permit_what_is_no_exception(breaker: CircuitBreaker) -> None:
    async with breaker as permit:
        permit.failed("503 unavailable")
    assert (counts(breaker), breaker.state) == ((0, 1), CircuitState.OPEN)


async def test_timeout_inside_of_the_block_is_a_failure(breaker: CircuitBreaker) -> None:
    with pytest.raises(TimeoutError):
        async with breaker, asyncio.timeout(0):
            await asyncio.Event().wait()
    assert counts(breaker) == (0, 1)


async def test_deadline_inside_of_the_block_is_a_failure(node: st.Node, breaker: CircuitBreaker) -> None:
    with pytest.raises(DeadlineExceededError):
        async with breaker, st.deadline(1):
            await asyncio.Event().wait()
    assert counts(breaker) == (0, 1)


async def test_deadline_around_the_block_counts_neither_way(node: st.Node, breaker: CircuitBreaker) -> None:
    with pytest.raises(DeadlineExceededError):
        async with st.deadline(1), breaker:
            await asyncio.Event().wait()
    assert counts(breaker) == (0, 0)


async def test_cancellation_counts_neither_way(breaker: CircuitBreaker) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0), breaker:
            await asyncio.Event().wait()
    assert counts(breaker) == (0, 0)


async def test_exit_signal_counts_neither_way(breaker: CircuitBreaker) -> None:
    with pytest.raises(ProcessExit):
        async with breaker:
            raise ProcessExit("shutdown")
    assert counts(breaker) == (0, 0)


async def test_cancelled_probe_lets_another_one_through(breaker: CircuitBreaker, clock: ManualClock) -> None:
    fail(breaker)
    clock.now += 5
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0), breaker:
            await asyncio.Event().wait()
    async with breaker:
        pass
    assert breaker.state is CircuitState.CLOSED


async def test_blocks_within_blocks_each_count_for_themselves(breaker: CircuitBreaker) -> None:
    async with breaker:
        async with breaker as inner:
            inner.succeeded()
        async with breaker:
            pass
    assert counts(breaker) == (3, 0)


async def test_blocks_of_several_tasks_are_not_mixed_up(breaker: CircuitBreaker, clock: ManualClock) -> None:
    fail(breaker)
    clock.now += 5
    leave = asyncio.Event()

    async def probe() -> None:
        async with breaker:
            await leave.wait()

    task = asyncio.create_task(probe())
    await asyncio.sleep(0)
    with pytest.raises(CircuitOpenError):
        async with breaker:
            pytest.fail("the probe goes alone")
    leave.set()
    await task
    assert breaker.state is CircuitState.CLOSED


async def test_block_that_another_task_leaves_counts_neither_way(breaker: CircuitBreaker) -> None:
    await asyncio.create_task(breaker.__aenter__())
    await breaker.__aexit__(None, None, None)
    assert counts(breaker) == (0, 0)


async def test_block_of_a_task_that_is_gone_counts_neither_way(breaker: CircuitBreaker) -> None:
    await asyncio.create_task(breaker.__aenter__())
    await asyncio.sleep(0)  # until then the loop has the task
    await breaker.__aexit__(None, None, None)
    assert counts(breaker) == (0, 0)


async def test_block_that_another_task_leaves_frees_the_place_of_its_probe(
    breaker: CircuitBreaker, clock: ManualClock
) -> None:
    async def lines() -> AsyncGenerator[int, None]:
        async with breaker:
            yield 1

    fail(breaker)
    clock.now += 5
    reading = lines()
    await anext(reading)
    await asyncio.create_task(reading.aclose())
    assert (breaker.state, breaker.rejects) == (CircuitState.HALF_OPEN, False)


async def test_block_that_another_task_leaves_takes_no_permit_of_a_later_block(breaker: CircuitBreaker) -> None:
    await breaker.__aenter__()
    async with breaker as later:
        await asyncio.create_task(breaker.__aexit__(None, None, None))
        later.failed("503 unavailable")
    assert counts(breaker) == (0, 1)


def test_plain_block_ends_as_it_is_left(breaker: CircuitBreaker) -> None:
    with breaker.enter():
        pass
    with pytest.raises(OSError, match="gone"), breaker.enter():
        raise OSError("gone")
    assert counts(breaker) == (1, 1)


async def test_async_function_goes_through_the_circuit(breaker: CircuitBreaker) -> None:
    @breaker
    async def half(number: int) -> float:
        """Halve."""
        await asyncio.sleep(0)
        return 1 / number

    assert (half.__name__, half.__doc__) == ("half", "Halve.")
    assert await half(2) == 0.5
    with pytest.raises(ZeroDivisionError):
        await half(0)
    assert counts(breaker) == (1, 1)
    with pytest.raises(CircuitOpenError):
        await half(2)


def test_plain_function_goes_through_the_circuit(breaker: CircuitBreaker) -> None:
    @breaker
    def half(number: int) -> float:
        """Halve."""
        return 1 / number

    assert (half.__name__, half.__doc__) == ("half", "Halve.")
    assert half(2) == 0.5
    with pytest.raises(ZeroDivisionError):
        half(0)
    with pytest.raises(CircuitOpenError):
        half(2)
    assert counts(breaker) == (1, 1)


async def test_partial_of_an_async_function_is_awaited_inside_of_the_circuit(breaker: CircuitBreaker) -> None:
    async def half(number: int) -> float:
        return 1 / number

    with pytest.raises(ZeroDivisionError):
        await breaker(partial(half, 0))()
    assert counts(breaker) == (0, 1)


async def test_object_with_an_async_call_is_awaited_inside_of_the_circuit(breaker: CircuitBreaker) -> None:
    class Half:
        async def __call__(self, number: int) -> float:
            return 1 / number

    with pytest.raises(ZeroDivisionError):
        await breaker(Half())(0)
    assert counts(breaker) == (0, 1)


def yields() -> Iterator[int]:
    yield 1


async def yields_async() -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize("function", [yields, yields_async])
def test_function_that_yields_is_refused(breaker: CircuitBreaker, function: object) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        breaker(function)  # type: ignore[arg-type]
    assert str(caught.value) == (
        "@ of circuit breaker 'smtp': expected a function, plain or async, that does not yield, "
        f"got {function!r}\nFix: guard what it does between two yields by `with breaker.enter():`."
    )


def test_what_is_no_function_is_refused(breaker: CircuitBreaker) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        breaker(3)  # type: ignore[arg-type]
    assert str(caught.value) == (
        "@ of circuit breaker 'smtp': expected a function, plain or async, that does not yield, got 3"
    )
