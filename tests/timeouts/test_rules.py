# SPDX-License-Identifier: MIT
"""Which rule counts, by which names it speaks of a request, and what is kept of it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from stanchion.errors import InvalidOptionError
from stanchion.timeouts import INIT, SEND, Operation, Rule, TimeoutPolicy, timeouts_of
from tests.timeouts.requests import (
    PATH,
    Annotated,
    ByHand,
    Inventory,
    Lookup,
    Optional,
    Order,
    Query,
    Report,
    Reserve,
    Sku,
    Undeclared,
    Verb,
    WithMethod,
)


def limit(policy: TimeoutPolicy, request: object, code: object = Inventory, name: object = None) -> float:
    """Return the limit, asked for twice: what is kept must be what was found."""
    first = policy.limit(code, name, request)
    assert policy.limit(code, name, request) == first
    assert policy.limits(code, name).get(type(request), first) == first
    return first


# --- precedence ----------------------------------------------------------------------------------


def test_policy_gives_five_seconds_when_nobody_says_more() -> None:
    assert limit(TimeoutPolicy(), Reserve()) == 5.0


def test_policy_prefers_operation_then_pattern_then_service_then_default() -> None:
    rules = {"operations": {"cache.get": 1.0}, "patterns": {"cache.*": 2.0}, "services": {"stock": 3.0}}
    assert limit(TimeoutPolicy(4.0, **rules), "cache.get", name="stock") == 1.0
    assert limit(TimeoutPolicy(4.0, **rules), "cache.put", name="stock") == 2.0
    assert limit(TimeoutPolicy(4.0, **rules), "reserve", name="stock") == 3.0
    assert limit(TimeoutPolicy(4.0, **rules), "reserve", name="other") == 4.0


def test_policy_prefers_the_name_of_an_operation_to_its_class() -> None:
    policy = TimeoutPolicy(operations={"cache.lookup": 1.0, Lookup: 2.0, Reserve: 3.0})
    assert limit(policy, Lookup()) == 1.0
    assert limit(policy, Reserve()) == 3.0


def test_policy_prefers_the_name_of_a_server_to_its_class() -> None:
    policy = TimeoutPolicy(services={"stock": 1.0, Inventory: 2.0})
    assert limit(policy, Reserve(), name="stock") == 1.0
    assert limit(policy, Reserve()) == 2.0
    assert limit(policy, Reserve(), code=Reserve) == 5.0


def test_policy_takes_paths_for_classes() -> None:
    policy = TimeoutPolicy(operations={PATH + "Reserve": 1.0}, services={PATH + "Inventory": 2.0})
    assert limit(policy, Reserve()) == 1.0
    assert limit(policy, Lookup()) == 2.0


def test_rule_for_a_function_counts_for_the_process_that_runs_it() -> None:
    def body() -> None: ...

    assert limit(TimeoutPolicy(services={body: 1.0}), "x", code=body) == 1.0


def test_rule_for_a_class_does_not_count_for_those_that_derive_from_it() -> None:
    class Sooner(Reserve): ...

    assert limit(TimeoutPolicy(operations={Reserve: 1.0}), Sooner()) == 5.0


def test_wait_of_the_runtime_has_its_own_default_beneath_the_rules() -> None:
    own = Operation("stanchion.own", 60.0)
    assert limit(TimeoutPolicy(), own) == 60.0
    assert limit(TimeoutPolicy(services={"stock": 3.0}), own, name="stock") == 60.0
    assert limit(TimeoutPolicy(patterns={"stanchion.*": 2.0}), own) == 2.0
    assert limit(TimeoutPolicy(operations={"stanchion.own": 1.0}), own) == 1.0
    assert limit(TimeoutPolicy(), INIT) == 5.0


def test_process_that_is_known_by_text_is_a_service_of_that_name() -> None:
    assert limit(TimeoutPolicy(services={"the application": 1.0}), "x", code="the application") == 1.0


def test_process_of_an_object_that_is_called_is_known_by_its_class() -> None:
    assert limit(TimeoutPolicy(services={Inventory: 1.0}), "x", code=Inventory()) == 1.0


# --- factor and bounds -----------------------------------------------------------------------------


def test_factor_changes_every_rule_before_minimum_and_maximum() -> None:
    policy = TimeoutPolicy(5.0, operations={"a": 0.1, "b": 30.0, "c": 2.0}, factor=2.0, minimum=1.0, maximum=20.0)
    assert [limit(policy, name) for name in ("a", "b", "c", "other")] == [1.0, 20.0, 4.0, 10.0]


@pytest.mark.parametrize(("environment", "seconds"), [("ci", 20.0), ("laptop", 10.0), (None, 10.0)])
def test_environment_has_its_factor_or_the_one_of_all_others(environment: str | None, seconds: float) -> None:
    policy = TimeoutPolicy(5.0, factor=2.0, environments={"ci": 4.0}, environment=environment)
    assert limit(policy, Reserve()) == seconds


def test_limit_is_never_longer_than_a_timer_can_be() -> None:
    assert limit(TimeoutPolicy(1e300, factor=1e300), Reserve()) == 3e10


def test_durations_may_be_timedeltas() -> None:
    assert limit(TimeoutPolicy(timedelta(minutes=1)), Reserve()) == 60.0


# --- the names of requests --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "name"),
    [
        ("reserve", "reserve"),
        (("reserve", "tea", 3), "reserve"),
        (Verb.RESERVE, "reserve"),
        (Lookup(), "cache.lookup"),
        (Query("query.stock"), "query.stock"),
        (Order(), "order"),
        (Report(), "report"),
        (Report("weekly"), "weekly"),
        (ByHand(), "by.hand"),
        (ByHand("other"), "other"),
        (Undeclared("undeclared"), "undeclared"),
        (Lookup, "cache.lookup"),
        (Reserve, PATH + "Reserve"),
        (Reserve(), PATH + "Reserve"),
        (WithMethod(), PATH + "WithMethod"),
        (Sku("tea"), PATH + "Sku"),
        ((3, "x"), "builtins.tuple"),
        ((), "builtins.tuple"),
        (7, "builtins.int"),
    ],
)
def test_request_is_known_by(request_: object, name: str) -> None:
    assert limit(TimeoutPolicy(operations={name: 1.0, "someone.else": 2.0}), request_) == 1.0


@pytest.mark.parametrize("first", ["a", "b"])
@pytest.mark.parametrize("kind", [Query, Report, ByHand, Undeclared])
def test_requests_of_one_class_may_have_operations_of_their_own(kind, first: str) -> None:
    policy = TimeoutPolicy(operations={"a": 1.0, "b": 2.0})
    limit(policy, kind(first))
    assert (limit(policy, kind("a")), limit(policy, kind("b"))) == (1.0, 2.0)


@pytest.mark.parametrize("kind", [Query, Optional, Annotated])
def test_field_without_text_leaves_the_class_as_the_name(kind) -> None:
    policy = TimeoutPolicy(operations={"a": 1.0, kind: 2.0})
    assert limit(policy, kind(None)) == 2.0
    assert limit(policy, kind("a")) == 1.0


class Own(Operation):
    """As requests of Stanchion's are."""


def test_own_requests_of_one_class_may_be_for_waits_of_their_own() -> None:
    policy = TimeoutPolicy(operations={"stanchion.one": 1.0}, patterns={f"{__name__}.*": 9.0})
    one, other = Own("stanchion.one"), Own("stanchion.other", 7.0)
    assert (limit(policy, one), limit(policy, other)) == (1.0, 7.0)
    assert (limit(TimeoutPolicy(), one), limit(TimeoutPolicy(), other)) == (5.0, 7.0)


def test_limit_of_sends_is_kept_for_all_of_them() -> None:
    policy = TimeoutPolicy(operations={"stanchion.send": 9.0})
    assert limit(policy, SEND) == 9.0
    assert policy.limits(Inventory, None) == {type(SEND): 9.0}


def test_names_of_servers_and_operations_need_no_segments() -> None:
    policy = TimeoutPolicy(services={"http://stock../": 1.0}, operations={"more...": 2.0})
    assert (limit(policy, 7, name="http://stock../"), limit(policy, "more...")) == (1.0, 2.0)


def test_class_that_is_sent_counts_as_a_request_of_its_kind() -> None:
    policy = TimeoutPolicy(operations={Reserve: 1.0})
    assert (limit(policy, Reserve), limit(policy, Inventory)) == (1.0, 5.0)
    assert (limit(TimeoutPolicy(3.0), Reserve), limit(TimeoutPolicy(3.0), Inventory)) == (3.0, 3.0)


# --- patterns --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "fits", "does_not"),
    [
        ("cache.*", ["cache.get"], ["cache", "cache.a.b", "xcache.get"]),
        ("cache.**", ["cache", "cache.get", "cache.a.b"], ["caches.a"]),
        ("**.get", ["get", "a.get", "a.b.get"], ["a.get.b", "a.gets"]),
        ("a.**.z", ["a.z", "a.b.z", "a.z.z", "a.b.c.z"], ["a", "z", "a.b"]),
        ("**.a.**.b.**", ["a.b", "x.a.b", "a.x.b.y", "a.a.b.b"], ["b.a", "a.x"]),
        ("*.*", ["a.b"], ["a", "a.b.c"]),
        ("**", ["a", "a.b"], []),
    ],
)
def test_pattern_fits_whole_names_by_segments(pattern: str, fits: list[str], does_not: list[str]) -> None:
    policy = TimeoutPolicy(5.0, patterns={pattern: 1.0})
    assert [name for name in [*fits, *does_not] if limit(policy, name) == 1.0] == fits


@pytest.mark.parametrize(
    ("stronger", "weaker", "name"),
    [
        ("a.*.c", "a.**", "a.b.c"),  # more plain segments
        ("*.b.c", "a.**", "a.b.c"),
        ("a.*", "a.**", "a.b"),  # as many, and more single ones
        ("a.*", "a.*.**", "a.b"),  # as many, and fewer open ones
        ("a.*", "*.b", "a.b"),  # plain where they first differ
        ("**.a.**", "**.b.**", "a.b"),  # the alphabet
    ],
)
def test_more_specific_pattern_wins(stronger: str, weaker: str, name: str) -> None:
    for patterns in ({stronger: 1.0, weaker: 2.0}, {weaker: 2.0, stronger: 1.0}):
        assert limit(TimeoutPolicy(patterns=patterns), name) == 1.0


def test_pattern_may_speak_of_classes() -> None:
    assert limit(TimeoutPolicy(patterns={PATH + "*": 1.0}), Reserve()) == 1.0


# --- what is kept ----------------------------------------------------------------------------------


def test_policy_keeps_one_table_for_all_servers_that_no_rule_speaks_of() -> None:
    policy = TimeoutPolicy(services={"stock": 1.0, Inventory: 2.0})
    common = policy.limits(Reserve, None)
    for number in range(1000):
        assert policy.limits(Reserve, f"server-{number}") is common
    assert policy.limits(Inventory, "a") is policy.limits(Inventory, "b")
    assert policy.limits(Inventory, "stock") is policy.limits(Reserve, "stock")
    assert policy.limits(Inventory, "a") is not policy.limits(Inventory, "stock")


def test_policy_keeps_the_limit_of_a_class_whose_requests_have_the_same() -> None:
    policy = TimeoutPolicy(operations={"cache.lookup": 1.0})
    for request in (Lookup(), Reserve(), WithMethod(), Order(), 7, "text", Query("q"), Report(), ("a",), INIT):
        policy.limit(Inventory, None, request)
    assert policy.limits(Inventory, None) == {Lookup: 1.0, Reserve: 5.0, WithMethod: 5.0, Order: 5.0, int: 5.0}


def test_policy_keeps_the_limit_of_every_class_when_no_rule_speaks_of_operations() -> None:
    policy = TimeoutPolicy()
    for request in ("text", Query("q"), ("a",), INIT):
        policy.limit(Inventory, None, request)
    assert policy.limits(Inventory, None) == {str: 5.0, Query: 5.0, tuple: 5.0}


def test_policy_forgets_limits_when_operations_are_named_by_data() -> None:
    policy = TimeoutPolicy(operations={"get 7": 1.0})
    for number in range(5000):
        policy.limit(Inventory, None, f"get {number}")
    table = policy._book.table(Inventory, None)
    assert len(table.by_value) <= 1024
    assert policy.limit(Inventory, None, "get 7") == 1.0


# --- what it takes ---------------------------------------------------------------------------------


def test_rules_are_sorted_and_say_who_wrote_them() -> None:
    policy = TimeoutPolicy(services={"b": 2, "a": 1}, patterns={"c.*": 3}, operations={"d": 4})
    policy.set(9, operation="e")
    assert policy.rules() == (
        Rule("operation", "d", 4.0, "code"),
        Rule("operation", "e", 9.0, "set at run time"),
        Rule("pattern", "c.*", 3.0, "code"),
        Rule("service", "a", 1.0, "code"),
        Rule("service", "b", 2.0, "code"),
        Rule("default", None, 5.0, "code"),
    )


def test_rules_may_be_listed_with_those_that_nobody_wrote() -> None:
    rules = TimeoutPolicy(3).rules(built_in=True)
    assert Rule("built_in", "stanchion.send", 30.0, "built-in") in rules
    assert rules[-1] == Rule("default", None, 3.0, "code")


def test_policy_says_what_it_was_told() -> None:
    policy = TimeoutPolicy(2, factor=3, environment="ci", minimum=1, maximum=9, debugger=60)
    assert (policy.default, policy.factor, policy.environment) == (2.0, 3.0, "ci")
    assert (policy.minimum, policy.maximum, policy.debugger) == (1.0, 9.0, 60.0)
    assert (policy.watch, policy.file, policy.services()) == (None, None, [])


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        (TimeoutPolicy(), "<TimeoutPolicy default 5 s>"),
        (TimeoutPolicy(2.5, services={"a": 1}), "<TimeoutPolicy default 2.5 s, 1 more rule>"),
        (TimeoutPolicy(services={"a": 1, "b": 2}, factor=2), "<TimeoutPolicy default 5 s, 2 more rules, factor 2>"),
    ],
)
def test_policy_shows_itself(policy: TimeoutPolicy, text: str) -> None:
    assert repr(policy) == text


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"default": 0}, "TimeoutPolicy(default): expected seconds > 0 as a finite number, or a timedelta, got 0"),
        (
            {"default": None},
            "TimeoutPolicy(default): expected seconds > 0 as a finite number, or a timedelta, got None",
        ),
        ({"default": -1}, "TimeoutPolicy(default): expected seconds > 0 as a finite number, or a timedelta, got -1"),
        (
            {"default": float("nan")},
            "TimeoutPolicy(default): expected seconds > 0 as a finite number, or a timedelta, got nan",
        ),
        (
            {"services": {"stock": float("inf")}},
            (
                "TimeoutPolicy(services): 'stock': expected seconds > 0 as a finite number, or a timedelta, got inf\n"
                "Fix: no limit is written where the wait is: timeout=None."
            ),
        ),
        (
            {"operations": {"a": True}},
            "TimeoutPolicy(operations): 'a': expected seconds > 0 as a finite number, or a timedelta, got True",
        ),
        (
            {"minimum": "500ms"},
            (
                "TimeoutPolicy(minimum): expected seconds > 0 as a finite number, or a timedelta, got '500ms'\n"
                "Fix: write 0.5."
            ),
        ),
        (
            {"debugger": -1},
            "TimeoutPolicy(debugger): expected seconds >= 0 as a finite number, or a timedelta, got -1",
        ),
        (
            {"default": "-5s"},
            "TimeoutPolicy(default): expected seconds > 0 as a finite number, or a timedelta, got '-5s'",
        ),
        (
            {"default": "1e400s"},
            "TimeoutPolicy(default): expected seconds > 0 as a finite number, or a timedelta, got '1e400s'",
        ),
        ({"factor": 0}, "TimeoutPolicy(factor): expected a finite number > 0, got 0"),
        (
            {"factor": timedelta(seconds=2)},
            "TimeoutPolicy(factor): expected a finite number > 0, got datetime.timedelta(seconds=2)",
        ),
        (
            {"environments": {"ci": "2"}},
            "TimeoutPolicy(environments): 'ci': expected a finite number > 0, got '2'\nFix: write 2.0.",
        ),
        ({"environments": {3: 2}}, "TimeoutPolicy(environments): 3: expected the name of an environment, got 3"),
        ({"environment": ""}, "TimeoutPolicy(environment): expected the name of an environment, got ''"),
        ({"minimum": 3, "maximum": 1}, "TimeoutPolicy(minimum): expected at most the maximum, 1, got 3"),
        ({"services": 3}, "TimeoutPolicy(services): expected a mapping, got 3"),
        (
            {"services": {3: 1}},
            "TimeoutPolicy(services): 3: expected a class, or the name of a service as the key, got 3",
        ),
        (
            {"operations": {"": 1}},
            "TimeoutPolicy(operations): '': expected a class, or the name of an operation as the key, got ''",
        ),
        ({"patterns": {"a..b": 1}}, "TimeoutPolicy(patterns): 'a..b': expected a pattern as the key, got 'a..b'"),
        (
            {"patterns": {"cache_*.get": 1}},
            (
                "TimeoutPolicy(patterns): 'cache_*.get': expected * or ** as a whole segment between dots, "
                "got 'cache_*' in 'cache_*.get'\nFix: write '*.get'."
            ),
        ),
        (
            {"operations": {"cache.*": 1}},
            (
                "TimeoutPolicy(operations): 'cache.*': expected an operation as the key, got the pattern 'cache.*'\n"
                "Fix: write 'cache.*' under patterns."
            ),
        ),
        (
            {"services": {"cache.*": 1}},
            (
                "TimeoutPolicy(services): 'cache.*': expected a service as the key, got the pattern 'cache.*'\n"
                "Fix: patterns are for operations."
            ),
        ),
    ],
)
def test_policy_refuses(arguments: dict[str, object], text: str) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        TimeoutPolicy(**arguments)
    assert str(caught.value) == text


def test_policy_knows_its_longest_limit() -> None:
    assert TimeoutPolicy(2, operations={"a": 9.0}, patterns={"b.*": 40.0}, maximum=30.0).longest == 30.0


def test_debugger_may_be_zero() -> None:
    assert TimeoutPolicy(debugger=0).debugger == 0.0


def test_option_may_be_a_policy_or_the_seconds_of_one() -> None:
    policy = TimeoutPolicy()
    assert timeouts_of("Node(timeouts)", policy) is policy
    assert timeouts_of("Node(timeouts)", 2).default == 2.0
    with pytest.raises(InvalidOptionError) as caught:
        timeouts_of("Node(timeouts)", 0)
    assert str(caught.value) == "Node(timeouts): expected seconds > 0 as a finite number, or a timedelta, got 0"
