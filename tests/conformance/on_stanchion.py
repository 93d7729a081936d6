# SPDX-License-Identifier: MIT
"""Runs a scenario on Stanchion, in virtual time. See ``scenario.py`` for what a scenario is."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import stanchion as st
from stanchion import errors, kernel, server
from stanchion import supervisor as sup
from stanchion.kernel import CallRequest, Pid, self_pid
from stanchion.telemetry import PROCESS_EXIT
from stanchion.testing import VirtualClock
from tests.conformance.puppet_base import Crash, Do, Request, World, seconds, why
from tests.conformance.puppet_elixir import ElixirPuppet
from tests.conformance.puppet_machine import EnteringMachine, Machine
from tests.conformance.scenario import TEST, Op, Scenario
from tests.conformance.trace import Trace

_QUIET = 1e-6
"""Seconds of virtual time that pass only when nobody has anything left to do."""


async def run(scenario: Scenario) -> Trace:
    """Run a scenario on a node of its own; the loop is a ``VirtualTimeLoop``."""
    async with st.Node(clock=VirtualClock(), shutdown_timeout=0, block_threshold=None) as node:
        world = World()
        node.telemetry.attach(PROCESS_EXIT, world.exited)
        test = st.spawn(plain, world, TEST, {"trap": True}, True)
        assert test.alive
        await asyncio.sleep(_QUIET)
        for number, step in enumerate(scenario.steps, start=1):
            world.step = number
            if step[0] == "advance":
                await asyncio.sleep(step[1] / 1000)
            elif step[0] != "align":
                st.send(world.pids[step[0]], Do(step[1]))
            await asyncio.sleep(_QUIET)
        world.over = True
    return Trace(world.seen)


# --- puppets ---------------------------------------------------------------------------------------


async def plain(world: World, label: str, options: dict[str, Any], labelled: bool) -> None:
    """A plain process."""
    puppet = Puppet(world, world.label(self_pid(), label) if labelled else world.labels[self_pid()])
    st.trap_exit(options.get("trap", False))
    returned = await puppet.run(options.get("does", []))
    while returned is None:
        message = await st.receive(timeout=None)
        if isinstance(message, Do):
            returned = await puppet.run([message.op])
        elif isinstance(message, CallRequest):
            request = cast("Request", message.request)
            world.kept["from", request.tag] = message.sender
            puppet.hears(request)
        else:
            puppet.hears(message)


class Server(st.GenServer):
    """A GenServer."""

    async def init(self, world: World, label: str, options: dict[str, Any]) -> object:
        self.options = options
        self.puppet = Puppet(world, world.label(self_pid(), label))
        st.trap_exit(options.get("trap", False))
        self.puppet.lifecycle("init", loose=options.get("loose", False))
        does = options.get("init", [])
        if does and does[0][0] == "on":
            number = world.counts[label]
            does = next((ops for _, which, ops in does if which == number), [])
        return self.returned(await self.puppet.run(does))

    async def handle_call(self, request: Request, sender: st.Sender) -> object:
        self.puppet.event(f"call {request.tag}")
        self.puppet.sender = sender
        returned = await self.puppet.run(request.does)
        if returned is None:
            return "ok"
        return st.IGNORE if returned[0] == "rubbish" else self.returned(returned)

    async def handle_cast(self, message: Request) -> object:
        self.puppet.event(f"cast {message.tag}")
        return self.returned(await self.puppet.run(message.does))

    async def handle_info(self, message: object) -> object:
        if isinstance(message, Do):
            return self.returned(await self.puppet.run([message.op]))
        self.puppet.hears(message)
        return None

    async def handle_continue(self, arg: list[Op]) -> object:
        self.puppet.event("continue")
        return self.returned(await self.puppet.run(arg))

    async def terminate(self, reason: st.ExitReason) -> None:
        text = f"terminate {self.puppet.world.reason(reason)}"
        self.puppet.lifecycle(text, loose=self.options.get("loose", False))
        await self.puppet.run(self.options.get("terminate", []))

    def returned(self, returned: Op | None) -> object:
        """Return what the callback returns by the operation that ended its work."""
        match returned:
            case None:
                return None
            case ("answer", value):
                return value
            case ("answer_and_stop", value, reason):
                return st.Reply(value, then=st.Stop(why(reason)))
            case ("answer_and_continue", value, ops):
                return st.Reply(value, then=st.Continue(ops))
            case ("answer_and_idle", value, ms):
                return st.Reply(value, then=server.Timeout(ms / 1000))
            case ("no_answer",):
                return st.NO_REPLY
            case ("stops", reason):
                return st.Stop(why(reason))
            case ("continues", ops):
                return st.Continue(ops)
            case ("idles", ms):
                return server.Timeout(ms / 1000)
            case ("ignores",):
                return st.IGNORE
            case ("unknown",):
                return st.UNHANDLED
            case _:
                return "rubbish"


class Supervisor(st.Supervisor):
    """A supervisor that tells of its init."""

    async def init(self, world: World, label: str, flags: dict[str, Any], children: list[dict[str, Any]]) -> None:  # type: ignore[override]
        Puppet(world, world.label(self_pid(), label)).lifecycle("init")
        options = dict(flags)
        strategy, intensity, period = options.pop("strategy"), options.pop("intensity"), options.pop("period")
        specs = [spec_of(world, child) for child in children]
        await super().init(specs, strategy, intensity, period, **options)


def name_of(options: dict[str, Any]) -> Any:
    """Return the name that a server is to have."""
    match options["name"]:
        case ("via", registry, key):
            return st.Registry.via(registry, key)
        case name:
            return name


def spec_of(world: World, child: dict[str, Any]) -> st.ChildSpec:
    """Return the child_spec of a scenario's child."""
    options = {key: child[key] for key in ("id", "restart", "significant") if key in child}
    if "name" in child:
        options["name"] = name_of(child)
    if "shutdown" in child:
        shutdown = child["shutdown"]
        options["shutdown"] = shutdown if shutdown == "brutal_kill" else seconds(shutdown)
    match child["kind"]:
        case "server":
            return st.child_spec(Server, world, child["id"], child, **options)
        case "plain":
            return st.child_spec(plain, world, child["id"], child, True, **options)
        case _:
            return st.child_spec(Supervisor, world, child["id"], child["flags"], child["children"], **options)


# --- what puppets do -------------------------------------------------------------------------------


class Puppet(ElixirPuppet):
    """A puppet with all of its operations."""

    def spec_of(self, child: dict[str, Any]) -> st.ChildSpec:
        return spec_of(self.world, child)

    def do_all(self, ops: list[Op]) -> Any:
        return self.run(ops)

    # Processes

    def do_poke(self, who: str, op: Op) -> None:
        if who in self.world.pids:
            if op[0] == "exit":
                st.exit(self.world.pids[who], why(op[2]))
            else:
                st.send(self.world.pids[who], Do(op))

    def do_spawn(self, label: str, how: str, options: dict[str, Any]) -> None:
        arguments = (plain, self.world, label, options, False)
        match how:
            case "link":
                pid = st.spawn_link(*arguments)
            case "monitor":
                pid, _ = st.spawn_monitor(*arguments)
            case _:
                pid = st.spawn(*arguments)
        self.world.label(pid, label)

    def do_link(self, who: Any) -> None:
        st.link(self.who(who))

    def do_unlink(self, who: Any) -> None:
        st.unlink(self.who(who))

    def do_monitor(self, who: Any, tag: str) -> None:
        self.world.kept["monitor", self.label, tag] = st.monitor(self.who(who), tag=tag)

    def do_demonitor(self, tag: str) -> None:
        st.demonitor(self.world.kept["monitor", self.label, tag])

    def do_exit(self, who: Any, reason: Any) -> None:
        st.exit(self.who(who), why(reason))

    def do_trap(self, on: bool) -> None:
        st.trap_exit(on)

    def do_send(self, who: Any, message: Any) -> None:
        st.send(self.who(who), message)

    def do_raise(self, what: str) -> None:
        raise Crash(what)

    def do_leave(self, reason: Any) -> None:
        raise st.ProcessExit(why(reason))

    async def do_sleep(self, ms: int) -> None:
        await asyncio.sleep(ms / 1000)

    def do_note(self, text: Any) -> None:
        self.event(self.world.text(text))

    def do_alive(self, who: Any) -> None:
        self.event(f"alive {self.world.text(who)} -> {self.world.text(self.who(who).alive)}")

    def do_register(self, name: str, who: str) -> None:
        try:
            st.register(name, self.who(who))
            result = "ok"
        except (errors.NameTakenError, errors.InvalidOptionError):
            result = "badarg"
        self.event(f"register {name} -> {result}")

    def do_unregister(self, name: str) -> None:
        st.unregister(name)
        self.event(f"unregister {name} -> ok")

    def do_whereis(self, name: str) -> None:
        self.event(f"whereis {name} -> {self.world.text(st.whereis(name))}")

    # Timers

    def do_send_after(self, timer: str, who: Any, message: Any, ms: int) -> None:
        self.world.kept["timer", timer] = kernel.send_after(self.who(who), message, ms / 1000)

    def do_cancel(self, timer: str) -> None:
        left = kernel.cancel_timer(self.world.kept["timer", timer])
        self.event(f"cancel {timer} -> {'gone' if left is None else 'left'}")

    def do_read(self, timer: str) -> None:
        left = kernel.read_timer(self.world.kept["timer", timer])
        self.event(f"read {timer} -> {'gone' if left is None else 'left'}")

    # Servers

    async def do_start(self, label: str, how: str, options: dict[str, Any]) -> None:
        start = st.start_link if how == "link" else st.start
        given = {"name": name_of(options)} if "name" in options else {}
        if "timeout" in options:
            given["timeout"] = seconds(options["timeout"])
        await self.attempt(f"start {label}", start(Server, self.world, label, options, **given), self.started)

    async def do_call(self, who: Any, tag: str, does: list[Op], timeout: int | str) -> None:
        await self.attempt(f"call {tag}", st.call(self.who(who), Request(tag, does), timeout=seconds(timeout)))

    def do_cast(self, who: Any, tag: str, does: list[Op]) -> None:
        st.cast(self.who(who), Request(tag, does))

    def do_keep(self, key: str) -> None:
        self.world.kept["from", key] = self.sender

    def do_reply(self, key: str, value: Any) -> None:
        st.reply(self.world.kept["from", key], value)

    async def do_stop(self, who: Any, reason: Any, timeout: int | str) -> None:
        stopped = st.stop(self.who(who), why(reason), timeout=seconds(timeout))
        await self.attempt("stop", stopped, lambda _: "ok")

    # State machines

    async def do_machine(self, label: str, how: str, options: dict[str, Any]) -> None:
        start = st.start_link if how == "link" else st.start
        machine = EnteringMachine if options.get("state_enter") else Machine
        await self.attempt(f"machine {label}", start(machine, Puppet, self.world, label, options), self.started)

    def do_in(self, by_state: dict[str, list[Op]]) -> Any:
        return self.run(by_state.get(self.state, []))

    # Supervisors

    async def do_supervisor(self, label: str, how: str, flags: dict[str, Any], children: list[dict[str, Any]]) -> None:
        start = st.start_link if how == "link" else st.start
        started = start(Supervisor, self.world, label, flags, children)
        await self.attempt(f"supervisor {label}", started, self.started, whole=True)

    async def do_start_child(self, who: Any, child: dict[str, Any]) -> None:
        async def start_child() -> Pid | None:
            return await sup.start_child(self.who(who), spec_of(self.world, child))

        await self.attempt(f"start_child {child['id']}", start_child(), self.started)

    async def do_terminate_child(self, who: Any, id: str) -> None:
        await self.attempt(f"terminate_child {id}", sup.terminate_child(self.who(who), id), lambda _: "ok")

    async def do_restart_child(self, who: Any, id: str) -> None:
        await self.attempt(f"restart_child {id}", sup.restart_child(self.who(who), id), self.started)

    async def do_delete_child(self, who: Any, id: str) -> None:
        await self.attempt(f"delete_child {id}", sup.delete_child(self.who(who), id), lambda _: "ok")

    async def do_children(self, who: Any) -> None:
        def text(infos: list[sup.ChildInfo]) -> str:
            return ", ".join(map(self.info, sorted(infos, key=lambda info: str(info.id))))

        await self.attempt("children", sup.which_children(self.who(who)), text)

    async def do_children_in_order(self, who: Any) -> None:
        children = sup.which_children(self.who(who))
        await self.attempt("children_in_order", children, lambda infos: ", ".join(map(self.info, infos)))

    async def do_count(self, who: Any) -> None:
        await self.attempt("count", sup.count_children(self.who(who)), self.counts)

    # sys

    async def do_get_state(self, who: Any) -> None:
        state = server.get_state(self.who(who))
        await self.attempt("get_state", state, lambda state: self.world.text(state.get("value")))

    async def do_replace_state(self, who: Any, value: Any) -> None:
        state = server.replace_state(self.who(who), lambda state: {**state, "value": value})
        await self.attempt("replace_state", state, lambda state: self.world.text(state["value"]))

    async def do_replace_state_badly(self, who: Any) -> None:
        def fail(_: object) -> Any:
            raise Crash("boom")

        await self.attempt("replace_state", server.replace_state(self.who(who), fail))

    async def do_suspend(self, who: Any) -> None:
        await self.attempt("suspend", server.suspend(self.who(who)), lambda _: "ok")

    async def do_resume(self, who: Any) -> None:
        await self.attempt("resume", server.resume(self.who(who)), lambda _: "ok")

    async def do_status(self, who: Any) -> None:
        await self.attempt("status", server.get_status(self.who(who)), lambda status: status.sysstate)

    # ProcessGroups

    async def do_scope(self, label: str) -> None:
        self.world.label(await st.start_link(st.ProcessGroups, name=label), label)

    def do_join(self, scope: str, group: Any, members: list[str]) -> None:
        st.ProcessGroups.join(group, [self.who(who) for who in members], scope=scope)
        self.event(f"join {self.world.text(group)} -> ok")

    def do_part(self, scope: str, group: Any, members: list[str]) -> None:
        left = st.ProcessGroups.leave(group, [self.who(who) for who in members], scope=scope)
        self.event(f"leave {self.world.text(group)} -> {'ok' if left else 'not_joined'}")

    def do_members(self, scope: str, group: Any) -> None:
        members = st.ProcessGroups.get_members(group, scope=scope)
        self.event(f"members {self.world.text(group)} -> {self.sorted(members)}")

    def do_groups(self, scope: str) -> None:
        self.event(f"groups -> {self.world.text(sorted(map(str, st.ProcessGroups.which_groups(scope=scope))))}")

    def do_watch_group(self, scope: str, group: Any, tag: str) -> None:
        ref, members = st.ProcessGroups.monitor(group, scope=scope)
        self.world.kept["monitor", ref] = tag
        self.world.kept["watch", self.label, tag] = ref
        self.event(f"watch {self.world.text(group)} -> {self.sorted(members)}")

    def do_watch_scope(self, scope: str, tag: str) -> None:
        ref, _ = st.ProcessGroups.monitor_scope(scope=scope)
        self.world.kept["monitor", ref] = tag
        self.world.kept["watch", self.label, tag] = ref

    def do_unwatch_group(self, _scope: str, tag: str) -> None:
        st.ProcessGroups.demonitor(self.world.kept["watch", self.label, tag])

    def info(self, info: sup.ChildInfo) -> str:
        state = self.world.text(info.pid) if info.state == "running" else info.state
        return f"{info.id}: {state}{' (supervisor)' if info.type == 'supervisor' else ''}"
