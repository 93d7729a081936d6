# SPDX-License-Identifier: MIT
"""Wrong options of breakers and their policies, and what their errors say."""

from __future__ import annotations

import pytest

from stanchion import Node
from stanchion.breakers import BreakerPolicy, CircuitBreaker
from stanchion.errors import InvalidOptionError

RATE = "BreakerPolicy(failure_rate): expected a part of the calls, above 0 and to 1, or None, got "
RATE_FIX = "\nFix: 0.5 means every second call; pass None to count failures in a row only."


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"failure_threshold": 0}, "BreakerPolicy(failure_threshold): expected a whole number >= 1, got 0"),
        ({"failure_rate": 0}, f"{RATE}0{RATE_FIX}"),
        ({"failure_rate": 50}, f"{RATE}50{RATE_FIX}"),
        ({"failure_rate": True}, f"{RATE}True{RATE_FIX}"),
        ({"failure_rate": "half"}, f"{RATE}'half'{RATE_FIX}"),
        ({"minimum_calls": 0}, "BreakerPolicy(minimum_calls): expected a whole number >= 1, got 0"),
        ({"window": 0}, "BreakerPolicy(window): expected seconds > 0, got 0"),
        (
            {"window": -1},
            "BreakerPolicy(window): expected seconds >= 0 as a finite number, or a timedelta, got -1",
        ),
        ({"reset_timeout": 5}, "BreakerPolicy(reset_timeout): expected an instance of Backoff, got 5"),
        ({"success_threshold": None}, "BreakerPolicy(success_threshold): expected a whole number >= 1, got None"),
        ({"is_failure": OSError()}, "BreakerPolicy(is_failure): expected a plain function, got OSError()"),
    ],
)
def test_policy_refuses_wrong_options(options: dict[str, object], text: str) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        BreakerPolicy(**options)  # type: ignore[arg-type]
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"name": ""}, "CircuitBreaker(name): expected a string that is not empty, got ''"),
        ({"name": 3}, "CircuitBreaker(name): expected a string that is not empty, got 3"),
        (
            {"name": "smtp", "policy": {"failure_threshold": 3}},
            "CircuitBreaker(policy): expected an instance of BreakerPolicy, got {'failure_threshold': 3}",
        ),
        (
            {"name": "smtp", "clock": 3},
            "CircuitBreaker(clock): expected a Clock, which has monotonic(), time() and call_at(), or None, got 3",
        ),
    ],
)
def test_breaker_refuses_wrong_arguments(arguments: dict[str, object], text: str) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        CircuitBreaker(**arguments)  # type: ignore[arg-type]
    assert str(caught.value) == text


def test_policy_shows_what_it_is() -> None:
    assert repr(BreakerPolicy(failure_rate=0.5)) == (
        "BreakerPolicy(failure_rate=0.5, failure_threshold=5, is_failure=None, minimum_calls=10, "
        "reset_timeout=Backoff(initial=5, factor=2, maximum=300, jitter=0.1), success_threshold=1, window=60.0)"
    )


@pytest.mark.parametrize("listener", [3, None])
def test_listener_that_cannot_be_called_is_refused(listener: object) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        CircuitBreaker("smtp").add_listener(listener)  # type: ignore[arg-type]
    assert str(caught.value) == f"add_listener(listener): expected a plain function, got {listener!r}"


async def answers_later(asked: object) -> bool:
    return bool(asked)


def test_async_listener_is_refused() -> None:
    with pytest.raises(InvalidOptionError) as caught:
        CircuitBreaker("smtp").add_listener(answers_later)
    assert str(caught.value) == f"add_listener(listener): expected a plain function, got {answers_later!r}"


def test_async_predicate_is_refused() -> None:
    with pytest.raises(InvalidOptionError) as caught:
        BreakerPolicy(is_failure=answers_later)  # type: ignore[arg-type]
    assert str(caught.value) == f"BreakerPolicy(is_failure): expected a plain function, got {answers_later!r}"


def test_node_refuses_what_is_no_policy() -> None:
    with pytest.raises(InvalidOptionError) as caught:
        Node(breaker=3)  # type: ignore[arg-type]
    assert str(caught.value) == (
        "Node(breaker): expected a BreakerPolicy or None, got 3\n"
        "Fix: pass a policy: each recipient gets a breaker of its own that follows it."
    )


@pytest.mark.parametrize("verb", ["add", "get"])
@pytest.mark.parametrize("name", ["", ["smtp"]])
def test_node_refuses_wrong_names_of_breakers(verb: str, name: object) -> None:
    breakers = Node().breakers
    arguments = [name, BreakerPolicy()] if verb == "add" else [name]
    with pytest.raises(InvalidOptionError) as caught:
        getattr(breakers, verb)(*arguments)
    assert str(caught.value) == f"breakers.{verb}(name): expected a string that is not empty, got {name!r}"


def test_node_refuses_a_second_breaker_of_one_name() -> None:
    breakers = Node().breakers
    breakers.add("smtp", BreakerPolicy())
    with pytest.raises(InvalidOptionError) as caught:
        breakers.add("smtp", BreakerPolicy())
    assert str(caught.value) == (
        "breakers.add(name): expected a name that no breaker of the node has, got 'smtp'\n"
        "Fix: add it before it is used, or use breakers.get() for the one that is there."
    )
