# SPDX-License-Identifier: MIT
"""How long a send may take: one attempt, and the whole of it."""

from __future__ import annotations

from typing import Final

from stanchion.delivery._options import Options
from stanchion.kernel import DEADLINE, Node, Process, policy_limit
from stanchion.timeouts import POLICY, SEND, Policy

_SEND: Final = type(SEND)


def timeout_of(process: Process, message: object, timeout: float | Policy | None) -> float | None:
    """Return the seconds that one attempt may wait, whatever else may cut it; None for no limit."""
    return policy_limit(process, message) if timeout is POLICY else timeout


def first_limits(
    process: Process, message: object, options: Options, started: float
) -> tuple[float | None, float | None]:
    """Return the seconds that the first attempt may wait, and when the send is given up, where no deadline is in force.

    It is what ``timeout_of`` and ``give_up_time`` say, without the calls: every send comes here.
    """
    table, limit, whole = process.limits, options.timeout, options.deadline
    if limit is POLICY:
        limit = None if table is None else table.get(type(message))
        if limit is None:
            limit = policy_limit(process, message)
    if whole is POLICY:
        whole = None if table is None else table.get(_SEND)
        if whole is None:
            whole = policy_limit(process, SEND)
    if whole is None:
        return limit, None
    return (whole if limit is None or whole < limit else limit), started + whole


def give_up_time(node: Node, options: Options, started: float) -> float | None:
    """Return when a send is given up, by the node's monotonic clock: by its ``deadline`` or the one in force.

    Returns:
        None for never.
    """
    limit = options.deadline
    if limit is POLICY:
        # It has a default of its own, so no rule of a recipient counts. The table saves most of a look-up, at each send.
        limit = node.timeouts.limits("", None).get(_SEND)
        if limit is None:
            limit = node.timeouts.limit("", None, SEND)
    until = None if limit is None else started + limit
    deadline = DEADLINE.get()
    if deadline is None:
        return until
    clock = node.clock
    at = deadline.at if deadline.clock is clock else clock.monotonic() + deadline.left()
    return at if until is None or at < until else until
