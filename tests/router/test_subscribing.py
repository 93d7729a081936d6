# SPDX-License-Identifier: MIT
"""Subscribing: who can, what is refused, what the audit shows, and what two nodes share, which is nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import stanchion as st
from stanchion.errors import InvalidOptionError, PatternError
from stanchion.router import SignalRouter
from stanchion.testing import VirtualClock, wait_quiet
from tests.kernel.helpers import run_in_process, sleeper
from tests.router.support import numbers, routed, signal, started


def node_of(router: SignalRouter) -> st.Node:
    """Return the node of an open router."""
    assert router._session is not None
    assert isinstance(router._session.node, st.Node)
    return router._session.node


async def test_process_is_subscribed_by_pid_name_or_via_address() -> None:
    async with routed() as router:
        await st.start(st.Registry, "unique", name="registry")
        one = await started(router, name="stock")
        other = await started(router, name=st.Registry.via("registry", "key"))
        found = [router.subscribe("a", target) for target in (one.pid, "stock", st.Registry.via("registry", "key"))]
        assert [subscription.subscriber for subscription in found] == [one.pid, one.pid, other.pid]


async def test_subscription_belongs_to_the_process_and_not_to_its_name() -> None:
    async with routed() as router:
        one = await started(router, name="stock")
        router.subscribe("**", "stock")
        st.unregister("stock")
        other = await started(router, name="stock")
        await router.publish(signal(1))
        await wait_quiet()
        assert (one.heard, other.heard) == ([1], [])


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (
            "stok",
            "SignalRouter.subscribe(target): expected a live process, got 'stok', which nobody holds\nFix: write 'stock'.",
        ),
        (
            "xyz",
            (
                "SignalRouter.subscribe(target): expected a live process, got 'xyz', which nobody holds\n"
                "Fix: start it before it is subscribed, or have it subscribe in its init()."
            ),
        ),
        (
            7,
            (
                "SignalRouter.subscribe(target): expected a pid, a registered name, a via address, or a function of one "
                "signal, got 7\nFix: pass what start() or spawn() returned, or the name= the process was started with."
            ),
        ),
        (
            st.GenServer,
            (
                "SignalRouter.subscribe(target): expected a pid, a registered name, a via address, or a function of one "
                "signal, got <class 'stanchion.server.GenServer'>\n"
                "Fix: pass what start() or spawn() returned, or the name= the process was started with."
            ),
        ),
    ],
)
async def test_what_is_no_process_and_no_function_is_refused(target: Any, text: str) -> None:
    async with routed() as router:
        await started(router, name="stock")
        with pytest.raises(InvalidOptionError) as caught:
            router.subscribe("a", target)
        assert str(caught.value) == text


async def test_via_address_of_nobody_is_refused() -> None:
    async with routed() as router:
        await st.start(st.Registry, "unique", name="registry")
        with pytest.raises(InvalidOptionError, match="which nobody holds"):
            router.subscribe("a", st.Registry.via("registry", "key"))


async def test_process_that_has_ended_is_refused() -> None:
    async with routed() as router:
        one = await started(router)
        await st.stop(one.pid)
        with pytest.raises(InvalidOptionError) as caught:
            router.subscribe("a", one.pid)
        got = f"{one.pid!r}, which has ended or is about to"
        assert str(caught.value) == f"SignalRouter.subscribe(target): expected a live process, got {got}"


async def test_process_of_another_node_is_refused() -> None:
    async with routed() as router, st.Node("other", clock=VirtualClock(), block_threshold=None):
        pid = st.spawn(sleeper)
        with pytest.raises(InvalidOptionError) as caught:
            router.subscribe("a", pid)
        assert str(caught.value) == (
            f"SignalRouter.subscribe(target): expected a process of node 'test', got {pid!r} of another node\n"
            "Fix: subscribe it to a router of its own node."
        )


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"buffer": 0}, "SignalRouter.subscribe(buffer): expected a whole number >= 1, got 0"),
        ({"overflow": "blok"}, ("SignalRouter.subscribe(overflow): expected one of 'reject', 'drop_newest', "
         "'drop_oldest', 'block', got 'blok'\nFix: write 'block'.")),
        ({"warn_at": 0}, ("SignalRouter.subscribe(warn_at): expected a part of the buffer, > 0 and <= 1, or None for "
         "never, got 0")),
        ({"filter": 1}, "SignalRouter.subscribe(filter): expected a plain function, got 1"),
        ({"mode": "call"}, ("SignalRouter.subscribe(mode): expected one of 'cast', 'supervised', got 'call'\n"
         "Fix: write 'cast'.")),
        ({"retries": 5}, ("SignalRouter.subscribe(mode): expected 'supervised' of a process, with ack, retries, backoff, "
         "breaker or on_error, got 'cast'\nFix: pass mode='supervised' too, or leave these out.")),
        ({"timeout": 5}, ("SignalRouter.subscribe(timeout): expected a timeout with mode='supervised', or for a function, "
         "got mode='cast', where nothing is waited for\nFix: pass mode='supervised' too.")),
        ({"mode": "supervised", "breaker": 1}, ("SignalRouter.subscribe(breaker): expected a CircuitBreaker, the name of "
         "one of the node's, or None, got 1")),
        ({"mode": "supervised", "ack": "stored"}, ("SignalRouter.subscribe(ack): expected one of 'enqueued', 'processed', "
         "got 'stored'")),
        ({"mode": "supervised", "on_error": "raise"}, ("SignalRouter.subscribe(on_error): expected one of 'log', "
         "'dead_letter', 'ignore', got 'raise'")),
        ({"mode": "supervised", "on_error": "dead_letter"}, ("SignalRouter.subscribe(on_error): expected a node with a "
         "dead-letter queue for on_error='dead_letter', got {node}, which has none\n"
         "Fix: make the node with Node(dead_letters='sqlite:///letters.db').")),
    ],
)  # fmt: skip
async def test_wrong_option_is_refused_and_nothing_is_subscribed(options: Any, text: str) -> None:
    async with routed() as router:
        one = await started(router)
        with pytest.raises(InvalidOptionError) as caught:
            router.subscribe("a", one.pid, **options)
        assert str(caught.value) == text.replace("{node}", repr(node_of(router)))
        assert router.subscriptions() == []


async def test_function_cannot_be_sent_to_supervised() -> None:
    async with routed() as router:
        with pytest.raises(InvalidOptionError) as caught:
            router.subscribe("a", print, mode="supervised")
        assert str(caught.value) == (
            "SignalRouter.subscribe(mode): expected 'cast' for a function, which is called, got 'supervised'\n"
            "Fix: leave mode= out, or have a process get the signals."
        )
        with pytest.raises(InvalidOptionError, match=r"expected 'supervised' of a process"):
            router.subscribe("a", print, retries=1)


async def test_malformed_pattern_is_refused_with_its_position() -> None:
    async with routed() as router:
        with pytest.raises(PatternError) as caught:
            router.subscribe("order..placed", print)
        assert caught.value.position == 6
        with pytest.raises(PatternError):
            router.stream("")


async def test_unsubscribing_tells_whether_there_was_something_to_end() -> None:
    async with routed() as router:
        one = await started(router, "a")
        assert router.unsubscribe(one.subscription)
        assert not router.unsubscribe(one.subscription)
        assert repr(one.subscription) == f"<subscription of {one.pid!r} to 'a'>"


async def test_only_subscriptions_of_the_router_itself_can_be_ended_by_it() -> None:
    async with routed() as router:
        other = SignalRouter()
        one = await started(router, "a")
        with pytest.raises(InvalidOptionError) as caught:
            other.unsubscribe(one.subscription)
        assert str(caught.value) == (
            "SignalRouter.unsubscribe(subscription): expected a subscription of this router, "
            f"got {one.subscription!r} of another one\nFix: write subscription.unsubscribe()."
        )
        with pytest.raises(InvalidOptionError, match="expected an instance of SignalSubscription"):
            router.unsubscribe("a")  # type: ignore[arg-type]


# --- whose it is ---------------------------------------------------------------------------------


async def test_audit_shows_subscriptions_by_their_owners_and_no_leaks() -> None:
    async with routed() as router:
        node = node_of(router)
        one = await started(router, "a")
        stream = router.stream("b")
        router.subscribe("c", print)
        router_pid = next(owner.pid for owner in node.audit().owners if "SignalRouter" in owner.name)
        (own,) = node.audit().of(one.pid, "subscription")
        assert own.text == f"of {one.pid!r} to 'a', 0 of 1000 signals buffered"
        assert own.made_at is not None
        assert "test_router" in own.made_at or "support.py" in own.made_at
        texts = [thing.text for thing in node.audit().of(router_pid, "subscription")]
        assert texts == [
            "of a stream to 'b', 0 of 1000 signals buffered",
            "of print to 'c', 0 of 1000 signals buffered",
        ]
        assert node.audit().leaks == ()
        assert router._session is not None
        assert list(router._session.users()) == [one.pid]
        await st.stop(one.pid)
        assert list(router._session.users()) == []
        await stream.aclose()


async def test_function_belongs_to_the_process_that_subscribes_it() -> None:
    async with routed() as router:
        heard: list[Any] = []
        subscription = await run_in_process(lambda: router.subscribe("**", heard.append))
        await wait_quiet()
        assert not subscription.active  # the process has ended
        assert router.subscriptions() == []


async def test_function_that_is_subscribed_in_another_node_belongs_to_the_router() -> None:
    async with routed() as router, st.Node("other", clock=VirtualClock(), block_threshold=None):
        subscription = await run_in_process(lambda: router.subscribe("**", print))
        await wait_quiet()
        assert subscription.active
        assert subscription.info().owner is None


async def test_information_tells_how_a_subscription_stands() -> None:
    async with routed() as router:
        one = await started(router, "order.*", open=False, buffer=2)
        await numbers(router, 5)
        (info,) = router.subscriptions()
        assert info[:9] == ("order.*", one.pid, one.pid, "cast", 2, 2, 0, 0, {"reject": 2})
        assert info.age == 0.0


# --- several -------------------------------------------------------------------------------------


async def test_two_nodes_share_no_signals() -> None:
    async with routed() as first, routed() as second:
        one = await started(second, "**")
        assert (await first.publish(signal())).matched == 0
        assert (await second.publish(signal(1))).matched == 1
        await wait_quiet()
        assert one.heard == [1]


async def test_router_opens_for_one_node_only_and_once() -> None:
    async with routed() as router:
        with pytest.raises(InvalidOptionError) as caught:
            async with routed(router):
                pass
        assert str(caught.value) == (
            f"Node(services): expected a router that was not opened before, got one that {node_of(router)!r} has, or had\n"
            "Fix: make a SignalRouter() for each node."
        )
    with pytest.raises(InvalidOptionError):
        async with routed(router):
            pass


async def test_node_finds_its_router() -> None:
    async with routed() as router:
        assert node_of(router).router is router
        assert repr(router) == "<SignalRouter of node test open, 0 subscriptions>"


async def test_journal_takes_a_database() -> None:
    router = SignalRouter(journal=["audit.**"])
    with pytest.raises(InvalidOptionError, match="database"):
        async with routed(router):
            pass
    assert repr(router) == "<SignalRouter of node test closed, 0 subscriptions>"


async def test_durable_subscription_can_be_ended_by_the_router_too(tmp_path: Path) -> None:
    async with routed(database=f"sqlite:///{tmp_path / 'app.db'}") as router:
        subscription = await router.subscribe_durable("audit", "**", "auditor")
        assert router.unsubscribe(subscription)
        assert not router.unsubscribe(subscription)


async def test_restarted_process_subscribes_anew() -> None:
    async with routed() as router:
        heard: list[Any] = []

        class Worker(st.GenServer):
            def init(self) -> None:
                router.subscribe("**", st.self_pid())

            def handle_cast(self, message: Any) -> None:
                if message.data == "crash":
                    raise ZeroDivisionError
                heard.append(message.data)

        await st.start(st.Supervisor, [st.child_spec(Worker)])
        for data in (1, "crash", 2):
            await router.publish(signal(data))
            await wait_quiet()
        assert heard == [1, 2]
        assert len(router.subscriptions()) == 1


async def test_statistics_keep_what_has_ended_and_forget_old_patterns() -> None:
    async with routed() as router:
        heard: list[Any] = []
        for number in range(1005):
            subscription = router.subscribe(f"n{number}", heard.append)
            router.publish_nowait(signal(number, f"n{number}"))
            await asyncio.sleep(0)
            subscription.unsubscribe()
        router.subscribe("n1004", heard.append)
        statistics = router.statistics()
        assert (statistics.routed, statistics.delivered, len(statistics.patterns)) == (1005, 1005, 1000)
        assert statistics.patterns["n1004"].delivered == 1
        assert "n4" not in statistics.patterns
