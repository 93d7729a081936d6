# SPDX-License-Identifier: MIT
"""The limit of a wait: what the code says, else what the node's policy says, cut by the deadline in force.

And, for who has waited for so long in vain, where that limit came from.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from stanchion._validate import Seconds, seconds
from stanchion.kernel._context import DEADLINE
from stanchion.kernel._deadline import cut_by_deadline
from stanchion.kernel._process import Process
from stanchion.timeouts import POLICY, Policy

if TYPE_CHECKING:
    from stanchion.kernel._node import Node


def policy_limit(process: Process, request: object) -> float:
    """Return the seconds that the policy gives a wait for a process's answer to a request."""
    limits = process.limits
    limit = None if limits is None else limits.get(type(request))
    return _look_up(process, request) if limit is None else limit


def wait_limit(subject: str, process: Process, request: object, timeout: Seconds | Policy | None) -> float | None:
    """Return the seconds that a ``timeout`` option means for a wait for a process; None for no limit.

    Args:
        subject: The option, for texts.
        process: Whom the wait is for.
        request: What it is asked, or an ``Operation``.
        timeout: The option.

    Raises:
        InvalidOptionError: it is no timeout.
    """
    return cut_by_deadline(own_limit(subject, process, request, timeout))


def own_limit(subject: str, process: Process, request: object, timeout: Seconds | Policy | None) -> float | None:
    """Return what ``wait_limit`` does where no deadline is in force."""
    if timeout is POLICY:
        return policy_limit(process, request)
    return None if timeout is None else seconds(subject, timeout)


def code_limit(
    subject: str, node: Node, code: object, name: object, request: object, timeout: Seconds | Policy | None
) -> float | None:
    """Return what ``wait_limit`` does for a process that is not there yet, or not any more.

    Args:
        subject: The option, for texts.
        node: Where it would be.
        code: Its class, or its function; or text.
        name: Its name, or None.
        request: What it is asked, or an ``Operation``.
        timeout: The option.

    Raises:
        InvalidOptionError: it is no timeout.
    """
    if timeout is POLICY:
        return cut_by_deadline(node.timeouts.limit(code, name, request))
    return cut_by_deadline(None if timeout is None else seconds(subject, timeout))


def rule_text(node: Node, code: object, name: object, request: object, timeout: Seconds | Policy | None) -> str:
    """Return which rule gave a wait its limit, before any deadline; the arguments are those of ``code_limit``."""
    if timeout is None:
        return "timeout=None"
    if timeout is not POLICY:
        return f"timeout={seconds('timeout', timeout):g}"
    decision = node.timeouts.decide(code, name, request)
    text = str(decision.rule)
    if decision.factor != 1.0:
        text += f", times {decision.factor:g}"
    if decision.minimum is not None:
        text += f", raised to the minimum of {decision.minimum:g} s"
    if decision.maximum is not None:
        text += f", cut to the maximum of {decision.maximum:g} s"
    return text


class LimitCause(NamedTuple):
    """Where a limit came from, as text.

    Attributes:
        rule: What gave it: the option, or a rule of the node's policy.
        cut_by: The deadline in force, if that left less; else None.
    """

    rule: str
    cut_by: str | None


def limit_cause(
    node: Node, code: object, name: object, request: object, timeout: Seconds | Policy | None, limit: float
) -> LimitCause:
    """Return where ``limit`` came from, which ``code_limit`` made of the other arguments, in the same context."""
    own = node.timeouts.limit(code, name, request) if timeout is POLICY else timeout
    own = math.inf if own is None else seconds("timeout", own)
    deadline = DEADLINE.get() if own > limit else None
    if timeout is POLICY and deadline is None and own != limit:
        return LimitCause("a rule that has changed since", None)
    rule = rule_text(node, code, name, request, timeout)
    return LimitCause(rule, None if deadline is None else repr(deadline))


def _look_up(process: Process, request: object) -> float:
    """Ask the policy, whose rules may have changed, or speak of more than the request's type."""
    timeouts, name = process.node.timeouts, process.pid.name
    process.limits = timeouts.limits(process.code, name)
    return timeouts.limit(process.code, name, request)
