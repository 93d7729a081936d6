# SPDX-License-Identifier: MIT
"""Attaching to events and emitting them, per node."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping
from typing import Final

from stanchion._validate import cut, nearest
from stanchion.errors import InvalidOptionError
from stanchion.telemetry._events import EVENTS, Event

_log = logging.getLogger("stanchion.telemetry")

Handler = Callable[[Event, Mapping[str, float], Mapping[str, object]], None]
"""What is attached: ``handler(event, measurements, metadata)``, called in the emitter's own step."""


class Telemetry:
    """Who listens to which event of one node.

    Nobody attached to anything costs the emitter one truth test (``if telemetry.attached``).

    Attributes:
        attached: The name of each event that somebody listens to, and its handlers. Only ``attach`` and ``detach``
            change it.
    """

    __slots__ = ("attached",)

    def __init__(self) -> None:
        self.attached: Final[dict[tuple[str, ...], tuple[Handler, ...]]] = {}

    def attach(self, event: Event, handler: Handler) -> None:
        """Call ``handler`` at each ``event`` from now on.

        The handler runs inside the emitting step: it must be quick and must not wait. One that raises
        is detached and logged; the emitter goes on. Attaching the same pair twice calls it twice.

        Args:
            event: One of ``stanchion.telemetry.EVENTS``.
            handler: ``handler(event, measurements, metadata)``, a plain function.

        Raises:
            InvalidOptionError: ``event`` is not in the table, or ``handler`` is no plain function.
        """
        _check_event("attach(event)", event)
        if not callable(handler) or inspect.iscoroutinefunction(handler):
            raise InvalidOptionError(
                "attach(handler)",
                expected="a plain function",
                got=cut(handler),
                fix="let it put what it heard where a task of yours reads it." if callable(handler) else None,
            )
        self.attached[event.name] = (*self.attached.get(event.name, ()), handler)

    def detach(self, event: Event, handler: Handler) -> None:
        """Stop calling ``handler`` at ``event``; harmless when it is not attached.

        Raises:
            InvalidOptionError: ``event`` is not in the table.
        """
        _check_event("detach(event)", event)
        # Equal, not identical: each `object.method` is another object.
        left = tuple(known for known in self.attached.get(event.name, ()) if known != handler)
        if left:
            self.attached[event.name] = left
        else:
            self.attached.pop(event.name, None)

    def emit(self, event: Event, measurements: Mapping[str, float], metadata: Mapping[str, object]) -> None:
        """Call the handlers of ``event`` in the order of their attachment."""
        for handler in self.attached.get(event.name, ()):
            try:
                handler(event, measurements, metadata)
            except Exception:
                self.detach(event, handler)
                _log.exception("telemetry handler %r raised at %s and is detached", handler, ".".join(event.name))


def _check_event(subject: str, event: Event) -> None:
    if event not in EVENTS:
        names = [".".join(known.name) for known in EVENTS]
        guess = nearest(cut(event), names)
        raise InvalidOptionError(
            subject,
            expected="an event of stanchion.telemetry.EVENTS",
            got=cut(event),
            fix=f"pass the constant of the event {guess}." if guess else None,
        )
