# SPDX-License-Identifier: MIT
"""What type checkers make of a user's tree. Checked, never run."""

from __future__ import annotations

from typing import assert_type

import stanchion as st
from stanchion.server import Directive
from stanchion.supervisor import RestartBudget, get_childspec, start_function


@start_function
async def start_worker(host: str) -> st.Pid:
    return await st.start_link(st.GenServer, host)


@start_function
async def start_if_needed() -> st.Pid | Directive:
    return st.IGNORE


@start_function  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
async def start_nothing() -> str:
    return "ok"


class Pool:
    @classmethod
    @start_function
    async def start_link(cls, size: int) -> st.Pid:
        return await st.start_link(st.Supervisor, [st.child_spec(st.GenServer, id=number) for number in range(size)])


async def tree() -> None:
    assert_type(await start_worker("localhost"), st.Pid)
    specs = [
        st.child_spec(start_worker, "localhost", backoff=st.Backoff(), budget=RestartBudget(3, 60)),
        st.child_spec(start_if_needed, restart="transient", significant=True),
        st.child_spec(Pool.start_link, 3, type="supervisor"),
        st.PartitionSupervisor.child_spec(st.child_spec(st.GenServer), 4, with_arguments=lambda args, n: [*args, n]),
    ]
    pid = await st.start(st.Supervisor, specs, "rest_for_one", 3, 5.0, "any_significant")
    assert_type(await get_childspec(pid, "start_worker"), st.ChildSpec)
    assert_type(st.PartitionSupervisor.partitions("parts"), int)
    st.cast(st.PartitionSupervisor.via("parts", "key"), "message")
