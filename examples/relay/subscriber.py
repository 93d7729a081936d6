# SPDX-License-Identifier: MIT
"""A subscriber: POSTs events to its URL, one at a time."""

from __future__ import annotations

from typing import Final

import aiohttp

import stanchion as st
from examples.relay.config import SubscriberConfig
from examples.relay.event import Event
from examples.relay.http_client import HttpClient
from examples.relay.signature import sign

# 4xx answers that do not mean "never send this again": request timeout, too early, too many requests.
_PASSING: Final = (408, 425, 429)


class Subscriber(st.GenServer):
    """Delivers what it is sent, and says of each event whether it arrived.

    It knows no retries: those are its sender's, which is the router, or the redelivery of a dead letter.
    """

    def init(self, config: SubscriberConfig, http: HttpClient) -> None:
        """Take note of the URL."""
        self._config = config
        self._http = http

    async def handle_cast(self, message: object, /) -> object:
        """POST an event. What is not confirmed with a 2xx is refused; a 4xx for good."""
        event, config = Event.of(message), self._config
        if event is None:
            return st.UNHANDLED
        try:
            status = await self._http.post(config.url, event.body, self._headers(event), config.timeout)
        except TimeoutError:
            # It may have arrived all the same; X-Relay-Id tells the subscriber when it comes again.
            return st.Reject(f"{config.url}: no answer within {config.timeout:g} s", handled=True)
        except aiohttp.ClientError as error:
            return st.Reject(f"{config.url}: {type(error).__name__}: {error}")
        if 200 <= status < 300:
            return None
        return st.Reject(f"{config.url}: status {status}", retry=status >= 500 or status in _PASSING)

    def _headers(self, event: Event) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            "X-Relay-Id": event.id,
            "X-Relay-Event": event.type,
            "X-Relay-Source": event.source,
        }
        if self._config.secret is not None:
            headers["X-Relay-Signature-256"] = sign(self._config.secret, event.body)
        return headers
