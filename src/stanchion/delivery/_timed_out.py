# SPDX-License-Identifier: MIT
"""Why an attempt got no ack in time: for people, who have nothing but the delivery, or the dead letter, to look at."""

from __future__ import annotations

from stanchion.delivery._delivery import Failure, Reason
from stanchion.delivery._receipt import Notice, Receipt
from stanchion.delivery._time_limits import timeout_of
from stanchion.kernel import Envelope, Process, doing, rule_text
from stanchion.timeouts import POLICY, SEND


def explained(process: Process, envelope: Envelope, limit: float, failure: Failure) -> Failure:
    """Return a failure with its detail: which limit, by which rule, what is known, and what the recipient is doing.

    Args:
        process: The recipient.
        envelope: What was sent, and is taken back if it could be.
        limit: How many seconds the attempt has waited.
        failure: Why it failed.
    """
    token: Notice | Receipt = envelope[2]  # type: ignore[assignment]  # what enqueue() made
    waited_for = "place in its mailbox" if failure.reason is Reason.OVERFLOW else "ack"
    texts = (
        f"no {waited_for} within {limit:.3g} s ({_rule(process, envelope[1], token, limit)})",
        _known(process, token, failure),
        doing(process).text,
    )
    return failure._replace(detail="; ".join(texts))


def _rule(process: Process, message: object, token: Notice | Receipt, limit: float) -> str:
    """Return what gave an attempt its limit."""
    options, node, name = token.options, process.node, process.pid.name
    own = timeout_of(process, message, options.timeout)
    if own is not None and own <= limit:
        return rule_text(node, process.code, name, message, options.timeout)
    # That of a scope in another node has passed on this node's clock alone, if need be.
    if token.deadline is not None and (token.deadline.passed or options.deadline is None):
        return f"what was left of {token.deadline!r}"
    if options.deadline is POLICY:
        return f"what was left of {rule_text(node, process.code, name, SEND, POLICY)}"
    return f"what was left of deadline={options.deadline:g}"


def _known(process: Process, token: Notice | Receipt, failure: Failure) -> str:
    """Return what is known of the message."""
    if not failure.handled:
        return "it was taken back, and not processed"
    if process.handling is not None and process.handling[2] is token:
        return "it is being handled, and may be processed yet"
    if process.deferred is not None and token in process.deferred:
        return "its handler has put the outcome off"
    return "it may have been processed"
