# SPDX-License-Identifier: MIT
"""When: once, at intervals, or by the calendar."""

from __future__ import annotations

from stanchion._public import show_public_path
from stanchion.scheduler._definition import Overrun
from stanchion.scheduler._jobs import Job, SendMessage, StartTask
from stanchion.scheduler._misfire import Coalesce
from stanchion.scheduler._schedule import Schedule, ScheduleInfo
from stanchion.scheduler._scheduler import SchedulerManager
from stanchion.scheduler._triggers import After, At, Cron, Every, Trigger

__all__ = [
    "After",
    "At",
    "Coalesce",
    "Cron",
    "Every",
    "Job",
    "Overrun",
    "Schedule",
    "ScheduleInfo",
    "SchedulerManager",
    "SendMessage",
    "StartTask",
    "Trigger",
]

show_public_path(globals())
