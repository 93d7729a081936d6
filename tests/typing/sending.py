# SPDX-License-Identifier: MIT
"""What type checkers make of supervised sends. Checked, never run."""

from __future__ import annotations

from typing import assert_type

import stanchion as st

breaker = st.CircuitBreaker("smtp")


async def send(node: st.Node) -> None:
    delivery = await st.send_supervised(
        "payments", ("pay", 17), idempotency_key="order-17", ordered=True, poison_after=None, breaker=breaker
    )
    assert_type(delivery, st.Delivery)
    assert_type(delivery.duplicate, bool)
    assert_type(delivery.reason, st.Reason | None)
    await st.send_supervised("payments", 17, breaker="smtp", deadline=None)
    await st.send_supervised("payments", 17, durable=True, ack="stored")
    await st.send_supervised("payments", 17, idempotency_key=17)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    await st.send_supervised("payments", 17, ordered="yes")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    await st.send_supervised("payments", 17, poison_after="3")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    await st.send_supervised("payments", 17, breaker=st.BreakerPolicy())  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    await st.send_supervised("payments", 17, durable=1.0)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


async def broadcast(pid: st.Pid) -> None:
    report = await st.broadcast_supervised(
        ["payments", pid], 17, strategy="all_or_nothing", idempotency_key="order-17", poison_after=2, concurrency=8
    )
    assert_type(report.failures(), dict[st.Reason, tuple[st.Delivery, ...]])
    await st.broadcast_supervised([pid], 17, concurrency="8")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    await st.broadcast_supervised([pid], 17, strategy="all")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    await st.broadcast_supervised([pid], 17, ordered=True)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    await st.broadcast_supervised([pid], 17, breaker=breaker)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]


def receive() -> None:
    info = st.message_info()
    if info is not None:
        assert_type(info.deadline, float | None)
        assert_type(info.remaining(), float | None)


async def slow_down(pid: st.Pid) -> None:
    async with st.credits(pid, window=10) as sender:
        assert_type(await sender.cast("hello"), bool)


st.Node(dedup=st.DedupWindow(size=10, age=60))
st.Node(dedup=10)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
