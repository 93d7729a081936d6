# SPDX-License-Identifier: MIT
"""The message that travels through the relay."""

from __future__ import annotations

import stanchion as st


class Event(st.Message, type="relay.event"):
    """One webhook. It can be stored as a dead letter, under the type name ``relay.event``.

    Attributes:
        id: The source's own id of it, else one of ours. The same in every attempt at every subscriber.
        type: ``event`` or ``event.action``.
        source: Where it came from.
        body: The payload, byte by byte as it came.
    """

    id: str
    type: str
    source: str
    body: bytes
