# SPDX-License-Identifier: MIT
"""When not to try: circuit breakers, which stop calls and sends to what keeps failing, and find out when it works again.

A send to a recipient whose circuit is open is rejected before it is put anywhere. After a while one probe is let
through; when it succeeds, the others follow.
"""

from __future__ import annotations

from stanchion._public import show_public_path
from stanchion.breakers._breaker import CircuitBreaker
from stanchion.breakers._breakers import Breakers, breaker_for, breakers_of, checked_breaker
from stanchion.breakers._permit import Permit
from stanchion.breakers._policy import BreakerPolicy
from stanchion.breakers._records import BreakerStatistics, CircuitChange, CircuitState

__all__ = [
    "BreakerPolicy",
    "BreakerStatistics",
    "Breakers",
    "CircuitBreaker",
    "CircuitChange",
    "CircuitState",
    "Permit",
    "breaker_for",
    "breakers_of",
    "checked_breaker",
]

show_public_path(globals())
