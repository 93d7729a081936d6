# SPDX-License-Identifier: MIT
"""A policy beside a reference that does the same in the plainest way; and under random changes, beside a model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cmp_to_key
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from stanchion.timeouts import Limits, Operation, TimeoutPolicy

WORDS = ("a", "b", "c")
SECONDS = some.integers(1, 40).map(lambda eighths: eighths / 8)
NAMES = some.lists(some.sampled_from(WORDS), min_size=1, max_size=4).map(".".join)
PATTERNS = (
    some.lists(some.sampled_from((*WORDS, "*", "**")), min_size=1, max_size=4)
    .map(".".join)
    .filter(lambda text: "*" in text)
)
FACTORS = some.sampled_from([0.25, 0.5, 1.0, 2.0, 8.0])


class Plain:
    """A request without a name."""


class Named:
    """A request whose class has a name."""

    operation = "a.b"


class Own:
    """Requests with names of their own, or none."""

    operation: str | None

    def __init__(self, operation: str | None) -> None:
        self.operation = operation


CLASSES = (Plain, Named, Own)


def path(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


class Stock: ...


class Orders: ...


REQUESTS = some.one_of(
    NAMES,
    some.tuples(NAMES, some.integers()),
    some.builds(Own, some.none() | NAMES),
    some.builds(Plain),
    some.builds(Named),
    NAMES.map(lambda name: Operation(name, len(name) if "b" in name else None)),  # one default for each name
)
SERVERS = some.tuples(some.sampled_from([Stock, Orders]), some.none() | some.sampled_from(WORDS))
OPERATION_KEYS = NAMES | some.sampled_from([path(cls) for cls in CLASSES])
SERVICE_KEYS = some.sampled_from([*WORDS, path(Stock), path(Orders)])


class Told(NamedTuple):
    """What a policy is told."""

    default: float
    operations: Mapping[str, float]
    patterns: Mapping[str, float]
    services: Mapping[str, float]
    factor: float
    minimum: float | None
    maximum: float | None


TOLD = some.builds(
    Told,
    default=SECONDS,
    operations=some.dictionaries(OPERATION_KEYS, SECONDS, max_size=4),
    patterns=some.dictionaries(PATTERNS, SECONDS, max_size=6),
    services=some.dictionaries(SERVICE_KEYS, SECONDS, max_size=3),
    factor=FACTORS,
    minimum=some.none() | some.sampled_from([0.5, 1.0]),
    maximum=some.none() | some.sampled_from([1.0, 4.0]),
)


# --- the reference -----------------------------------------------------------------------------------


def names_of(request: object) -> list[str]:
    match request:
        case str():
            return [request]
        case tuple() if isinstance(request[0], str):
            return [request[0]]
        case Operation():
            return [request.operation]
        case Named() | Own() if request.operation is not None:
            return [request.operation, path(type(request))]
        case _:
            return [path(type(request))]


def fits(pattern: str, name: str) -> bool:
    """A pattern as a regular expression, each segment with the dot behind it."""
    parts = {"*": r"[^.]+\.", "**": r"([^.]+\.)*"}
    return bool(re.fullmatch("".join(parts.get(part, rf"{part}\.") for part in pattern.split(".")), f"{name}."))


def more_specific(one: str, other: str) -> int:
    """The rule of the docs, sentence by sentence; negative when the first one goes first."""
    ours, theirs = one.split("."), other.split(".")

    def plain(segments: list[str]) -> list[str]:
        return [segment for segment in segments if segment not in ("*", "**")]

    if len(plain(ours)) != len(plain(theirs)):
        return len(plain(theirs)) - len(plain(ours))
    if ours.count("*") != theirs.count("*"):
        return theirs.count("*") - ours.count("*")
    if ours.count("**") != theirs.count("**"):
        return ours.count("**") - theirs.count("**")
    for mine, its in zip(ours, theirs, strict=True):
        if (mine in ("*", "**")) != (its in ("*", "**")):
            return 1 if mine in ("*", "**") else -1
        if mine != its and mine in ("*", "**"):
            return -1 if mine == "*" else 1
    return -1 if one < other else 1


def expected(told: Told, code: type, name: str | None, request: object) -> float:
    names = names_of(request)
    seconds = told.default
    for service in (path(code), name):  # the last one that says something counts
        seconds = told.services.get(service or "", seconds)
    if isinstance(request, Operation) and request.default is not None:
        seconds = request.default
    patterns = [pattern for pattern in told.patterns if any(fits(pattern, one) for one in names)]
    if patterns:
        seconds = told.patterns[min(patterns, key=cmp_to_key(more_specific))]
    for one in reversed(names):
        seconds = told.operations.get(one, seconds)
    seconds *= told.factor
    if told.maximum is not None:
        seconds = min(seconds, told.maximum)
    if told.minimum is not None:
        seconds = max(seconds, told.minimum)
    return seconds


def policy_of(told: Told) -> TimeoutPolicy:
    return TimeoutPolicy(
        told.default,
        operations=told.operations,
        patterns=told.patterns,
        services=told.services,
        factor=told.factor,
        minimum=told.minimum,
        maximum=told.maximum,
    )


# --- the properties ----------------------------------------------------------------------------------


@given(TOLD, some.lists(some.tuples(SERVERS, REQUESTS), min_size=1, max_size=8))
def test_limit_is_that_of_the_reference_whatever_was_asked_before(told: Told, asked) -> None:
    policy = policy_of(told)
    for (code, name), request in asked:
        assert policy.limit(code, name, request) == expected(told, code, name, request)


@given(TOLD, SERVERS, REQUESTS, some.none() | SECONDS)
def test_decision_says_the_limit_and_adds_up(told: Told, server, request, deadline: float | None) -> None:
    code, name = server
    decision = policy_of(told).decide(code, name, request, deadline=deadline)
    limit = expected(told, code, name, request)
    assert decision.limit == (limit if deadline is None else min(limit, deadline))
    assert decision.rule is not None
    assert decision.rule.seconds == decision.base
    base = decision.rule.seconds
    bounded = max(min(base * decision.factor, decision.maximum or 1e9), decision.minimum or 0)
    assert decision.limit == min(bounded, 1e9 if decision.deadline is None else decision.deadline)
    assert decision.losers == () or decision.losers[-1].kind == "default"


@given(SERVERS, REQUESTS, some.none() | SECONDS, some.none() | SECONDS, TOLD)
def test_explicit_timeout_is_cut_by_the_deadline_alone(
    server, request, timeout: float | None, deadline: float | None, told: Told
) -> None:
    code, name = server
    decision = policy_of(told).decide(code, name, request, timeout=timeout, deadline=deadline)
    there = [seconds for seconds in (timeout, deadline) if seconds is not None]
    assert decision.limit == (min(there) if there else None)
    assert decision.rule is None


@given(PATTERNS, NAMES)
def test_pattern_fits_what_its_regular_expression_fits(pattern: str, name: str) -> None:
    assert (TimeoutPolicy(1, patterns={pattern: 2}).limit(Stock, None, name) == 2.0) is fits(pattern, name)


@given(some.lists(PATTERNS, min_size=2, unique=True))
def test_no_two_patterns_are_equally_specific(patterns: list[str]) -> None:
    assert all(more_specific(one, other) * more_specific(other, one) < 0 for one, other in pairwise(patterns))


# --- changes -----------------------------------------------------------------------------------------


class PolicyBesideModel(RuleBasedStateMachine):
    """Rules are set, taken back and loaded anew, while processes hold tables as the kernel's do."""

    @initialize(told=TOLD)
    def begin(self, told: Told) -> None:
        self.policy = policy_of(told)
        self.loaded = told
        self.set: dict[tuple[str, str | None], float] = {}
        # What a process holds, by its code and name: it asks the table, and the policy when the table has nothing.
        self.held: dict[tuple[type, str | None], Limits] = {}

    def told(self) -> Told:
        tables = {
            f"{kind}s": {
                **getattr(self.loaded, f"{kind}s"),
                **{k: s for (one, k), s in self.set.items() if one == kind},
            }
            for kind in ("operation", "pattern", "service")
        }
        return self.loaded._replace(default=self.set.get(("default", None), self.loaded.default), **tables)

    @rule(seconds=SECONDS, key=OPERATION_KEYS)
    def set_operation(self, seconds: float, key: str) -> None:
        self.policy.set(seconds, operation=key)
        self.set["operation", key] = seconds

    @rule(seconds=SECONDS, key=PATTERNS)
    def set_pattern(self, seconds: float, key: str) -> None:
        self.policy.set(seconds, pattern=key)
        self.set["pattern", key] = seconds

    @rule(seconds=SECONDS, key=SERVICE_KEYS)
    def set_service(self, seconds: float, key: str) -> None:
        self.policy.set(seconds, service=key)
        self.set["service", key] = seconds

    @rule(seconds=SECONDS)
    def set_default(self, seconds: float) -> None:
        self.policy.set(seconds)
        self.set["default", None] = seconds

    @rule(draw=some.data())
    def reset_one(self, draw: some.DataObject) -> None:
        known = sorted(self.set, key=repr) or [("operation", "a")]
        kind, key = draw.draw(some.sampled_from(known))
        self.policy.reset(**{kind: key or True})
        self.set.pop((kind, key), None)

    @rule()
    def reset_all(self) -> None:
        self.policy.reset()
        self.set.clear()

    @rule(server=SERVERS, request=REQUESTS)
    def call(self, server: tuple[type, str | None], request: object) -> None:
        table = self.held.get(server)
        limit = None if table is None else table.get(type(request))
        if limit is None:
            self.held[server] = self.policy.limits(*server)
            limit = self.policy.limit(*server, request)
        assert limit == expected(self.told(), *server, request)

    @invariant()
    def rules_are_those_of_the_model(self) -> None:
        told = self.told()
        rules = [
            *(("operation", key, seconds) for key, seconds in sorted(told.operations.items())),
            *(("pattern", key, seconds) for key, seconds in sorted(told.patterns.items())),
            *(("service", key, seconds) for key, seconds in sorted(told.services.items())),
            ("default", None, told.default),
        ]
        assert [one[:3] for one in self.policy.rules()] == rules
        assert [one.source for one in self.policy.rules()] == [
            "set at run time" if (kind, key) in self.set else "code" for kind, key, _ in rules
        ]


TestPolicyBesideModel = PolicyBesideModel.TestCase
TestPolicyBesideModel.settings = settings(max_examples=60, stateful_step_count=20)


def test_model_notices_tables_that_are_not_emptied(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that never fails proves nothing."""
    monkeypatch.setattr("stanchion.timeouts._rules.RuleBook.retire", lambda self: None)
    machine = PolicyBesideModel()
    machine.begin(Told(1.0, {}, {}, {}, 1.0, None, None))
    machine.call((Stock, None), Plain())
    machine.set_default(2.0)
    with pytest.raises(AssertionError):
        machine.call((Stock, None), Plain())
