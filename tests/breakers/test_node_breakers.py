# SPDX-License-Identifier: MIT
"""The breakers of a node: by name, of its recipients, and what its telemetry is told."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from stanchion import Node, Registry, send_supervised, spawn, wait_exit
from stanchion.breakers import BreakerPolicy, Breakers, CircuitBreaker, CircuitState, breaker_for
from stanchion.errors import CircuitOpenError, InvalidOptionError
from stanchion.telemetry import CIRCUIT_CLOSED, CIRCUIT_HALF_OPENED, CIRCUIT_OPENED, CIRCUIT_REJECTED, Event
from tests.breakers.helpers import ManualClock, even, fail, succeed

POLICY = BreakerPolicy(failure_threshold=1, reset_timeout=even())


def node_with(clock: ManualClock, policy: BreakerPolicy | None = POLICY) -> Node:
    return Node("shop", clock=clock, breaker=policy, block_threshold=None)


def own(node: Node, recipient: str) -> CircuitBreaker:
    breaker = breaker_for(node, recipient, None)
    assert breaker is not None
    return breaker


def test_recipients_have_no_breakers_unless_the_node_says_so(clock: ManualClock) -> None:
    node = node_with(clock, None)
    assert breaker_for(node, "inventory", None) is None
    assert len(node.breakers) == 0
    assert breaker_for(node, "inventory", None) is None


def test_each_recipient_has_a_breaker_of_its_own(clock: ManualClock) -> None:
    node = node_with(clock)
    fail(own(node, "inventory"))
    assert own(node, "inventory").rejects
    assert not own(node, "billing").rejects
    assert (own(node, "billing").name, own(node, "billing").policy) == ("billing", POLICY)


async def test_refs_that_are_none_are_refused_as_on_a_node_without_breakers() -> None:
    texts = []
    for policy in (None, POLICY):
        async with Node("shop", breaker=policy, block_threshold=None):
            for ref in ("", 3, None):
                with pytest.raises(InvalidOptionError) as caught:
                    await send_supervised(ref, "hello")
                texts.append(str(caught.value))
    assert texts[:3] == texts[3:]


def test_via_address_names_its_breaker_by_its_text(clock: ManualClock) -> None:
    node = node_with(clock)
    via = Registry.via("shelves", 7)
    assert (breaker := breaker_for(node, via, None)) is not None
    assert breaker.name == "Registry.via('shelves', 7)"
    assert breaker_for(node, Registry.via("shelves", 7), None) is breaker


async def test_pid_names_its_breaker_by_its_text() -> None:
    async with Node("shop", breaker=POLICY, block_threshold=None) as node:
        pid = spawn(lambda: None)
        assert (breaker := breaker_for(node, pid, None)) is not None
        assert breaker.name == "<shop.1>"
        await wait_exit(pid, timeout=None)


def test_breaker_that_was_added_takes_the_place_of_the_recipients_own(clock: ManualClock) -> None:
    node = node_with(clock)
    patient = node.breakers.add("inventory", BreakerPolicy(failure_threshold=9))
    assert own(node, "inventory") is patient
    assert node.breakers.get("inventory") is patient


def test_breaker_that_is_given_guards_the_send(clock: ManualClock) -> None:
    node = node_with(clock)
    nobodys = CircuitBreaker("smtp")
    assert breaker_for(node, "inventory", nobodys) is nobodys
    assert breaker_for(node, "inventory", "smtp") is node.breakers.get("smtp")
    assert nobodys is not node.breakers.get("smtp")


def test_breaker_that_was_asked_for_is_made_with_the_nodes_policy_or_the_default(clock: ManualClock) -> None:
    assert node_with(clock).breakers.get("smtp").policy is POLICY
    assert node_with(clock, None).breakers.get("smtp").policy.failure_threshold == 5


def test_breakers_are_listed_with_their_statistics(clock: ManualClock) -> None:
    node = node_with(clock)
    node.breakers.get("smtp")
    own(node, "inventory")
    fail(own(node, "billing"))
    assert [breaker.name for breaker in node.breakers] == ["smtp", "inventory", "billing"]
    assert [(one.name, one.failures) for one in node.breakers.statistics()] == [
        ("smtp", 0),
        ("inventory", 0),
        ("billing", 1),
    ]
    assert node.breakers.rejecting() == ["billing"]


def test_breaker_that_is_no_recipients_holds_up_no_recipient_of_its_name(clock: ManualClock) -> None:
    node = node_with(clock, None)
    node.breakers.get("printer").trip("maintenance")
    assert node.breakers.rejecting() == []


def test_two_nodes_do_not_share_breakers(clock: ManualClock) -> None:
    one, other = node_with(clock), node_with(clock)
    fail(own(one, "inventory"))
    assert not own(other, "inventory").rejects


def test_breakers_of_a_seeded_node_have_the_same_jitter_again(clock: ManualClock) -> None:
    def wait() -> float | None:
        node = Node(clock=clock, seed=7, breaker=BreakerPolicy(failure_threshold=1))
        fail(own(node, "inventory"))
        return own(node, "inventory").statistics().retry_after

    assert wait() == wait()


# --- bounded -------------------------------------------------------------------------------------


def use(node: Node, count: int, *, failing: bool, prefix: str) -> None:
    for number in range(count):
        breaker = own(node, f"{prefix}{number}")
        if failing:
            breaker.enter().failed(OSError())
        else:
            succeed(breaker)


def test_breakers_of_recipients_that_do_well_are_forgotten(clock: ManualClock) -> None:
    node = node_with(clock)
    use(node, 10_000, failing=False, prefix="well")
    assert len(node.breakers) <= 1_000


def test_breakers_that_have_something_to_remember_are_kept(clock: ManualClock) -> None:
    node = node_with(clock, BreakerPolicy(failure_threshold=2, reset_timeout=even()))
    fail(own(node, "failed once"))
    fail(own(node, "open"), 2)
    listened_to = own(node, "listened to")
    listened_to.add_listener(lambda change: None)
    own(node, "tripped").trip("maintenance")
    node.breakers.get("asked for")
    use(node, 5_000, failing=False, prefix="well")
    names = {breaker.name for breaker in node.breakers}
    assert names >= {"failed once", "open", "listened to", "tripped", "asked for"}
    clock.now += 10_000
    use(node, 5_000, failing=False, prefix="well")
    names = {breaker.name for breaker in node.breakers}
    assert not names & {"failed once", "open"}
    assert names >= {"listened to", "tripped", "asked for"}


def test_breaker_of_a_call_that_is_under_way_is_kept(clock: ManualClock) -> None:
    node = node_with(clock)
    permit = own(node, "slow").enter()
    use(node, 2_000, failing=False, prefix="well")
    permit.failed(OSError())
    assert own(node, "slow").state is CircuitState.OPEN


def test_breaker_with_failures_in_its_window_is_kept(clock: ManualClock) -> None:
    policy = BreakerPolicy(failure_threshold=None, failure_rate=0.9)
    node = node_with(clock, policy)
    fail(own(node, "fails now and then"))
    succeed(own(node, "fails now and then"))
    use(node, 2_000, failing=False, prefix="well")
    assert own(node, "fails now and then").statistics().failures == 1


def test_breakers_that_all_have_failed_are_swept_seldom(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    node = node_with(clock)
    sweeps: list[int] = []
    sweep = Breakers._sweep

    def counted(self: Breakers) -> None:
        sweeps.append(len(self))
        sweep(self)

    monkeypatch.setattr(Breakers, "_sweep", counted)
    use(node, 5_000, failing=True, prefix="gone")
    assert sweeps == [1_000, 2_000, 4_000]
    assert len(node.breakers) == 5_000


# --- telemetry -----------------------------------------------------------------------------------


def listen(node: Node) -> list[tuple[str, Mapping[str, float], Mapping[str, object]]]:
    heard: list[tuple[str, Mapping[str, float], Mapping[str, object]]] = []

    def note(event: Event, measurements: Mapping[str, float], metadata: Mapping[str, object]) -> None:
        assert measurements.keys() <= event.measurements.keys()
        assert metadata.keys() == event.metadata.keys()
        heard.append((event.name[-1], measurements, metadata))

    for event in (CIRCUIT_OPENED, CIRCUIT_HALF_OPENED, CIRCUIT_CLOSED, CIRCUIT_REJECTED):
        node.telemetry.attach(event, note)
    return heard


def test_telemetry_of_the_node_hears_of_its_breakers(clock: ManualClock) -> None:
    node = node_with(clock)
    heard = listen(node)
    breaker = own(node, "inventory")
    clock.now += 3
    fail(breaker)
    with pytest.raises(CircuitOpenError):
        breaker.enter()
    clock.now += 5
    succeed(breaker)
    who = {"node": "shop", "breaker": "inventory"}
    failed = {**who, "reason": "1 failure in a row, the last: OSError(0)"}
    assert heard == [
        ("opened", {"elapsed": 3, "retry_after": 5}, failed),
        ("rejected", {"count": 1}, {**failed, "state": "open"}),
        ("half_opened", {"elapsed": 5}, {**who, "reason": "its reset timeout is over"}),
        ("closed", {"elapsed": 0}, {**who, "reason": "1 probe succeeded"}),
    ]


def test_event_of_a_trip_has_no_time_of_the_next_probe(clock: ManualClock) -> None:
    node = node_with(clock)
    heard = listen(node)
    node.breakers.get("smtp").trip("maintenance")
    assert heard == [("opened", {"elapsed": 0}, {"node": "shop", "breaker": "smtp", "reason": "tripped: maintenance"})]


def test_breaker_that_is_nobodys_tells_no_node(clock: ManualClock) -> None:
    node = node_with(clock)
    heard = listen(node)
    breaker = CircuitBreaker("smtp", POLICY, clock=clock)
    fail(breaker)
    with pytest.raises(CircuitOpenError):
        breaker.enter()
    assert breaker.state is CircuitState.OPEN
    assert heard == []
