# SPDX-License-Identifier: MIT
"""What there is while a queue is open, and what follows from each commit."""

from __future__ import annotations

import logging
from typing import Final

from stanchion.dead_letters._changes import ChangeFeed
from stanchion.dead_letters._group_commit import GroupCommit
from stanchion.dead_letters._hook import ExhaustedHook, HookRunner
from stanchion.dead_letters._letter import DeadLetter
from stanchion.dead_letters._store import Store, Write
from stanchion.dead_letters._transitions import RetryPolicy
from stanchion.telemetry import LETTER_DELIVERED, LETTER_EXHAUSTED, LETTER_STORED, Telemetry

_log = logging.getLogger("stanchion.dead_letters")


class Session:
    """One time that a queue is open.

    Attributes:
        store: The open store.
        policy: When to redeliver.
        changes: Where changes are told.
        commit: Through which every change goes.
    """

    __slots__ = ("_hooks", "_telemetry", "changes", "commit", "policy", "store")

    def __init__(
        self,
        store: Store,
        policy: RetryPolicy,
        hook: ExhaustedHook | None,
        telemetry: Telemetry | None,
        *,
        max_pending: int,
    ) -> None:
        self.store: Final = store
        self.policy: Final = policy
        self.changes: Final = ChangeFeed()
        self.commit: Final = GroupCommit(store, self._committed, limit=max_pending)
        self._hooks: Final = HookRunner(hook)
        self._telemetry: Final = telemetry

    async def close(self) -> None:
        """Commit what waits, let hooks finish, answer everybody who waits, and close the store."""
        try:
            await self.commit.close()
            await self._hooks.close()
        finally:
            self.changes.close()
            await self.store.close()

    def _committed(self, verb: str, write: Write) -> None:
        letter = write.letter
        if write.also is not None:  # a replay, which discards the letter that it replays
            self.changes.publish("discard", letter)
            letter = write.also
        self.changes.publish(verb, letter)
        if self._telemetry is not None and self._telemetry.attached:
            self._tell(self._telemetry, verb, letter)
        if letter.state == "exhausted":  # no change leads from exhausted to exhausted: this is the first
            _log.warning(
                "dead letter %s to %s is exhausted and waits for a person: %s",
                letter.id, letter.recipient, letter.error or letter.reason,
            )  # fmt: skip
            self._hooks.start(letter)

    def _tell(self, telemetry: Telemetry, verb: str, letter: DeadLetter) -> None:
        about = {"id": letter.id, "recipient": letter.recipient}
        if verb in ("add", "replay"):
            telemetry.emit(LETTER_STORED, {"count": 1}, {**about, "reason": letter.reason})
        if verb == "delivered":
            telemetry.emit(LETTER_DELIVERED, {"attempts": letter.redeliveries}, about)
        if letter.state == "exhausted":
            telemetry.emit(LETTER_EXHAUSTED, {"attempts": letter.redeliveries}, {**about, "reason": letter.reason})
