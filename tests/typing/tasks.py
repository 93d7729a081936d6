# SPDX-License-Identifier: MIT
"""What type checkers make of tasks and of supervisors whose children are started on demand. Checked, never run."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from functools import partial
from typing import Literal, assert_type

import stanchion as st
from stanchion.supervisor import ChildSpec, TaskExit, TaskOk, TaskResult, start_child

TaskSupervisor = st.TaskSupervisor


async def fetch(url: str, retries: int = 3) -> bytes:
    return url.encode() * retries


async def length(page: bytes) -> int:
    return len(page)


class Fetch:
    async def __call__(self, url: str) -> bytes:
        return url.encode()

    async def method(self, url: str) -> str:
        return url


async def pages() -> AsyncIterator[bytes]:
    yield b""


async def results_are_typed(tasks: st.Ref) -> None:
    task = await TaskSupervisor.async_(tasks, fetch, "url", 2)
    assert_type(task, st.Task[bytes])
    assert_type(await task.await_(), bytes)
    assert_type(await task.await_(timeout=None), bytes)
    assert_type(await task.yield_(timeout=1), TaskOk[bytes] | TaskExit | None)
    assert_type(await task.shutdown(timeout="brutal_kill"), TaskOk[bytes] | TaskExit | None)
    assert_type(task.ignore(), TaskOk[bytes] | TaskExit | None)
    assert_type(await st.Task.await_many([task]), list[bytes])
    assert_type(await st.Task.yield_many([task], timeout=2), list[TaskOk[bytes] | TaskExit | None])


async def any_async_function_will_do(tasks: st.Ref) -> None:
    assert_type(await TaskSupervisor.async_nolink("tasks", length, b"", tell=True, shutdown=1), st.Task[int])
    assert_type(await TaskSupervisor.async_nolink(tasks, Fetch(), "url"), st.Task[bytes])
    assert_type(await TaskSupervisor.async_nolink(tasks, Fetch().method, "url"), st.Task[str])
    assert_type(await TaskSupervisor.async_nolink(tasks, partial(fetch, retries=1), "url"), st.Task[bytes])


async def streams_are_typed(tasks: st.Ref) -> None:
    stream = TaskSupervisor.async_stream(tasks, length, [b""], max_concurrency=2)
    assert_type(stream, AsyncGenerator[TaskOk[int] | TaskExit, None])
    async for outcome in TaskSupervisor.async_stream_nolink(tasks, length, pages(), max_concurrency=2, timeout=1):
        match outcome:
            case TaskOk(value):
                assert_type(value, int)
            case TaskExit(reason, item):
                assert_type(reason, st.ExitReason | Literal["timeout"])
                assert_type(item, object)


class Counter(st.GenServer):
    def handle_info(self, message: TaskResult | st.Down) -> None:
        if isinstance(message, TaskResult):
            assert_type(message.outcome, TaskOk[object] | TaskExit)


async def supervisors_are_typed() -> None:
    spec = st.DynamicSupervisor.child_spec(max_children=3, name="pool")
    assert_type(spec, ChildSpec)
    assert_type(await st.start(TaskSupervisor, name="tasks"), st.Pid)
    assert_type(await start_child("pool", st.child_spec(Counter)), st.Pid | None)


# Each of these is an error; a checker that does not see it reports the unused ignore.


async def dropped_awaitables_are_caught(tasks: st.Ref, task: st.Task[int]) -> None:
    TaskSupervisor.async_(tasks, length, b"")  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]
    task.await_()  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]


async def wrong_arguments_are_caught(tasks: st.Ref, task: st.Task[int]) -> None:
    await TaskSupervisor.async_(tasks, length, "text")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await TaskSupervisor.async_(tasks, length)  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue]
    await TaskSupervisor.async_(tasks, len, b"")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    TaskSupervisor.async_stream(tasks, length, ["text"], max_concurrency=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    TaskSupervisor.async_stream(tasks, length, [b""])  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    result: str = await task.await_()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    print(result)
