# SPDX-License-Identifier: MIT
"""Why a wait has the limit that it has."""

from __future__ import annotations

import pytest

import stanchion as st
from stanchion.errors import InvalidOptionError
from stanchion.timeouts import Rule, TimeoutDecision, TimeoutPolicy
from tests.timeouts.requests import PATH, Inventory, Lookup, Query, Reserve

POLICY = TimeoutPolicy(
    4,
    services={"stock": 3.0, Inventory: 2.5},
    operations={"reserve": 2.0, Lookup: 1.0},
    patterns={"cache.*": 0.1},
    factor=2.0,
    minimum=0.5,
    maximum=5.0,
)
DEFAULT = Rule("default", None, 4.0, "code")
STOCK = Rule("service", "stock", 3.0, "code")


def test_decision_names_the_rule_that_counts_and_those_that_do_not() -> None:
    assert POLICY.explain("stock", "reserve") == TimeoutDecision(
        server="stock",
        request="reserve",
        limit=4.0,
        base=2.0,
        rule=Rule("operation", "reserve", 2.0, "code"),
        factor=2.0,
        losers=(STOCK, DEFAULT),
    )


def test_decision_names_the_bound_that_changed_the_limit() -> None:
    short, long = POLICY.explain("stock", "cache.get"), POLICY.explain("stock", "other")
    assert (short.limit, short.minimum, short.maximum) == (0.5, 0.5, None)
    assert (long.limit, long.minimum, long.maximum) == (5.0, None, 5.0)


def test_decision_names_the_deadline_that_cut_the_limit() -> None:
    assert POLICY.explain("stock", "reserve", deadline=1)[2:3] == (1.0,)
    assert POLICY.explain("stock", "reserve", deadline=1).deadline == 1.0
    assert POLICY.explain("stock", "reserve", deadline=4).deadline is None
    assert POLICY.explain("stock", "reserve", timeout=None, deadline=9).limit == 9.0
    assert POLICY.explain("stock", "reserve", timeout=0.1, deadline=9).limit == 0.1


def test_explicit_timeout_goes_before_every_rule_and_bound() -> None:
    decision = POLICY.explain("stock", "cache.get", timeout=0.1)
    assert (decision.limit, decision.base, decision.rule, decision.factor, decision.minimum) == (
        0.1,
        0.1,
        None,
        1.0,
        None,
    )
    assert POLICY.explain("stock", "x", timeout=None).limit is None
    assert [loser.key for loser in decision.losers] == ["cache.*", "stock", None]


def test_request_is_one_or_its_class_or_its_name() -> None:
    names = {POLICY.explain("stock", request).rule for request in (Lookup(), Lookup, "cache.x")}
    assert names == {Rule("pattern", "cache.*", 0.1, "code"), Rule("operation", PATH + "Lookup", 1.0, "code")}
    assert POLICY.explain("stock", PATH + "Lookup").base == 1.0
    assert POLICY.explain("stock", Query("reserve")).base == 2.0
    assert POLICY.explain("stock", Reserve).request == PATH + "Reserve"


def test_wait_of_the_runtime_is_known_by_its_name() -> None:
    decision = TimeoutPolicy().explain("stock", "stanchion.send")
    assert decision.rule == Rule("built_in", "stanchion.send", 30.0, "built-in")


def test_rule_of_a_service_does_not_count_for_a_wait_with_a_default_of_its_own() -> None:
    policy = TimeoutPolicy(services={"stock": 3.0})
    assert policy.explain("stock", "stanchion.send").limit == 30.0
    assert policy.explain("stock", "stanchion.init").limit == 3.0


@pytest.mark.parametrize(
    ("server", "name", "base"),
    [(Inventory, PATH + "Inventory", 2.5), (PATH + "Inventory", PATH + "Inventory", 2.5), ("stock", "stock", 3.0)],
)
def test_server_is_a_class_or_its_path_or_a_name(server, name: str, base: float) -> None:
    decision = POLICY.explain(server, "x")
    assert (decision.server, decision.base) == (name, base)


class Server(st.GenServer): ...


async def test_server_is_a_pid(node: st.Node) -> None:
    policy = TimeoutPolicy(services={Server: 2.0, "named": 1.0})
    plain, named = await st.start(Server), await st.start(Server, name="named")
    assert policy.explain(plain, "x").base == 2.0
    assert [str(rule) for rule in policy.explain(named, "x").losers] == [
        f"service '{__name__}.Server' = 2 s (code)",
        "default = 5 s (code)",
    ]
    await st.stop(plain)
    await st.stop(named)
    assert policy.explain(plain, "x").server == repr(plain)
    assert policy.explain(named, "x").base == 1.0


@pytest.mark.parametrize(
    ("explain", "text"),
    [
        (
            lambda: POLICY.explain(3, "x"),
            "TimeoutPolicy.explain(server): expected a pid, a class, its path, or a registered name, got 3",
        ),
        (
            lambda: POLICY.explain("stock", "x", timeout=-1),
            "TimeoutPolicy.explain(timeout): expected seconds >= 0 as a finite number, or a timedelta, got -1",
        ),
        (
            lambda: POLICY.explain("stock", "x", deadline="1"),
            "TimeoutPolicy.explain(deadline): expected seconds >= 0 as a finite number, or a timedelta, got '1'",
        ),
    ],
)
def test_explain_refuses(explain, text: str) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        explain()
    assert str(caught.value) == text


def test_decision_can_be_read() -> None:
    policy = TimeoutPolicy(4, operations={"reserve": 2.0}, environments={"ci": 3.0}, environment="ci", maximum=5.0)
    assert str(policy.explain("stock", "reserve", deadline=1.5)) == (
        "reserve to stock: 1.5 s\n"
        "  rule      operation 'reserve' = 2 s (code)\n"
        "  factor    3 (environment 'ci')\n"
        "  maximum   5 s\n"
        "  deadline  1.5 s left\n"
        "  not       default = 4 s (code)"
    )


def test_decision_of_an_explicit_timeout_can_be_read() -> None:
    assert str(TimeoutPolicy(factor=2.0).explain("stock", "reserve", timeout=None)) == (
        "reserve to stock: no limit\n"  #
        "  rule      the call: no limit\n"
        "  not       default = 5 s (code)"
    )


def test_decision_of_the_default_can_be_read() -> None:
    assert str(TimeoutPolicy(factor=2.0, minimum=20).explain("stock", "reserve")) == (
        "reserve to stock: 20 s\n  rule      default = 5 s (code)\n  factor    2\n  minimum   20 s"
    )
