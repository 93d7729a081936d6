# SPDX-License-Identifier: MIT
"""What becomes of an accepted event: delivered, or a dead letter, whatever crashes meanwhile."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

import stanchion as st
from examples.relay.config import RedeliveryConfig
from examples.relay.event import Event
from examples.relay.relay import TOP, Relay
from examples.relay.signature import is_signed
from stanchion.dead_letters import LetterFilter
from stanchion.kernel import ExitReason
from tests.examples.relay_kit import Endpoint, make_relay, running, serving, subscriber, until

AGAIN = RedeliveryConfig(initial=0.05, maximum=0.1, attempts=20)
NOWHERE = "http://127.0.0.1:9/"


async def letters_of(relay: Relay) -> list[st.DeadLetter]:
    return list((await relay.letters.list(LetterFilter(state=("waiting", "exhausted")))).entries)


async def test_subscriber_signs_and_labels_what_it_posts() -> None:
    endpoint = Endpoint()
    async with serving(endpoint):
        relay = make_relay(subscriber("audit", url=endpoint.url, secret=b"ours"))
        async with running(relay) as client:
            await client.post(b'{"action":"opened"}', X_GitHub_Event="issues", X_GitHub_Delivery="id-1")
            await relay.wait_settled()
    headers = endpoint.headers[0]
    labels = (headers["X-Relay-Id"], headers["X-Relay-Event"], headers["X-Relay-Source"])
    assert labels == ("id-1", "issues.opened", "github")
    assert is_signed(b"ours", b'{"action":"opened"}', headers["X-Relay-Signature-256"])


async def test_event_reaches_each_subscriber_that_wants_it_and_no_other() -> None:
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
            await relay.wait_settled()
    assert (sorted(all_.ids), issues.ids, pushes.ids) == (["issue", "push"], ["issue"], ["push"])


@pytest.mark.parametrize("failure", [500, 503, 408, 429, 0])
async def test_event_is_sent_again_when_the_subscriber_fails_for_now(failure: int) -> None:
    endpoint = Endpoint(failure, failure, 200)
    async with serving(endpoint):
        relay = make_relay(subscriber("audit", url=endpoint.url))
        async with running(relay) as client:
            await client.post(X_GitHub_Delivery="id-1")
            await relay.wait_settled()
            assert await letters_of(relay) == []
    assert endpoint.ids == ["id-1", "id-1", "id-1"]


async def test_event_is_sent_again_when_the_answer_comes_too_late() -> None:
    endpoint = Endpoint()
    endpoint.open.clear()
    async with serving(endpoint):
        relay = make_relay(subscriber("audit", url=endpoint.url, timeout=0.1, retries=50))
        async with running(relay) as client:
            await client.post(X_GitHub_Delivery="id-1")
            await until(lambda: len(endpoint.ids) == 2)
            endpoint.open.set()
            await relay.wait_settled()
            assert await letters_of(relay) == []


@pytest.mark.parametrize("refusal", [301, 400, 404, 410])
async def test_event_is_a_dead_letter_at_once_when_the_subscriber_refuses_it_for_good(refusal: int) -> None:
    endpoint = Endpoint(refusal)
    async with serving(endpoint):
        relay = make_relay(subscriber("audit", url=endpoint.url))
        async with running(relay) as client:
            await client.post(b"{}", X_GitHub_Delivery="id-1")
            await relay.wait_settled()
            (letter,) = await letters_of(relay)
    assert endpoint.ids == ["id-1"]
    assert (letter.recipient, letter.reason, letter.attempt_count) == ("audit", "refused", 1)
    assert letter.error == f"refused: {endpoint.url}: status {refusal}"
    assert letter.message() == Event(id="id-1", type="push", source="github", body=b"{}")


async def test_event_is_a_dead_letter_when_the_retries_are_used_up() -> None:
    relay = make_relay(subscriber("audit", url=NOWHERE, retries=2))
    async with running(relay) as client:
        assert (await client.post())[0] == 202
        await relay.wait_settled()
        (letter,) = await letters_of(relay)
    assert letter.attempt_count == 3


async def test_dead_letter_is_redelivered_when_the_subscriber_is_back() -> None:
    endpoint = Endpoint(500, 500, 500, 200)
    async with serving(endpoint):
        relay = make_relay(subscriber("audit", url=endpoint.url, retries=0), redelivery=AGAIN)
        async with running(relay) as client:
            await client.post(X_GitHub_Delivery="id-1")
            await relay.wait_settled()
            stats = await relay.letters.stats()
    assert (stats.delivered, stats.total) == (1, 1)
    assert endpoint.ids == ["id-1"] * 4


async def test_slow_subscriber_does_not_delay_the_others() -> None:
    slow, quick = Endpoint(), Endpoint()
    slow.open.clear()
    async with serving(slow, quick):
        relay = make_relay(subscriber("slow", url=slow.url), subscriber("quick", url=quick.url))
        async with running(relay) as client:
            for number in range(20):
                assert (await client.post(X_GitHub_Delivery=str(number)))[0] == 202
            await relay.backlogs["quick"].wait_below(1)
            assert (len(quick.ids), len(slow.ids), len(relay.backlogs["slow"])) == (20, 1, 20)
            slow.open.set()
            await relay.wait_settled()
    assert sorted(slow.ids) == sorted(quick.ids)


async def test_event_goes_to_the_dead_letters_when_the_backlog_is_full() -> None:
    endpoint = Endpoint()
    endpoint.open.clear()
    async with serving(endpoint):
        relay = make_relay(subscriber("audit", url=endpoint.url, backlog=2), redelivery=AGAIN)
        async with running(relay) as client:
            answers = [await client.post(X_GitHub_Delivery=str(number)) for number in range(4)]
            stats = await relay.letters.stats()
            endpoint.open.set()
            await relay.wait_settled()
    assert [status for status, _ in answers] == [202, 202, 202, 202]
    assert stats.total == 2
    assert sorted(set(endpoint.ids)) == ["0", "1", "2", "3"]


@pytest.mark.parametrize("victim", ["audit", "audit.outbox", "audit.lane"])
@pytest.mark.parametrize("reason", ["kill", ValueError("a bug")])
async def test_nothing_is_lost_when_a_process_crashes(victim: str, reason: ExitReason) -> None:
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
            await relay.wait_settled()
    assert set(endpoint.ids) == sent


async def test_nothing_is_lost_when_the_relay_stops_with_events_in_hand(tmp_path: Path) -> None:
    sent = {str(number) for number in range(20)}
    letters = f"sqlite:///{tmp_path}/letters.db"
    before = make_relay(
        subscriber("audit", url=NOWHERE, initial=5.0, maximum=5.0), dead_letters=letters, redelivery=AGAIN
    )
    async with running(before) as client:
        for id_ in sent:
            assert (await client.post(X_GitHub_Delivery=id_))[0] == 202
    endpoint = Endpoint()
    async with serving(endpoint):
        after = Relay(
            replace(before.config, subscribers=(subscriber("audit", url=endpoint.url),)), block_threshold=None
        )
        async with running(after):
            await after.wait_settled()
    assert set(endpoint.ids) == sent


async def test_nothing_is_lost_when_the_relay_gives_up(tmp_path: Path) -> None:
    letters = f"sqlite:///{tmp_path}/letters.db"
    relay = make_relay(subscriber("audit", url=NOWHERE, initial=5.0), dead_letters=letters, max_restarts=0)
    async with running(relay) as client:
        await asyncio.gather(*(client.post() for _ in range(5)))
        top, victim = st.whereis(TOP), st.whereis("audit")
        assert top is not None
        assert victim is not None
        st.exit(victim, "kill")
        assert await st.wait_exit(top, timeout=5) == "shutdown"
    async with st.DeadLetterQueue(letters) as queue:
        found = (await queue.list()).entries
    assert [letter.reason for letter in found] == ["shutdown"] * 5


async def test_relay_leaves_nothing_behind_when_it_stops_in_the_middle() -> None:
    endpoint = Endpoint()
    endpoint.open.clear()
    async with serving(endpoint):
        relay = make_relay(subscriber("audit", url=endpoint.url))
        async with running(relay) as client:
            await asyncio.gather(*(client.post() for _ in range(5)))
            await until(lambda: len(endpoint.ids) > 0)
    assert len(relay.backlogs["audit"]) == 0
