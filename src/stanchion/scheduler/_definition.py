# SPDX-License-Identifier: MIT
"""What a schedule is asked to do, checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, NamedTuple, cast, get_args

from stanchion._validate import Seconds, cut, one_of, seconds, whole_number
from stanchion.errors import InvalidOptionError
from stanchion.scheduler._jobs import Job, SendMessage, StartTask
from stanchion.scheduler._misfire import Coalesce
from stanchion.scheduler._triggers import After, At, Cron, Every, Trigger

Overrun = Literal["skip", "wait", "cancel"]
"""What becomes of a due time when as many runs are under way as may be."""

_LONGEST_ID: Final = 200


class Definition(NamedTuple):
    """What a schedule is asked to do.

    Attributes:
        id: What it is called.
        trigger: When it is due.
        job: What it does then.
        jitter: Each run begins up to so many seconds after its due time.
        misfire_grace: Seconds that a run may be late; None for no limit.
        coalesce: Which of several due times that passed together are run.
        max_running: How many of its runs may be under way; None for no limit.
        overrun: What becomes of a due time when so many are.
    """

    id: str
    trigger: Trigger
    job: Job
    jitter: float = 0.0
    misfire_grace: float | None = None
    coalesce: Coalesce = "latest"
    max_running: int | None = 1
    overrun: Overrun = "skip"


def defined(
    operation: str,
    trigger: Trigger,
    job: Job,
    id: str | None,
    new_id: Callable[[], str],
    jitter: Seconds,
    misfire_grace: Seconds | None,
    coalesce: Coalesce,
    max_running: int | None,
    overrun: Overrun,
) -> Definition:
    """Check what a schedule is asked to do; ``operation`` is who asks, for texts.

    Raises:
        InvalidOptionError: something is wrong.
    """
    if max_running is not None:
        whole_number(f"{operation}(max_running)", max_running, at_least=1)
    return Definition(
        new_id() if id is None else _checked_id(f"{operation}(id)", id),
        trigger,
        _checked_job(f"{operation}(job)", job),
        checked_jitter(f"{operation}(jitter)", jitter, trigger),
        _checked_grace(f"{operation}(misfire_grace)", misfire_grace),
        cast("Coalesce", one_of(f"{operation}(coalesce)", coalesce, get_args(Coalesce))),
        max_running,
        cast("Overrun", one_of(f"{operation}(overrun)", overrun, get_args(Overrun))),
    )


def checked_jitter(subject: str, value: Seconds, trigger: Trigger) -> float:
    """Return the jitter of a trigger in seconds.

    Raises:
        InvalidOptionError: it is no duration, or longer than the interval, where there is one.
    """
    jitter = seconds(subject, value)
    if isinstance(trigger, Every) and jitter > (interval := cast("float", trigger.interval)):
        raise InvalidOptionError(
            subject,
            expected=f"seconds from 0 to the interval, {interval:.15g}",
            got=cut(value),
            fix="choose a longer interval, or less jitter.",
        )
    return jitter


def checked_trigger(subject: str, trigger: object) -> Trigger:
    """Return ``trigger`` when it is one.

    Raises:
        InvalidOptionError: it is none.
    """
    if isinstance(trigger, At | After | Every | Cron):
        return trigger
    raise InvalidOptionError(
        subject,
        expected="a trigger: At(when), After(delay), Every(interval) or Cron(line)",
        got=cut(trigger),
        fix=f"write Cron({trigger!r})." if isinstance(trigger, str) else None,
    )


def _checked_id(subject: str, id: object) -> str:
    if isinstance(id, str) and 0 < len(id) <= _LONGEST_ID:
        return id
    raise InvalidOptionError(subject, expected=f"text of 1 to {_LONGEST_ID} characters, or None", got=cut(id))


def _checked_grace(subject: str, value: Seconds | None) -> float | None:
    grace = None if value is None else seconds(subject, value)
    if grace != 0:
        return grace
    raise InvalidOptionError(
        subject,
        expected="seconds > 0, or None for no limit",
        got=cut(value),
        fix="give it a second, say: no run begins in the very moment in which it is due.",
    )


def _checked_job(subject: str, job: object) -> Job:
    if isinstance(job, SendMessage | StartTask):
        return job
    fix = "write StartTask(supervisor, function), which needs a TaskSupervisor." if callable(job) else None
    raise InvalidOptionError(subject, expected="a SendMessage or a StartTask", got=cut(job), fix=fix)
