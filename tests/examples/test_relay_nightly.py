# SPDX-License-Identifier: MIT
"""At night dead letters that wait for a person are sent again, by a schedule that is kept in the database."""

from __future__ import annotations

import stanchion as st
from examples.relay.config import NightlyConfig
from examples.relay.nightly import NAME
from tests.examples.relay_kit import Endpoint, MakeRelay, running, serving, subscriber, wait_settled

EVERY_SECOND = NightlyConfig(cron="* * * * * *")
IN_WINTER = NightlyConfig(cron="0 3 1 jan *", zone="Europe/Berlin")


async def test_exhausted_letter_is_delivered_at_night(make_relay: MakeRelay) -> None:
    endpoint = Endpoint(400, 200)
    async with serving(endpoint):
        relay = make_relay(subscriber("audit", url=endpoint.url), nightly=EVERY_SECOND)
        async with running(relay) as client:
            await client.post(X_GitHub_Delivery="id-1")
            await wait_settled(relay)
            seen = relay.letters.changes
            while (stats := await relay.letters.stats()).exhausted or stats.waiting or stats.retrying:
                await relay.letters.wait_changed(seen)
                seen = relay.letters.changes
    assert (stats.delivered, endpoint.ids) == (1, ["id-1", "id-1"])


async def test_letter_that_fails_at_night_waits_for_the_next_one(make_relay: MakeRelay) -> None:
    endpoint = Endpoint(400, 400, 400, 200)
    async with serving(endpoint):
        relay = make_relay(subscriber("audit", url=endpoint.url), nightly=IN_WINTER)
        async with running(relay) as client:
            await client.post(X_GitHub_Delivery="id-1")
            for night in range(1, 4):
                await wait_settled(relay)
                assert (len(endpoint.ids), (await relay.letters.stats()).exhausted) == (night, 1)
                await relay.node.scheduler.trigger(NAME)
                await relay.node.outbox.wait_empty()
            await wait_settled(relay)
            assert (await relay.letters.stats()).delivered == 1


async def test_schedule_follows_the_configuration(make_relay: MakeRelay) -> None:
    triggers: list[list[str]] = []
    for nightly in (NightlyConfig(), IN_WINTER, NightlyConfig(cron=None)):
        relay = make_relay(subscriber("audit"), nightly=nightly)
        async with running(relay):
            triggers.append([info.trigger for info in await relay.node.scheduler.list()])
    assert triggers == [["cron '0 3 * * *' in UTC"], ["cron '0 3 1 jan *' in Europe/Berlin"], []]


async def test_schedule_goes_on_after_a_restart_of_the_relay_and_of_its_process(make_relay: MakeRelay) -> None:
    async with running(make_relay(subscriber("audit"), nightly=IN_WINTER)) as _:
        pass
    endpoint = Endpoint(400, 200)
    async with serving(endpoint):
        relay = make_relay(subscriber("audit", url=endpoint.url), nightly=IN_WINTER)
        async with running(relay) as client:
            await client.post()
            await wait_settled(relay)
            victim = st.whereis(NAME)
            assert victim is not None
            st.exit(victim, "kill")
            await relay.node.scheduler.trigger(NAME)
            await relay.node.outbox.wait_empty()
            await wait_settled(relay)
            (info,) = await relay.node.scheduler.list()
            assert (info.persistent, (await relay.letters.stats()).delivered) == (True, 1)
