# SPDX-License-Identifier: MIT
"""The outbox of a subscriber: takes events down, and has each sent, supervised."""

from __future__ import annotations

from collections import deque

import stanchion as st
from examples.relay.backlog import Backlog
from examples.relay.config import SubscriberConfig
from examples.relay.event import Event
from stanchion.errors import DeadLetterError


class Outbox(st.GenServer):
    """Takes events into the backlog and runs one sender, a linked process, for each of a bounded number of them.

    Nothing is lost when it crashes, or is killed: its senders end with it, by their links, and the next outbox begins
    with everything that is in the backlog. What a sender had half done is then done twice.
    """

    def init(self, config: SubscriberConfig, backlog: Backlog) -> None:
        """Begin with what the outbox before this one left."""
        st.trap_exit()
        self._config = config
        self._backlog = backlog
        self._waiting = deque(backlog.keys())
        self._senders: dict[st.Pid, str] = {}
        self._start_senders()

    async def handle_cast(self, message: object, /) -> object:
        """Take an event down; when this returns, it will be delivered or rest in the dead letters."""
        if not isinstance(message, Event):
            return st.UNHANDLED
        info = st.message_info()
        # The same in each attempt to hand the event over: one that was taken down already is not taken twice.
        key = message.id if info is None else info.message_id
        if self._backlog.get(key) is not None:
            return None
        if not self._backlog.add(key, message):
            return await self._park(key, message)
        self._waiting.append(key)
        self._start_senders()
        return None

    def handle_info(self, message: object, /) -> object:
        """Start the next sender when one has ended, and stop when told to."""
        match message:
            case st.Exit(pid, _) if pid in self._senders:
                key = self._senders.pop(pid)
                if self._backlog.get(key) is not None:  # it crashed, or was killed, before its end
                    self._waiting.append(key)
                self._start_senders()
                return None
            case st.Exit(_, reason) if reason != "normal":
                return st.Stop(reason)
            case _:
                return st.UNHANDLED

    async def _park(self, key: str, event: Event) -> object:
        try:
            await self._backlog.park(key, event, "overflow")
        except DeadLetterError as error:
            return st.Reject(f"the backlog is full, and {error}", retry=False)
        return None

    def _start_senders(self) -> None:
        while self._waiting and len(self._senders) < self._config.in_flight:
            key = self._waiting.popleft()
            sender = st.spawn_link(_send, self._config, self._backlog, key)
            self._senders[sender] = key


async def _send(config: SubscriberConfig, backlog: Backlog, key: str) -> None:
    """Send one event until its subscriber has confirmed it, or it is a dead letter."""
    event = backlog.get(key)
    if event is None:
        return
    await st.send_supervised(
        config.name,
        event,
        timeout=config.ack_timeout,
        retries=config.retries,
        backoff=st.Backoff(initial=config.initial, maximum=config.maximum),
        deadline=None,  # retries and timeouts bound it
        on_error="dead_letter",
        metadata={"event": event.type, "source": event.source, "id": event.id},
    )
    # In the same step as the end of the send: nobody can crash this process in between.
    backlog.settle(key)
