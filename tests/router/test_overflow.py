# SPDX-License-Identifier: MIT
"""Full buffers: what becomes of one signal more, and of publishers that wait for room."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import stanchion as st
from stanchion.errors import InvalidOptionError
from stanchion.router import Publication
from stanchion.telemetry import SIGNAL_DROPPED, SUBSCRIBER_SLOW
from stanchion.testing import advance, wait_quiet
from tests.kernel.helpers import Events
from tests.router.support import numbers, routed, signal, started


def reasons(publication: Publication) -> list[str]:
    """Return why subscriptions have refused a signal."""
    return [reason for _, reason in publication.dropped]


@pytest.mark.parametrize("overflow", ["reject", "drop_newest"])
async def test_full_buffer_refuses_the_signal_and_the_publication_says_so(overflow: Any) -> None:
    async with routed() as router:
        one = await started(router, "**", open=False, buffer=2, overflow=overflow)
        publications = await numbers(router, 5)
        assert [reasons(publication) for publication in publications] == [[], [], [], [overflow], [overflow]]
        assert [(p.matched, p.accepted, bool(p)) for p in publications[2:4]] == [(1, 1, True), (1, 0, False)]
        assert publications[3].dropped[0].subscription is one.subscription
        one.gate.set()
        await wait_quiet()
        assert one.heard == [0, 1, 2]
        assert router.statistics().dropped == {overflow: 2}


async def test_full_buffer_drops_the_oldest_for_the_newest() -> None:
    async with routed() as router:
        one = await started(router, "**", open=False, buffer=2, overflow="drop_oldest")
        events = Events(router._session.node, SIGNAL_DROPPED)  # type: ignore[union-attr]
        publications = await numbers(router, 6)
        assert all(publications)
        one.gate.set()
        await wait_quiet()
        assert one.heard == [0, 4, 5]
        assert events.all("reason") == ["drop_oldest"] * 3
        assert router.statistics().dropped == {"drop_oldest": 3}


async def test_dropping_the_oldest_of_one_subscription_leaves_those_of_another_in_order() -> None:
    async with routed() as router:
        one = await started(router, "order.*", open=False, buffer=2, overflow="drop_oldest")
        kept = router.subscribe("bill.*", one.pid)
        await router.publish(signal("first"))
        for number in range(4):
            await router.publish(signal(("bill", number), "bill.sent"))
            await numbers(router, 5)
        assert router._session is not None
        assert len(router._session.lanes[one.pid]._queue) <= 11
        one.gate.set()
        await wait_quiet()
        assert one.heard == ["first", *[("bill", number) for number in range(4)], 3, 4]
        assert kept.info()[7:9] == (4, {})
        assert one.subscription.info()[7:9] == (3, {"drop_oldest": 18})


async def test_publisher_waits_for_room_and_all_others_have_the_signal_before() -> None:
    async with routed() as router:
        slow = await started(router, "**", open=False, buffer=1, overflow="block")
        quick = await started(router, "**")
        await numbers(router, 2)
        publishing = asyncio.create_task(router.publish(signal(2)))
        await wait_quiet()
        assert not publishing.done()
        assert quick.heard == [0, 1, 2]
        assert router.subscriptions()[0].waiting == 1
        slow.gate.set()
        publication = await publishing
        assert (publication.matched, publication.accepted, reasons(publication)) == (2, 2, [])
        await wait_quiet()
        assert slow.heard == [0, 1, 2]


async def test_publishers_have_room_first_come_first_served() -> None:
    async with routed() as router:
        slow = await started(router, "**", open=False, buffer=1, overflow="block")
        publishing = [asyncio.create_task(router.publish(signal(number))) for number in range(6)]
        await wait_quiet()
        assert not router.publish_nowait(signal("overtakes"))
        slow.gate.set()
        await asyncio.gather(*publishing)
        await wait_quiet()
        assert slow.heard == [0, 1, 2, 3, 4, 5]


async def test_publisher_waits_in_two_lines_at_once() -> None:
    async with routed() as router:
        slow = [await started(router, "**", open=False, buffer=1, overflow="block") for _ in range(2)]
        await numbers(router, 2)
        publishing = asyncio.create_task(router.publish(signal(2)))
        await wait_quiet()
        slow[0].gate.set()
        await wait_quiet()
        assert not publishing.done()
        slow[1].gate.set()
        assert (await publishing).accepted == 2


async def test_publisher_that_waits_too_long_is_told_and_the_signal_is_dropped() -> None:
    async with routed() as router:
        slow = await started(router, "**", open=False, buffer=1, overflow="block")
        await numbers(router, 2)
        before = asyncio.get_running_loop().time()
        publication = await router.publish(signal(2), timeout=3)
        assert asyncio.get_running_loop().time() - before == pytest.approx(3, abs=0.01)
        assert (reasons(publication), publication.accepted) == (["timeout"], 0)
        assert router.subscriptions()[0].waiting == 0
        slow.gate.set()
        await wait_quiet()
        assert slow.heard == [0, 1]


async def test_publisher_waits_as_long_as_the_policy_says() -> None:
    async with routed(timeouts=st.TimeoutPolicy(operations={"stanchion.publish": 7})) as router:
        await started(router, "**", open=False, buffer=1, overflow="block")
        await numbers(router, 2)
        before = asyncio.get_running_loop().time()
        assert reasons(await router.publish(signal(2))) == ["timeout"]
        assert asyncio.get_running_loop().time() - before == pytest.approx(7, abs=0.01)


async def test_deadline_cuts_the_wait_for_room() -> None:
    async with routed() as router:
        await started(router, "**", open=False, buffer=1, overflow="block")
        await numbers(router, 2)
        async with st.deadline(1):
            assert reasons(await router.publish(signal(2), timeout=None)) == ["timeout"]


async def test_publisher_without_a_limit_waits_until_there_is_room() -> None:
    async with routed() as router:
        slow = await started(router, "**", open=False, buffer=1, overflow="block")
        await numbers(router, 2)
        publishing = asyncio.create_task(router.publish(signal(2), timeout=None))
        await advance(10_000)
        slow.gate.set()
        assert await publishing


async def test_cancelled_publisher_leaves_the_line() -> None:
    async with routed() as router:
        slow = await started(router, "**", open=False, buffer=1, overflow="block")
        await numbers(router, 2)
        events = Events(router._session.node, SIGNAL_DROPPED)  # type: ignore[union-attr]
        first, second = (asyncio.create_task(router.publish(signal(number))) for number in (2, 3))
        await wait_quiet()
        first.cancel()
        await wait_quiet()
        assert events.all("reason") == ["cancelled"]
        slow.gate.set()
        assert await second
        await wait_quiet()
        assert slow.heard == [0, 1, 3]


async def test_publisher_that_waits_hears_when_the_subscriber_exits() -> None:
    async with routed() as router:
        slow = await started(router, "**", open=False, buffer=1, overflow="block")
        await numbers(router, 2)
        publishing = asyncio.create_task(router.publish(signal(2)))
        await wait_quiet()
        st.exit(slow.pid, "kill")
        assert reasons(await publishing) == ["exited"]
        assert router.statistics().dropped == {"exited": 3}


async def test_publisher_that_waits_hears_when_the_subscription_ends() -> None:
    async with routed() as router:
        slow = await started(router, "**", open=False, buffer=1, overflow="block")
        await numbers(router, 2)
        publishing = asyncio.create_task(router.publish(signal(2)))
        await wait_quiet()
        slow.subscription.unsubscribe()
        assert reasons(await publishing) == ["unsubscribed"]


async def test_publisher_that_waits_hears_when_the_mailbox_closes_as_its_turn_comes() -> None:
    async with routed() as router:
        slow = await started(router, "**", open=False, buffer=1, overflow="block")
        await numbers(router, 2)
        publishing = asyncio.create_task(router.publish(signal(2)))
        await wait_quiet()
        assert router._session is not None
        (lane,) = router._session.lanes.values()
        lane._process.mailbox.closed = True
        slow.subscription.take()
        assert reasons(await publishing) == ["exited"]


async def test_process_does_not_wait_for_room_that_only_it_could_make() -> None:
    async with routed() as router:

        async def publish() -> list[list[str]]:
            return [reasons(await router.publish(signal(number))) for number in range(3)]

        class Self(st.GenServer):
            def init(self) -> None:
                self.heard: list[Any] = []
                router.subscribe("**", st.self_pid(), buffer=1, overflow="block")

            async def handle_call(self, request: object, sender: st.Sender) -> object:
                return await publish()

            def handle_cast(self, message: Any) -> None:
                self.heard.append(message.data)

        pid = await st.start(Self)
        assert await st.call(pid, "publish") == [[], [], ["reject"]]


async def test_process_may_have_a_task_of_its_own_wait_for_room() -> None:
    async with routed() as router:

        class Self(st.GenServer):
            def init(self) -> None:
                self.heard: list[Any] = []
                router.subscribe("**", st.self_pid(), buffer=1, overflow="block")

            async def handle_call(self, request: object, sender: st.Sender) -> object:
                if request == "heard":
                    return self.heard
                self.task = asyncio.create_task(self.publish())
                return None

            async def publish(self) -> None:
                for number in range(5):
                    await router.publish(signal(number))

            def handle_cast(self, message: Any) -> None:
                self.heard.append(message.data)

        pid = await st.start(Self)
        await st.call(pid, "publish")
        await wait_quiet()
        assert await st.call(pid, "heard") == [0, 1, 2, 3, 4]


async def test_publisher_that_does_not_wait_is_refused() -> None:
    async with routed() as router:
        await started(router, "**", open=False, buffer=1, overflow="block")
        router.publish_nowait(signal())
        router.publish_nowait(signal())
        assert reasons(router.publish_nowait(signal())) == ["reject"]


async def test_publisher_that_never_waits_fills_no_buffer_of_who_keeps_up() -> None:
    async with routed() as router:
        small = await started(router, "**", buffer=10)
        large = await started(router, "**")
        await numbers(router, 3000)
        await wait_quiet()
        assert small.heard == large.heard == list(range(3000))


async def test_slow_subscriber_is_told_once_and_again_when_it_was_better(caplog: pytest.LogCaptureFixture) -> None:
    async with routed() as router:
        one = await started(router, "**", open=False, buffer=10)
        events = Events(router._session.node, SUBSCRIBER_SLOW)  # type: ignore[union-attr]
        await numbers(router, 11)
        assert [measured for _, measured, _ in events.told] == [{"buffered": 8, "buffer": 10}]
        assert events.all("subscriber") == [one.pid]
        assert f"{one.subscription!r} is slow: 8 of 10 signals wait" in caplog.messages
        one.gate.set()
        await wait_quiet()
        one.gate.clear()
        await numbers(router, 11)
        assert len(events.told) == 2


async def test_subscriber_is_not_told_of_as_slow_where_nobody_wants_to_know() -> None:
    async with routed() as router:
        await started(router, "**", open=False, buffer=2, warn_at=None)
        events = Events(router._session.node, SUBSCRIBER_SLOW)  # type: ignore[union-attr]
        await numbers(router, 5)
        assert events.told == []


async def test_publish_refuses_what_is_no_timeout() -> None:
    async with routed() as router:
        for publish in (router.publish(signal(), timeout=-1), router.publish_many([], timeout=-1)):
            with pytest.raises(InvalidOptionError, match=r"timeout\): expected seconds >= 0 as a finite number"):
                await publish


async def test_subscription_that_ends_while_its_publisher_goes_on_elsewhere_leaves_nothing_to_wait_for() -> None:
    async with routed() as router:
        slow = await started(router, "**", open=False, buffer=1, overflow="block")
        await numbers(router, 2)
        await started(router, "**", filter=lambda signal: slow.subscription.unsubscribe())
        publication = await router.publish(signal(2), timeout=None)
        assert reasons(publication) == ["unsubscribed"]
