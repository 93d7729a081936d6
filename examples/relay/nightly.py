# SPDX-License-Identifier: MIT
"""Once a night, dead letters that wait for a person are sent again: what was wrong may have been mended meanwhile."""

from __future__ import annotations

import logging
from typing import Final

import stanchion as st
from examples.relay.config import NightlyConfig
from stanchion.dead_letters import LetterFilter
from stanchion.scheduler import SendMessage

NAME: Final = "relay.nightly"
"""What the process is called, and its schedule; no subscriber can be, for it has a dot."""

_log = logging.getLogger(NAME)


class RetryExhausted(st.Message, type="relay.retry_exhausted"):
    """It is time."""


class Nightly(st.GenServer):
    """Retries the exhausted dead letters whenever its schedule says so.

    The schedule is persistent: a night on which the relay was down is made up for when it starts, once, and of two relays
    on one database one does the work.
    """

    async def init(self, config: NightlyConfig, letters: st.DeadLetterQueue, scheduler: st.SchedulerManager) -> None:
        """Declare the schedule. One that is stored already goes on; one with another time is replaced."""
        self._letters = letters
        if config.cron is not None:
            job = SendMessage(NAME, RetryExhausted())
            await scheduler.cron(config.cron, job, id=NAME, tz=config.zone, persistent=True)
            return
        await scheduler.cancel(NAME)

    async def handle_cast(self, message: object, /) -> object:
        """Make the letters due that wait for a person; each has all its redeliveries before it again."""
        if not isinstance(message, RetryExhausted):
            return st.UNHANDLED
        exhausted = await self._letters.select(LetterFilter(state="exhausted"))
        result = await exhausted.retry()
        _log.info("%d of %d exhausted dead letters are sent again", len(result.done), exhausted.count)
        return None
