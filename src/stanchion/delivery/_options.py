# SPDX-License-Identifier: MIT
"""The options of a supervised send, checked once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from stanchion._backoff import Backoff
from stanchion._validate import Seconds, cut, instance, one_of, seconds_or_none, whole_number
from stanchion.delivery._delivery import Ack
from stanchion.errors import InvalidOptionError
from stanchion.kernel import Node
from stanchion.server import POLICY, Policy

OnError = Literal["log", "dead_letter", "raise", "ignore"]

ON_ERROR: Final = ("log", "dead_letter", "raise", "ignore")
DEFAULT_BACKOFF: Final = Backoff(initial=0.1, factor=2.0, maximum=5.0, jitter=0.2)
_ACKS: Final = tuple(ack.value for ack in Ack)
_PROCESSED: Final = Ack.PROCESSED


class Options(NamedTuple):
    """Checked options; times in seconds, None for no limit."""

    ack: Ack = Ack.PROCESSED
    timeout: float | Policy | None = POLICY
    retries: int = 3
    backoff: Backoff = DEFAULT_BACKOFF
    deadline: float | None = 30.0
    on_error: str = "log"
    metadata: Mapping[str, object] | None = None

    def first_limit(self, node: Node) -> float | None:
        """Return the seconds that the first attempt may wait: the timeout or the deadline, whichever is less."""
        timeout, deadline = self.timeout, self.deadline
        limit = node.call_timeout if timeout is POLICY else timeout
        return limit if deadline is None or (limit is not None and limit <= deadline) else deadline


USUAL: Final = Options()
"""The options of a send that gives none; the defaults of its signature."""


def options(
    operation: str,
    ack: Ack | str,
    timeout: Seconds | Policy | None,
    retries: int,
    backoff: Backoff,
    deadline: Seconds | None,
    on_error: str,
    metadata: Mapping[str, object] | None,
) -> Options:
    """Check the options of a send.

    Raises:
        InvalidOptionError: one is wrong.
    """
    # What is right by being the default; to check and to pack these costs a quarter of a send.
    if (
        ack is _PROCESSED
        and timeout is POLICY
        and retries is USUAL.retries
        and backoff is DEFAULT_BACKOFF
        and deadline == USUAL.deadline
        and on_error is USUAL.on_error
        and metadata is None
    ):
        return USUAL
    if metadata is not None and not (isinstance(metadata, Mapping) and all(isinstance(key, str) for key in metadata)):
        raise InvalidOptionError(f"{operation}(metadata)", expected="a mapping with string keys", got=cut(metadata))
    return Options(
        Ack(one_of(f"{operation}(ack)", ack, _ACKS)),
        timeout if timeout is POLICY else seconds_or_none(f"{operation}(timeout)", timeout),
        whole_number(f"{operation}(retries)", retries),
        instance(f"{operation}(backoff)", backoff, Backoff),
        seconds_or_none(f"{operation}(deadline)", deadline),
        one_of(f"{operation}(on_error)", on_error, ON_ERROR),
        metadata,
    )
