# SPDX-License-Identifier: MIT
"""A message by way of the store: what a handler gets when a dead letter is sent again."""

from __future__ import annotations

from collections.abc import Mapping

from stanchion import POLICY, Delivery, Ref, Seconds, send_supervised
from stanchion._validate import cut
from stanchion.timeouts import Policy


async def perform(
    ref: Ref,
    message: object,
    *,
    timeout: Seconds | Policy | None = POLICY,
    metadata: Mapping[str, object] | None = None,
) -> Delivery:
    """Send a message that has been encoded and decoded as the dead-letter queue does, and wait until it is handled.

    A test that sends the object itself does not show that the message can be stored, nor that the handler copes with
    what comes back: a tuple in plain data stays a tuple, say, but an object of a class of its own is refused.

    Args:
        ref: A pid, a registered name or a via address.
        message: See ``send_supervised``; it is sent once.
        timeout: Seconds to wait for the handler, as in ``send_supervised``.
        metadata: As in ``send_supervised``.

    Returns:
        The delivery, confirmed.

    Raises:
        AssertionError: it was not confirmed; a crash of the handler is the cause.
        MessageEncodeError: the message cannot become data, or would come back as something else.
        InvalidOptionError: an argument is wrong.

    Source: ``perform_job/3`` of Oban.Testing.
    """
    __tracebackhide__ = True
    from stanchion.dead_letters import decode, encode  # only who tests letters pays for it

    data = encode(message)
    back = decode(data.type, data.version, data.payload)
    delivery = await send_supervised(
        ref, back, timeout=timeout, retries=0, deadline=None, on_error="ignore", metadata=metadata
    )
    if not delivery:
        cause = delivery.exit_reason
        error = AssertionError(f"perform({ref!r}): expected {cut(back)} to be handled, got {delivery!r}")
        raise error from (cause if isinstance(cause, BaseException) else None)
    return delivery
