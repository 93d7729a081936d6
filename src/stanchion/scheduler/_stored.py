# SPDX-License-Identifier: MIT
"""A persistent schedule as data: what is asked for becomes a row, and a row what there is to tell of it."""

from __future__ import annotations

from typing import Final, cast

import msgspec

from stanchion.dead_letters import decode
from stanchion.delivery import stored_message
from stanchion.errors import InvalidOptionError, MessageDecodeError
from stanchion.registry import ref_of
from stanchion.scheduler._definition import Definition
from stanchion.scheduler._firing import trigger_of
from stanchion.scheduler._jobs import SendMessage
from stanchion.scheduler._schedule import ScheduleInfo
from stanchion.scheduler._tables import Row

_JOB: Final = "SendMessage"


def row_of(definition: Definition, now: float, operation: str) -> Row:
    """Return a schedule as it is stored; its due times are not counted yet.

    Args:
        definition: What is asked for.
        now: The time, in Unix seconds.
        operation: Who asks, for errors.

    Raises:
        InvalidOptionError: it cannot be stored.
        MessageEncodeError: its message cannot become data.
    """
    job = cast("SendMessage", definition.job)  # the manager has seen to that
    if definition.overrun == "cancel":
        raise InvalidOptionError(
            f"{operation}(overrun)",
            expected="'skip' or 'wait', for a schedule that is persistent",
            got="'cancel'",
            fix="what is in the outbox is not taken back: let its receiver look whether it comes too late.",
        )
    message = stored_message(
        _JOB, job.ref, job.message, ack=job.ack, timeout=job.timeout, retries=job.retries, backoff=job.backoff,
        deadline=job.deadline, on_error=job.on_error or "dead_letter", breaker=job.breaker,
    )  # fmt: skip
    return Row(
        id=definition.id,
        added=now,
        trigger="",
        jitter=definition.jitter,
        recipient=message.recipient,
        message_type=message.message_type,
        version=message.version,
        payload=message.payload,
        options=message.options,
        job=repr(SendMessage(ref_of(message.recipient), job.message)),
        misfire_grace=definition.misfire_grace,
        coalesce=definition.coalesce,
        max_running=definition.max_running,
        overrun=definition.overrun,
        paused=False,
        taken=now,
        counted_at=now,
        next_due=None,
        fire_at=None,
        waiting=None,
    )


def with_message_of(row: Row, found: Row, message: object) -> Row:
    """Return a row with the stored form of its message, where that says the same: a set has no order, say."""
    stored = found.message_type, found.version, found.payload
    if (row.message_type, row.version, row.payload) == stored:
        return row
    try:
        same = bool(decode(*stored) == message)
    except Exception:  # noqa: BLE001 - it may be an older form, and its class's __eq__ may raise anything
        same = False
    if not same:
        return row
    return row._replace(message_type=stored[0], version=stored[1], payload=stored[2], job=found.job)


def problem_of(row: Row) -> str | None:
    """Return why this program cannot run a schedule, or None when it can."""
    try:
        trigger_of(row)
        decode(row.message_type, row.version, row.payload)
    except (InvalidOptionError, MessageDecodeError, msgspec.DecodeError) as error:
        return str(error)
    return None


def info_of(row: Row, running: int) -> ScheduleInfo:
    """Return what there is to tell of a schedule."""
    try:
        trigger = str(trigger_of(row))
    except (InvalidOptionError, msgspec.DecodeError):
        trigger = row.trigger  # of a later release
    return ScheduleInfo(
        id=row.id,
        trigger=trigger,
        job=row.job,
        next_run=None if row.paused else row.next_due,
        paused=row.paused,
        persistent=True,
        owner=None,
        runs=row.runs,
        missed=row.missed,
        running=running,
        last_run=row.last_run,
        last_outcome=row.last_outcome,
        last_error=row.last_error,
    )
