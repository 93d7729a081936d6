# SPDX-License-Identifier: MIT
"""What becomes of an accepted event: delivered, or a dead letter, whatever crashes meanwhile."""

from __future__ import annotations

import asyncio

import pytest

import stanchion as st
from examples.relay.config import RedeliveryConfig
from examples.relay.event import Event
from examples.relay.relay import TOP, Relay
from examples.relay.signature import is_signed
from stanchion.dead_letters import LetterFilter
from stanchion.kernel import ExitReason
from tests.examples.relay_kit import Endpoint, MakeRelay, running, serving, subscriber, until, wait_settled

AGAIN = RedeliveryConfig(initial=0.05, maximum=0.1, attempts=20)
NOWHERE = "http://127.0.0.1:9/"


async def letters_of(relay: Relay) -> list[st.DeadLetter]:
    return list((await relay.letters.list(LetterFilter(state=("waiting", "exhausted")))).entries)


async def test_subscriber_signs_and_labels_what_it_posts(make_relay: MakeRelay) -> None:
    endpoint = Endpoint()
    async with serving(endpoint):
        relay = make_relay(subscriber("audit", url=endpoint.url, secret=b"ours"))
        async with running(relay) as client:
            await client.post(b'{"action":"opened"}', X_GitHub_Event="issues", X_GitHub_Delivery="id-1")
            await wait_settled(relay)
    headers = endpoint.headers[0]
    labels = (headers["X-Relay-Id"], headers["X-Relay-Event"], headers["X-Relay-Source"])
    assert labels == ("id-1", "issues.opened", "github")
    assert is_signed(b"ours", b'{"action":"opened"}', headers["X-Relay-Signature-256"])


async def test_event_reaches_each_subscriber_that_wants_it_and_no_other(make_relay: MakeRelay) -> None:
    all_, issues, pushes = Endpoint(), Endpoint(), Endpoint()
    async with serving(all_, issues, pushes):
        relay = make_relay(
            subscriber("all", url=all_.url),
            subscriber("issues", "issues.*", url=issues.url),
            subscriber("pushes", "push", url=pushes.url),
        )
        async with running(relay) as client:
            await client.post({"action": "opened"}, X_GitHub_Event="issues", X_GitHub_Delivery="issue")
            await client.post({}, X_GitHub_Event="push", X_GitHub_Delivery="push")
            await wait_settled(relay)
    assert (sorted(all_.ids), issues.ids, pushes.ids) == (["issue", "push"], ["issue"], ["push"])


@pytest.mark.parametrize("failure", [500, 503, 408, 429, 0])
async def test_event_is_sent_again_when_the_subscriber_fails_for_now(make_relay: MakeRelay, failure: int) -> None:
    endpoint = Endpoint(failure, failure, 200)
    async with serving(endpoint):
        relay = make_relay(subscriber("audit", url=endpoint.url))
        async with running(relay) as client:
            await client.post(X_GitHub_Delivery="id-1")
            await wait_settled(relay)
            assert await letters_of(relay) == []
    assert endpoint.ids == ["id-1", "id-1", "id-1"]


async def test_event_is_sent_again_when_the_answer_comes_too_late(make_relay: MakeRelay) -> None:
    endpoint = Endpoint()
    endpoint.open.clear()
    async with serving(endpoint):
        relay = make_relay(subscriber("audit", url=endpoint.url, timeout=0.1, retries=50))
        async with running(relay) as client:
            await client.post(X_GitHub_Delivery="id-1")
            await until(lambda: len(endpoint.ids) == 2)
            endpoint.open.set()
            await wait_settled(relay)
            assert await letters_of(relay) == []


@pytest.mark.parametrize("refusal", [301, 400, 404, 410])
async def test_event_is_a_dead_letter_at_once_when_the_subscriber_refuses_it_for_good(
    make_relay: MakeRelay, refusal: int
) -> None:
    endpoint = Endpoint(refusal)
    async with serving(endpoint):
        relay = make_relay(subscriber("audit", url=endpoint.url))
        async with running(relay) as client:
            await client.post(b"{}", X_GitHub_Delivery="id-1")
            await wait_settled(relay)
            (letter,) = await letters_of(relay)
    assert endpoint.ids == ["id-1"]
    assert (letter.recipient, letter.reason, letter.attempt_count) == ("audit", "refused", 1)
    assert letter.error == f"refused: {endpoint.url}: status {refusal}"
    assert Event.of(letter.message()) == Event(id="id-1", type="push", source="github", body=b"{}")


async def test_event_is_a_dead_letter_when_the_retries_are_used_up(make_relay: MakeRelay) -> None:
    relay = make_relay(subscriber("audit", url=NOWHERE, retries=2))
    async with running(relay) as client:
        assert (await client.post())[0] == 202
        await wait_settled(relay)
        (letter,) = await letters_of(relay)
    assert letter.attempt_count == 3


async def test_dead_letter_is_redelivered_when_the_subscriber_is_back(make_relay: MakeRelay) -> None:
    endpoint = Endpoint(500, 500, 500, 200)
    async with serving(endpoint):
        relay = make_relay(subscriber("audit", url=endpoint.url, retries=0), redelivery=AGAIN)
        async with running(relay) as client:
            await client.post(X_GitHub_Delivery="id-1")
            await wait_settled(relay)
            stats = await relay.letters.stats()
    assert (stats.delivered, stats.total) == (1, 1)
    assert endpoint.ids == ["id-1"] * 4


async def test_slow_subscriber_does_not_delay_the_others(make_relay: MakeRelay) -> None:
    slow, quick = Endpoint(), Endpoint()
    slow.open.clear()
    async with serving(slow, quick):
        relay = make_relay(subscriber("slow", url=slow.url), subscriber("quick", url=quick.url))
        async with running(relay) as client:
            for number in range(20):
                assert (await client.post(X_GitHub_Delivery=str(number)))[0] == 202
            await until(lambda: len(quick.ids) == 20)
            assert (len(slow.ids), (await relay.health())["waiting"]) == (1, {"slow": 20, "quick": 0})
            slow.open.set()
            await wait_settled(relay)
    assert sorted(slow.ids) == sorted(quick.ids)


@pytest.mark.parametrize("victim", ["audit", "audit.lane"])
@pytest.mark.parametrize("reason", ["kill", ValueError("a bug")])
async def test_nothing_is_lost_when_a_process_crashes(make_relay: MakeRelay, victim: str, reason: ExitReason) -> None:
    endpoint = Endpoint()
    endpoint.open.clear()
    sent = {str(number) for number in range(20)}
    async with serving(endpoint):
        relay = make_relay(subscriber("audit", url=endpoint.url), redelivery=AGAIN)
        async with running(relay) as client:
            for id_ in sent:
                await client.post(X_GitHub_Delivery=id_)
            await until(lambda: len(endpoint.ids) > 0)
            pid = st.whereis(victim)
            assert pid is not None
            # A supervisor takes no orders from strangers, but it can be killed.
            st.exit(pid, "kill" if victim == "audit.lane" else reason)
            endpoint.open.set()
            await wait_settled(relay)
    assert set(endpoint.ids) == sent


async def test_nothing_is_lost_when_the_relay_stops_with_events_in_hand(make_relay: MakeRelay) -> None:
    sent = {str(number) for number in range(20)}
    async with running(make_relay(subscriber("audit", url=NOWHERE, initial=5.0, maximum=5.0))) as client:
        for id_ in sent:
            assert (await client.post(X_GitHub_Delivery=id_))[0] == 202
    endpoint = Endpoint()
    async with serving(endpoint):
        after = make_relay(subscriber("audit", url=endpoint.url))
        async with running(after):
            await wait_settled(after)
    assert set(endpoint.ids) == sent


async def test_nothing_is_lost_when_the_relay_gives_up(make_relay: MakeRelay) -> None:
    async with running(make_relay(subscriber("audit", url=NOWHERE, initial=5.0), max_restarts=0)) as client:
        await asyncio.gather(*(client.post() for _ in range(5)))
        top, victim = st.whereis(TOP), st.whereis("audit")
        assert top is not None
        assert victim is not None
        st.exit(victim, "kill")
        assert await st.wait_exit(top, timeout=5) == "shutdown"
    after = make_relay(subscriber("audit"))
    async with after.node:
        assert (await after.health())["waiting"] == {"audit": 5}


async def test_relay_leaves_nothing_behind_when_it_stops_in_the_middle(make_relay: MakeRelay) -> None:
    endpoint = Endpoint()
    endpoint.open.clear()
    async with serving(endpoint), running(make_relay(subscriber("audit", url=endpoint.url))) as client:
        await asyncio.gather(*(client.post() for _ in range(5)))
        await until(lambda: len(endpoint.ids) > 0)


async def test_subscriber_gets_events_in_the_order_in_which_they_were_accepted(make_relay: MakeRelay) -> None:
    endpoint = Endpoint(500, 200, 500, 200)
    sent = [str(number) for number in range(20)]
    async with serving(endpoint):
        relay = make_relay(subscriber("audit", "push.**", "**", url=endpoint.url))
        async with running(relay) as client:
            for id_ in sent:
                await client.post(X_GitHub_Delivery=id_)
            await wait_settled(relay)
    assert list(dict.fromkeys(endpoint.ids)) == sent


async def test_event_that_an_older_relay_has_left_in_the_outbox_is_delivered(make_relay: MakeRelay) -> None:
    endpoint = Endpoint()
    endpoint.open.clear()
    async with serving(endpoint):
        relay = make_relay(subscriber("audit", url=endpoint.url))
        async with running(relay):
            event = Event(id="id-1", type="push", source="github", body=b"{}")
            await st.send_supervised("audit", event, durable=True)
            assert (await relay.health())["waiting"] == {"audit": 1}
            endpoint.open.set()
            await wait_settled(relay)
    assert endpoint.requests == [("id-1", b"{}")]


async def test_event_of_a_subscriber_that_is_taken_out_is_kept_until_it_is_there_again(
    make_relay: MakeRelay, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint = Endpoint()
    async with running(make_relay(subscriber("audit", url=NOWHERE, initial=5.0, maximum=5.0))) as client:
        await client.post(X_GitHub_Delivery="id-1")
    async with running(make_relay(subscriber("chat"))):
        assert "no subscriber is called audit any more; the events that it has not got are kept" in caplog.messages
    async with serving(endpoint):
        relay = make_relay(subscriber("audit", url=endpoint.url))
        async with running(relay):
            await wait_settled(relay)
    assert endpoint.ids == ["id-1"]
