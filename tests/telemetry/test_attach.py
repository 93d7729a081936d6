# SPDX-License-Identifier: MIT
from __future__ import annotations

import logging

import pytest

from stanchion.errors import InvalidOptionError
from stanchion.kernel import spawn, wait_exit
from stanchion.telemetry import DROPPED, PROCESS_EXIT, Telemetry
from tests.kernel.helpers import quick_node


class Listener:
    def __init__(self) -> None:
        self.heard: list[object] = []

    def handle(self, event, measurements, metadata) -> None:
        self.heard.append((event, measurements, metadata))


def test_handler_hears_its_event_with_measurements_and_metadata() -> None:
    telemetry, listener = Telemetry(), Listener()
    telemetry.attach(PROCESS_EXIT, listener.handle)
    telemetry.emit(PROCESS_EXIT, {"unhandled": 0}, {"node": "n"})
    telemetry.emit(DROPPED, {"count": 1}, {})
    assert listener.heard == [(PROCESS_EXIT, {"unhandled": 0}, {"node": "n"})]


def test_handlers_are_called_in_the_order_of_their_attachment_and_as_often() -> None:
    telemetry, log = Telemetry(), []
    first = lambda *_: log.append("first")  # noqa: E731
    second = lambda *_: log.append("second")  # noqa: E731
    for handler in (first, second, first):
        telemetry.attach(DROPPED, handler)
    telemetry.emit(DROPPED, {}, {})
    assert log == ["first", "second", "first"]


def test_detached_handler_hears_nothing_more_also_when_it_is_a_method() -> None:
    telemetry, kept, gone = Telemetry(), Listener(), Listener()
    telemetry.attach(DROPPED, kept.handle)
    telemetry.attach(DROPPED, gone.handle)
    telemetry.detach(DROPPED, gone.handle)
    telemetry.detach(DROPPED, gone.handle)
    telemetry.emit(DROPPED, {}, {})
    assert (len(kept.heard), len(gone.heard)) == (1, 0)


def test_nobody_attached_is_false() -> None:
    telemetry, listener = Telemetry(), Listener()
    assert not telemetry.attached
    telemetry.attach(DROPPED, listener.handle)
    assert telemetry.attached
    telemetry.detach(DROPPED, listener.handle)
    assert not telemetry.attached


def test_handler_may_detach_itself() -> None:
    telemetry, log = Telemetry(), []

    def once(*_: object) -> None:
        log.append("once")
        telemetry.detach(DROPPED, once)

    telemetry.attach(DROPPED, once)
    telemetry.attach(DROPPED, lambda *_: log.append("always"))
    telemetry.emit(DROPPED, {}, {})
    telemetry.emit(DROPPED, {}, {})
    assert log == ["once", "always", "always"]


def test_handler_that_raises_is_detached_and_logged_and_the_others_are_called(
    caplog: pytest.LogCaptureFixture,
) -> None:
    telemetry, listener = Telemetry(), Listener()

    def broken(*_: object) -> None:
        raise ValueError("no")

    telemetry.attach(DROPPED, broken)
    telemetry.attach(DROPPED, listener.handle)
    with caplog.at_level(logging.ERROR):
        telemetry.emit(DROPPED, {}, {})
        telemetry.emit(DROPPED, {}, {})
    assert len(listener.heard) == 2
    assert [record.getMessage() for record in caplog.records] == [
        f"telemetry handler {broken!r} raised at stanchion.message.dropped and is detached"
    ]


async def test_handler_that_raises_does_not_disturb_an_exit() -> None:
    async with quick_node() as node:

        def broken(*_: object) -> None:
            raise ValueError("no")

        node.telemetry.attach(PROCESS_EXIT, broken)

        async def body() -> None: ...

        assert await wait_exit(spawn(body), timeout=1) == "normal"
        assert not node.telemetry.attached


def test_attach_refuses_an_unknown_event_with_the_nearest() -> None:
    with pytest.raises(InvalidOptionError) as caught:
        Telemetry().attach("stanchion.proces.exit", print)
    assert str(caught.value) == (
        "attach(event): expected an event of stanchion.telemetry.EVENTS, got 'stanchion.proces.exit'\n"
        "Fix: pass the constant of the event stanchion.process.exit."
    )


def test_attach_and_detach_refuse_what_is_like_no_event() -> None:
    for operation in (Telemetry().attach, Telemetry().detach):
        with pytest.raises(InvalidOptionError) as caught:
            operation(0, print)
        assert str(caught.value) == (
            f"{operation.__name__}(event): expected an event of stanchion.telemetry.EVENTS, got 0"
        )


def test_attach_refuses_an_async_handler() -> None:
    async def handler(*_: object) -> None: ...

    with pytest.raises(InvalidOptionError) as caught:
        Telemetry().attach(DROPPED, handler)
    assert str(caught.value) == (
        f"attach(handler): expected a plain function, got {handler!r}\n"
        "Fix: let it put what it heard where a task of yours reads it."
    )


def test_attach_refuses_what_cannot_be_called() -> None:
    with pytest.raises(InvalidOptionError) as caught:
        Telemetry().attach(DROPPED, None)
    assert str(caught.value) == "attach(handler): expected a plain function, got None"
