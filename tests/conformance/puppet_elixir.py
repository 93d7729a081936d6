# SPDX-License-Identifier: MIT
"""What a puppet does with what Stanchion has of Elixir: the twin of ``otp/puppet_elixir.erl``."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import stanchion as st
from stanchion import errors, kernel
from stanchion import supervisor as sup
from tests.conformance.puppet_base import BasicPuppet, Crash, World, seconds
from tests.conformance.scenario import Op

_INFINITY = "infinity"


class ElixirPuppet(BasicPuppet):
    """A puppet that uses dynamic supervisors, partitions, tasks, registries and state holders."""

    def spec_of(self, child: dict[str, Any]) -> st.ChildSpec:
        raise NotImplementedError

    async def labelled(self, what: str, label: str, server: type[st.GenServer], *args: object) -> None:
        async def started() -> str:
            self.world.label(await st.start_link(server, *args, name=label), label)
            return "ok"

        await self.attempt(f"{what} {label}", started(), whole=True)

    # DynamicSupervisor

    async def do_dynamic(self, label: str, options: dict[str, Any]) -> None:
        await self.labelled("dynamic", label, st.DynamicSupervisor, *_dynamic(options))

    async def do_dynamic_start(self, who: Any, child: dict[str, Any]) -> None:
        started = sup.start_child(self.who(who), self.spec_of(child))
        await self.attempt(f"start_child {child['id']}", started, self.started)

    async def do_dynamic_terminate(self, who: Any, child: str) -> None:
        terminated = sup.terminate_child(self.who(who), self.who(child))
        await self.attempt(f"terminate_child {child}", terminated, lambda _: "ok")

    async def do_dynamic_children(self, who: Any) -> None:
        def info(child: sup.ChildInfo) -> str:
            state = self.world.text(child.pid) if child.state == "running" else child.state
            return state + (" (supervisor)" if child.type == "supervisor" else "")

        children = sup.which_children(self.who(who))
        await self.attempt("children", children, lambda infos: ", ".join(sorted(map(info, infos))))

    async def do_dynamic_count(self, who: Any) -> None:
        await self.attempt("count", sup.count_children(self.who(who)), self.counts)

    # PartitionSupervisor

    async def do_partitions(self, label: str, count: int, child: dict[str, Any], options: dict[str, Any]) -> None:
        flags = (options.get("strategy", "one_for_one"), options.get("max_restarts", 3), options.get("max_seconds", 5))
        await self.labelled("partitions", label, st.PartitionSupervisor, self.spec_of(child), count, None, *flags)

    async def do_partition_children(self, label: str) -> None:
        def text(infos: list[sup.ChildInfo]) -> str:
            return ", ".join(f"{info.id}: {self.world.text(info.pid)}" for info in infos)

        await self.attempt("children", sup.which_children(label), text)

    async def do_partition_count(self, label: str) -> None:
        await self.attempt("count", sup.count_children(label), self.counts)

    def do_how_many_partitions(self, label: str) -> None:
        self.event(f"partitions -> {st.PartitionSupervisor.partitions(label)}")

    # TaskSupervisor

    async def do_tasks(self, label: str, options: dict[str, Any]) -> None:
        await self.labelled("tasks", label, st.TaskSupervisor, *_dynamic(options))

    async def do_async(self, who: Any, label: str, how: str, ops: list[Op]) -> None:
        start = st.TaskSupervisor.async_ if how == "link" else st.TaskSupervisor.async_nolink

        async def started() -> str:
            self.world.kept["task", label] = await start(self.who(who), task, type(self), self.world, label, ops)
            return "ok"

        await self.attempt(f"async {label}", started())

    async def do_await(self, label: str, ms: int | str) -> None:
        await self.attempt(f"await {label}", self.world.kept["task", label].await_(timeout=seconds(ms)))

    async def do_await_many(self, labels: list[str], ms: int | str) -> None:
        tasks = [self.world.kept["task", label] for label in labels]
        await self.attempt("await_many", sup.Task.await_many(tasks, timeout=seconds(ms)))

    async def do_yields(self, label: str, ms: int | str) -> None:
        outcome = self.world.kept["task", label].yield_(timeout=seconds(ms))
        await self.attempt(f"yield {label}", outcome, self.outcome)

    async def do_yield_many(self, labels: list[str], ms: int | str) -> None:
        tasks = [self.world.kept["task", label] for label in labels]
        outcomes = sup.Task.yield_many(tasks, timeout=seconds(ms))
        await self.attempt("yield_many", outcomes, lambda all_of_them: ", ".join(map(self.outcome, all_of_them)))

    async def do_task_shutdown(self, label: str, how: Any) -> None:
        timeout = how if how == "brutal_kill" else seconds(how)
        outcome = self.world.kept["task", label].shutdown(timeout=timeout)
        await self.attempt(f"shutdown {label}", outcome, self.outcome)

    def do_task_ignore(self, label: str) -> None:
        self.event(f"ignore {label} -> {self.outcome(self.world.kept['task', label].ignore())}")

    async def do_stream(self, who: Any, how: str, items: list[tuple[str, list[Op]]], options: dict[str, Any]) -> None:
        start = st.TaskSupervisor.async_stream if how == "link" else st.TaskSupervisor.async_stream_nolink
        given = dict(options)
        if "timeout" in given:
            given["timeout"] = seconds(given["timeout"])

        async def run(item: tuple[str, list[Op]]) -> object:
            return await task(type(self), self.world, *item)

        async def consume() -> str:
            async with aclosing(start(self.who(who), run, items, **given)) as stream:
                async for outcome in stream:
                    self.event(f"got {self.outcome(outcome)}")
            return "done"

        await self.attempt("stream", consume())

    def outcome(self, outcome: sup.TaskOk[object] | sup.TaskExit | None) -> str:
        match outcome:
            case None:
                return "nothing"
            case sup.TaskOk(value):
                return f"ok {self.world.text(value)}"
            case sup.TaskExit(reason):
                return f"exit {self.world.reason(reason)}"

    # Registry

    async def do_registry(self, label: str, keys: str, listeners: list[str]) -> None:
        await self.labelled("registry", label, st.Registry, keys, listeners)

    def do_enroll(self, registry: str, key: Any, value: Any) -> None:
        try:
            st.Registry.register(registry, key, value)
            result = "ok"
        except errors.KeyTakenError as error:
            result = f"error already_registered {self.world.text(error.pid)}"
        self.event(f"register {key} -> {result}")

    def do_withdraw(self, registry: str, key: Any) -> None:
        st.Registry.unregister(registry, key)
        self.event(f"unregister {key} -> ok")

    def do_withdraw_match(self, registry: str, key: Any, value: Any) -> None:
        st.Registry.unregister_match(registry, key, lambda it: it == value)
        self.event(f"unregister_match {key} -> ok")

    def do_lookup(self, registry: str, key: Any) -> None:
        self.event(f"lookup {key} -> {self.world.text(st.Registry.lookup(registry, key))}")

    def do_match(self, registry: str, key: Any, value: Any) -> None:
        found = st.Registry.match(registry, key, lambda it: it == value)
        self.event(f"match {key} -> {self.world.text(found)}")

    def do_count_match(self, registry: str, key: Any, value: Any) -> None:
        self.event(f"count_match {key} -> {st.Registry.count_match(registry, key, lambda it: it == value)}")

    def do_keys_of(self, registry: str, who: Any) -> None:
        keys = st.Registry.keys(registry, self.who(who))
        self.event(f"keys {self.world.text(self.who(who))} -> {self.world.text(keys)}")

    def do_values_of(self, registry: str, key: Any, who: Any) -> None:
        self.event(f"values {key} -> {self.world.text(st.Registry.values(registry, key, self.who(who)))}")

    def do_entries(self, registry: str) -> None:
        self.event(f"count -> {st.Registry.count(registry)}")

    def do_update_value(self, registry: str, key: Any, new: Any) -> None:
        try:
            result = self.world.text(st.Registry.update_value(registry, key, lambda _: new))
        except errors.InvalidOptionError:
            result = "error"
        self.event(f"update_value {key} -> {result}")

    def do_dispatch(self, registry: str, key: Any, message: Any) -> None:
        def send(entries: list[tuple[kernel.Pid, object]]) -> None:
            for pid, _ in entries:
                st.send(pid, message)

        st.Registry.dispatch(registry, key, send)
        self.event(f"dispatch {key} -> ok")

    def do_put_meta(self, registry: str, key: Any, value: Any) -> None:
        st.Registry.put_meta(registry, key, value)
        self.event(f"put_meta {key} -> ok")

    def do_meta(self, registry: str, key: Any) -> None:
        self.event(f"meta {key} -> {self.world.text(st.Registry.meta(registry, key))}")

    # StateHolder

    async def do_holder(self, label: str, value: Any) -> None:
        await self.labelled("holder", label, st.StateHolder, lambda: value)

    async def do_holder_get(self, who: Any) -> None:
        await self.attempt("get", st.StateHolder.get(self.who(who), lambda state: state))

    async def do_holder_add(self, who: Any, number: int) -> None:
        await self.attempt("update", st.StateHolder.update(self.who(who), lambda state: state + number), lambda _: "ok")

    async def do_holder_swap(self, who: Any, new: Any) -> None:
        await self.attempt("get_and_update", st.StateHolder.get_and_update(self.who(who), lambda state: (state, new)))

    def do_holder_cast(self, who: Any, number: int) -> None:
        st.StateHolder.cast(self.who(who), lambda state: state + number)

    async def do_holder_crash(self, who: Any) -> None:
        def fail(_: object) -> object:
            raise Crash("boom")

        await self.attempt("update", st.StateHolder.update(self.who(who), fail))

    async def do_holder_rubbish(self, who: Any) -> None:
        rubbish: Any = lambda _: "rubbish"  # noqa: E731
        await self.attempt("get_and_update", st.StateHolder.get_and_update(self.who(who), rubbish))

    async def do_holder_slow(self, who: Any, ms: int, timeout: int) -> None:
        async def slow(state: object) -> object:
            await asyncio.sleep(ms / 1000)
            return state

        await self.attempt("get", st.StateHolder.get(self.who(who), slow, timeout=timeout / 1000))


async def task(puppet: type[BasicPuppet], world: World, label: str, ops: list[Op]) -> object:
    """What a task runs."""
    match await puppet(world, world.label(kernel.self_pid(), label)).run(ops):
        case None:
            return "ok"
        case returned:
            return returned[1]


def _dynamic(options: dict[str, Any]) -> tuple[Any, ...]:
    limit = options.get("max_children", _INFINITY)
    children = None if limit == _INFINITY else limit
    return children, (), options.get("max_restarts", 3), options.get("max_seconds", 5)
