# SPDX-License-Identifier: MIT
"""Rules that change while the program runs."""

from __future__ import annotations

import asyncio
import threading

import pytest

import stanchion as st
from stanchion.errors import CallTimeoutError, InvalidOptionError
from stanchion.timeouts import INIT, TimeoutPolicy
from tests.timeouts.requests import PATH, Inventory, Reserve


def limit(policy: TimeoutPolicy, request: object = "reserve", name: object = "stock") -> float:
    return policy.limit(Inventory, name, request)


def test_set_changes_the_default() -> None:
    policy = TimeoutPolicy()
    policy.set(2)
    assert (limit(policy), policy.default) == (2.0, 2.0)


def test_set_goes_before_what_was_loaded_for_the_same_and_no_other() -> None:
    policy = TimeoutPolicy(operations={"reserve": 1.0}, services={"stock": 3.0})
    policy.set(2, operation="reserve")
    policy.set(0.5, service="stock")
    assert (limit(policy), limit(policy, "other")) == (2.0, 0.5)


def test_set_takes_classes_and_patterns() -> None:
    policy = TimeoutPolicy()
    policy.set(3, service=Inventory)
    policy.set(2, pattern="cache.*")
    policy.set(1, operation=Reserve)
    assert [limit(policy, request) for request in ("x", "cache.get", Reserve())] == [3.0, 2.0, 1.0]
    assert [rule.key for rule in policy.rules()] == [PATH + "Reserve", "cache.*", PATH + "Inventory", None]


def test_reset_takes_back_one_rule() -> None:
    policy = TimeoutPolicy(4, operations={"reserve": 1.0})
    policy.set(2, operation="reserve")
    policy.set(3)
    policy.reset(operation="reserve")
    assert (limit(policy), limit(policy, "other")) == (1.0, 3.0)
    policy.reset(default=True)
    assert limit(policy, "other") == 4.0


def test_reset_takes_back_all() -> None:
    policy = TimeoutPolicy(4, operations={"reserve": 1.0})
    before = policy.rules()
    policy.set(2, operation="reserve")
    policy.set(2, service=Inventory)
    policy.set(2)
    policy.reset()
    assert policy.rules() == before
    assert (limit(policy), limit(policy, "other")) == (1.0, 4.0)


def test_reset_of_what_was_not_set_changes_nothing() -> None:
    policy = TimeoutPolicy(operations={"reserve": 1.0})
    policy.reset(operation="reserve")
    policy.reset(pattern="a.*")
    assert limit(policy) == 1.0


def test_change_empties_the_tables_that_processes_hold() -> None:
    policy = TimeoutPolicy(services={"stock": 1.0})
    tables = [policy.limits(Inventory, "stock"), policy.limits(Inventory, "other")]
    for name in ("stock", "other"):
        limit(policy, Reserve(), name)
    assert tables == [{Reserve: 1.0}, {Reserve: 5.0}]
    policy.set(2, operation=Reserve)
    assert tables == [{}, {}]
    limit(policy, Reserve(), "other")
    assert tables == [{}, {}]  # a server that now has a rule of its own might hold it
    assert policy.limits(Inventory, "other") == {Reserve: 2.0}


def test_limit_that_was_found_while_the_rules_changed_is_not_kept() -> None:
    policy = TimeoutPolicy()
    before = policy._book

    class Slow(type(before)):
        def limit(self, code: object, name: object, request: object) -> float:
            found = super().limit(code, name, request)
            policy.set(1)  # as another thread would, just now
            return found

    slow = policy._book = Slow({rule[:2]: rule for rule in before.rules}, before.settings)
    table = slow.table(Inventory, None)
    assert limit(policy, Reserve(), None) == 5.0
    assert table.by_type == {}
    assert limit(policy, Reserve(), None) == 1.0


def test_rules_may_be_changed_by_many_threads() -> None:
    policy = TimeoutPolicy()

    def change(number: int) -> None:
        for step in range(50):
            policy.set(1 + step, operation=f"o{number}")
            limit(policy, f"o{number}")

    threads = [threading.Thread(target=change, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [limit(policy, f"o{number}") for number in range(8)] == [50.0] * 8


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            lambda policy: policy.set(0),
            "TimeoutPolicy.set(seconds): expected seconds > 0 as a finite number, or a timedelta, got 0",
        ),
        (
            lambda policy: policy.set(1, service="a", pattern="b"),
            (
                "TimeoutPolicy.set(): expected at most one of service=, operation=, pattern=, "
                "got service= and pattern=\nFix: call it once for each."
            ),
        ),
        (
            lambda policy: policy.reset(operation="a", default=True),
            (
                "TimeoutPolicy.reset(): expected at most one of service=, operation=, pattern=, default=, "
                "got operation= and default=\nFix: call it once for each."
            ),
        ),
        (
            lambda policy: policy.reset(pattern="a*"),
            (
                "TimeoutPolicy.reset(): expected * or ** as a whole segment between dots, got 'a*' in 'a*'\n"
                "Fix: write '*'."
            ),
        ),
        (
            lambda policy: policy.reload(),
            (
                "TimeoutPolicy.reload(): expected a policy that was loaded, got one that was made in code\n"
                "Fix: make it by TimeoutPolicy.load(), or change it by set()."
            ),
        ),
    ],
)
def test_change_is_refused(change, text: str) -> None:
    policy = TimeoutPolicy()
    with pytest.raises(InvalidOptionError) as caught:
        change(policy)
    assert str(caught.value) == text
    assert limit(policy) == 5.0


class Silent(st.GenServer):
    def handle_call(self, request: object, sender: st.Sender) -> object:
        return st.NO_REPLY


async def test_next_call_has_the_new_limit() -> None:
    policy = TimeoutPolicy(0.01)
    async with st.Node(timeouts=policy, block_threshold=None):
        server = await st.start(Silent)
        for seconds in (0.01, 0.02, 0.03):
            with pytest.raises(CallTimeoutError) as caught:
                await st.call(server, 7)
            assert caught.value.timeout == seconds
            policy.set(seconds + 0.01, operation="builtins.int")
        assert policy.limit(Silent, None, INIT) == 0.01


async def test_error_does_not_blame_a_rule_that_came_after_the_wait_had_begun(node: st.Node) -> None:
    policy = TimeoutPolicy(operations={"reserve": 1.0})
    async with st.Node(timeouts=policy, clock=node.clock, block_threshold=None):
        server = await st.start(Silent)
        asyncio.get_running_loop().call_later(0.5, lambda: policy.set(2, operation="reserve"))
        with pytest.raises(CallTimeoutError) as caught:
            await st.call(server, "reserve")
    assert (caught.value.timeout, caught.value.rule) == (1.0, "a rule that has changed since")


async def test_next_call_has_the_limit_of_the_name_that_the_server_was_given(node: st.Node) -> None:
    policy = TimeoutPolicy(3, services={"stock": 2})
    async with st.Node(timeouts=policy, clock=node.clock, block_threshold=None):
        server = await st.start(Silent)
        for change, seconds in (
            (lambda: None, 3.0),
            (lambda: st.register("stock", server), 2.0),
            (lambda: st.unregister("stock"), 3.0),
        ):
            change()
            with pytest.raises(CallTimeoutError) as caught:
                await st.call(server, 7)
            assert caught.value.timeout == seconds


def test_marker_and_waits_of_the_runtime_show_their_names() -> None:
    assert (repr(st.POLICY), repr(INIT)) == ("POLICY", "stanchion.init")
