# SPDX-License-Identifier: MIT
"""Signals that the journal keeps: committed before anybody has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from stanchion.errors import MessageEncodeError, StoreError
from stanchion.router import SignalRouter
from stanchion.telemetry import SIGNAL_DROPPED
from stanchion.testing import wait_quiet
from tests.kernel.helpers import Events
from tests.router.support import routed, signal, started


def kept(tmp_path: Path) -> dict[str, str]:
    """Return what a node with a database is made with."""
    return {"database": f"sqlite:///{tmp_path / 'app.db'}"}


async def test_signal_that_is_kept_has_a_position_and_comes_to_subscribers(tmp_path: Path) -> None:
    async with routed(SignalRouter(journal=["order.**"]), **kept(tmp_path)) as router:
        one = await started(router, "**")
        first = await router.publish(signal(1))
        other = await router.publish(signal(2, "invoice.paid"))
        many = await router.publish_many([signal(3), signal(4, "invoice.paid"), signal(5)])
        assert first.stored is not None
        assert other.stored is None
        positions = [first.stored, *(publication.stored for publication in many if publication.stored is not None)]
        assert positions == [first.stored, first.stored + 1, first.stored + 2]
        await wait_quiet()
        assert one.heard == [1, 2, 3, 4, 5]


async def test_signal_that_is_kept_has_not_come_to_nobody(tmp_path: Path) -> None:
    async with routed(SignalRouter(journal=["order.**"]), **kept(tmp_path)) as router:
        events = Events(router._session.node, SIGNAL_DROPPED)  # type: ignore[union-attr]
        await router.publish(signal())
        router.publish_nowait(signal())
        await router.publish_many([signal()])
        assert events.told == []
        assert router.statistics().unrouted == 0


async def test_publisher_that_does_not_wait_hears_nothing_of_a_commit_that_fails(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    router = SignalRouter(journal=["order.**"])
    async with routed(router, **kept(tmp_path)):
        one = await started(router, "**")
        published = signal(1)
        assert router.publish_nowait(published).stored is None
        assert router._durable is not None
        database = router._durable.journal.database

        async def fail(*_: object) -> None:
            raise StoreError("app.db", expected="room", got="none")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(database, "write", fail)
            await wait_quiet()
            failing = signal(2)
            router.publish_nowait(failing)
            await wait_quiet()
            with pytest.raises(StoreError):
                await router.publish(signal(3))
        assert failing.id in caplog.text
        assert one.heard == [1, 2]


async def test_commit_that_nobody_waits_for_may_be_cancelled(tmp_path: Path) -> None:
    async with routed(SignalRouter(journal=["order.**"]), **kept(tmp_path)) as router:
        assert router._durable is not None
        router.publish_nowait(signal())
        writer = router._durable.journal._commit._task
        assert writer is not None
        writer.cancel()
        await wait_quiet()


async def test_of_many_signals_none_is_stored_when_one_cannot_be(tmp_path: Path) -> None:
    async with routed(SignalRouter(journal=["order.**"]), **kept(tmp_path)) as router:
        one = await started(router, "**")
        with pytest.raises(MessageEncodeError):
            await router.publish_many([signal(1), signal(object())])
        assert (await router.publish(signal(2))).stored == 1
        await wait_quiet()
        assert one.heard == [2]
