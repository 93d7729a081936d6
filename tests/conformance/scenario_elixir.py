# SPDX-License-Identifier: MIT
"""More words for scenarios: what Stanchion has of Elixir. See ``scenario.py``."""

from __future__ import annotations

from typing import Any

from tests.conformance.scenario import TEST, Op, Step


def word(name: str, *args: Any, by: str = TEST) -> Step:
    """Return the step in which somebody does an operation of ``puppet_elixir.py``; the functions below are shorter."""
    return (by, (name, *args))


# --- dynamic supervisors -------------------------------------------------------------------------


def dynamic(label: str, by: str = TEST, **options: Any) -> Step:
    """Start a DynamicSupervisor; options are max_children, max_restarts, max_seconds."""
    return word("dynamic", label, options, by=by)


def dynamic_start(who: str, spec: dict[str, Any], by: str = TEST) -> Step:
    return word("dynamic_start", who, spec, by=by)


def dynamic_terminate(who: str, child: str, by: str = TEST) -> Step:
    return word("dynamic_terminate", who, child, by=by)


def dynamic_children(who: str, by: str = TEST) -> Step:
    return word("dynamic_children", who, by=by)


def dynamic_count(who: str, by: str = TEST) -> Step:
    return word("dynamic_count", who, by=by)


# --- partition supervisors -----------------------------------------------------------------------


def partitions(label: str, count: int, spec: dict[str, Any], by: str = TEST, **options: Any) -> Step:
    """Start a PartitionSupervisor; options are strategy, max_restarts, max_seconds."""
    return word("partitions", label, count, spec, options, by=by)


def partition(supervisor: str, key: int) -> tuple[str, str, int]:
    """Address the partition of a key."""
    return ("partition", supervisor, key)


# --- tasks ---------------------------------------------------------------------------------------


def tasks(label: str, by: str = TEST, **options: Any) -> Step:
    """Start a task supervisor; options are those of ``dynamic``."""
    return word("tasks", label, options, by=by)


def task(label: str, *does: Op, by: str = TEST, on: str = "t", how: str = "nolink") -> Step:
    """Start a task on the task supervisor ``t``; its result is what it answers. ``how`` is link or nolink."""
    return word("async", on, label, how, list(does), by=by)


def await_(label: str, timeout: int | str = 5000, by: str = TEST) -> Step:
    return word("await", label, timeout, by=by)


def await_many(*labels: str, timeout: int | str = 5000, by: str = TEST) -> Step:
    return word("await_many", list(labels), timeout, by=by)


def yield_(label: str, timeout: int = 0, by: str = TEST) -> Step:
    return word("yields", label, timeout, by=by)


def yield_many(*labels: str, timeout: int, by: str = TEST) -> Step:
    return word("yield_many", list(labels), timeout, by=by)


def task_shutdown(label: str, how: int | str = 5000, by: str = TEST) -> Step:
    return word("task_shutdown", label, how, by=by)


def task_ignore(label: str, by: str = TEST) -> Step:
    return word("task_ignore", label, by=by)


def stream(*items: tuple[str, list[Op]], by: str = TEST, on: str = "t", how: str = "nolink", **options: Any) -> Step:
    """Consume a stream; each item is a label and what its task does. Options are those of ``async_stream``, in ms."""
    return word("stream", on, how, list(items), {"max_concurrency": 2, **options}, by=by)


def item(label: str, *does: Op) -> tuple[str, list[Op]]:
    return (label, list(does))


# --- registry ------------------------------------------------------------------------------------


def registry(label: str, keys: str = "unique", *listeners: str, by: str = TEST) -> Step:
    return word("registry", label, keys, list(listeners), by=by)


def enroll(actor: str, key: str, value: Any = "v", registry: str = "r") -> Step:
    """Have an actor register itself."""
    return word("enroll", registry, key, value, by=actor)


def withdraw(actor: str, key: str, registry: str = "r") -> Step:
    """Have an actor unregister itself."""
    return word("withdraw", registry, key, by=actor)


def lookup(key: str, by: str = TEST, registry: str = "r") -> Step:
    return word("lookup", registry, key, by=by)
