# SPDX-License-Identifier: MIT
"""What a scenario is, and the words to write one.

A scenario is data: a name, the rule it shows, and steps. It runs twice, on Stanchion (``on_stanchion.py``) and on
Erlang/OTP (``on_otp.py`` and ``otp/``), where puppets do what the steps say and tell all that they see: messages,
results, callbacks, exits. After each step the driver waits until all is quiet. The two traces must be equal, event by
event, or differ exactly as a row of ``differences.py`` says.

To add one, write into the file of its theme::

    calls(
        "reply_reaches_caller",
        "A call returns what the server replies.",
        start("s"),
        call("test", "s", "ping", answer("pong")),
    )

and run ``pytest tests/conformance -k reply_reaches_caller``; the message of a failing test shows both traces.

* Every process has a label. ``"test"`` is there from the beginning: a plain process that traps exits. The first argument
  of most steps is who acts; where a step has ``by=``, it is ``"test"`` by default. The second time that a label is used,
  the process is ``a#2``, and so on; a step that names ``a`` means the latest.
* A server does what it is sent: ``call("c", "s", "ping", sleep(50), answer(1))`` has ``s`` sleep and then reply 1 when it
  handles this request. ``do("s", ...)`` has any puppet do something in between, several things in one step too.
* Names (``named("n")``) belong to the scenario. Times are milliseconds.
* A crash is written ``crash("boom")`` as an operation, and as a reason ``crashed("boom")``: ``{boom, Stack}`` in Erlang,
  an exception in Python.
* ``advance(ms)`` lets time pass: for real on OTP, so keep what is compared 100 ms apart, and the whole below a second.
* Events of one actor are compared in their order, and so are the ``init`` and ``terminate`` of all servers. Events of
  different actors within one step are not compared in time, for OTP promises no order.

A new operation is a word here or in ``scenario_elixir.py``, a method ``do_...`` of the puppets on Stanchion
(``on_stanchion.py``, ``puppet_elixir.py``; what all have is in ``puppet_base.py``), and a clause of ``op`` in
``otp/puppet.erl`` or ``otp/puppet_elixir.erl``. Python data become Erlang terms: a string is an atom, a dict a map.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

Op: TypeAlias = tuple[Any, ...]
"""One operation of a puppet: its name and its arguments."""

Step: TypeAlias = tuple[Any, ...]
"""``(actor, op)``, or one of the driver's own: ``("advance", ms)``, ``("align",)``."""

TEST = "test"


class Scenario(NamedTuple):
    """One scenario, under its full name."""

    name: str
    rule: str
    steps: tuple[Step, ...]


class Theme:
    """The scenarios of one file; calling it adds one."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.scenarios: dict[str, Scenario] = {}

    def __call__(self, name: str, rule: str, *steps: Step) -> None:
        """Add a scenario."""
        full = f"{self.name}.{name}"
        assert full not in self.scenarios, f"two scenarios are called {full}"
        self.scenarios[full] = Scenario(full, rule, steps)

    def __iter__(self) -> Iterator[Scenario]:
        return iter(self.scenarios.values())


# --- whom and why --------------------------------------------------------------------------------


def named(name: str) -> tuple[str, str]:
    """Address whoever holds a registered name."""
    return ("name", name)


def via(registry: str, key: Any) -> tuple[str, str, Any]:
    """Address, or name, who has a key of a registry."""
    return ("via", registry, key)


def crashed(what: str) -> tuple[str, str]:
    """Return the exit reason of a crash."""
    return ("crash", what)


# --- the driver's own ----------------------------------------------------------------------------


def advance(ms: int) -> Step:
    """Let time pass."""
    return ("advance", ms)


def align() -> Step:
    """Go to the beginning of a second of the supervisors' clock."""
    return ("align",)


def do(actor: str, *ops: Op) -> Step:
    """Have an actor do several things in one go."""
    return (actor, ("all", list(ops)))


def poke(who: str, what: Op) -> Step:
    """Have somebody do something, if there ever was one with this label."""
    return (TEST, ("poke", who, what))


# --- processes: as a step with the actor first, as an operation without ----------------------------


def spawn(label: str, *does: Op, by: str = TEST, how: str = "alone", trap: bool = False) -> Step:
    """Start a plain process; ``how`` is alone, link or monitor."""
    return (by, ("spawn", label, how, {"trap": trap, "does": list(does)}))


def link(actor: str, who: Any) -> Step:
    return (actor, ("link", who))


def unlink(actor: str, who: Any) -> Step:
    return (actor, ("unlink", who))


def monitor(actor: str, who: Any, tag: str = "m") -> Step:
    return (actor, ("monitor", who, tag))


def demonitor(actor: str, tag: str = "m") -> Step:
    return (actor, ("demonitor", tag))


def exit(actor: str, who: Any, reason: Any) -> Step:
    """Send an exit signal."""
    return (actor, ("exit", who, reason))


def trap(actor: str, on: bool = True) -> Step:
    return (actor, ("trap", on))


def send(actor: str, who: Any, message: Any) -> Step:
    return (actor, ("send", who, message))


def crash(actor: str, what: str = "boom") -> Step:
    return (actor, ("raise", what))


def leave(actor: str, reason: Any) -> Step:
    """End by ``exit(Reason)`` of its own."""
    return (actor, ("leave", reason))


def finish(actor: str) -> Step:
    """Have a plain process return."""
    return (actor, ("finish",))


def note(actor: str, text: str) -> Step:
    return (actor, ("note", text))


def alive(actor: str, who: Any) -> Step:
    return (actor, ("alive", who))


def register(actor: str, name: str, who: str) -> Step:
    return (actor, ("register", name, who))


def unregister(actor: str, name: str) -> Step:
    return (actor, ("unregister", name))


def whereis(actor: str, name: str) -> Step:
    return (actor, ("whereis", name))


def send_after(actor: str, timer: str, who: Any, message: Any, ms: int) -> Step:
    return (actor, ("send_after", timer, who, message, ms))


def cancel(actor: str, timer: str) -> Step:
    return (actor, ("cancel", timer))


def read(actor: str, timer: str) -> Step:
    return (actor, ("read", timer))


# --- servers --------------------------------------------------------------------------------------


def start(label: str, *init: Op, by: str = TEST, how: str = "alone", **options: Any) -> Step:
    """Start a server; options are trap, name, terminate (a list of operations), timeout."""
    return (by, ("start", label, how, {"init": list(init), **options}))


def call(actor: str, who: Any, tag: str, *does: Op, timeout: int | str = 5000) -> Step:
    """Call a server, or a plain process; ``does`` is what the handler does. A timeout may be "infinity"."""
    return (actor, ("call", who, tag, list(does), timeout))


def cast(actor: str, who: Any, tag: str, *does: Op) -> Step:
    return (actor, ("cast", who, tag, list(does)))


def reply(actor: str, key: str, value: Any) -> Step:
    """Answer a kept request."""
    return (actor, ("reply", key, value))


def stop(actor: str, who: Any, reason: Any = "normal", timeout: int | str = 5000) -> Step:
    return (actor, ("stop", who, reason, timeout))


# --- supervisors ---------------------------------------------------------------------------------


def supervisor(
    label: str,
    *children: dict[str, Any],
    by: str = TEST,
    how: str = "link",
    strategy: str = "one_for_one",
    intensity: int = 3,
    period: int = 5,
    **flags: Any,
) -> Step:
    """Start a supervisor; ``period`` is in seconds, as OTP has it."""
    flags = {"strategy": strategy, "intensity": intensity, "period": period, **flags}
    return (by, ("supervisor", label, how, flags, list(children)))


def child(id: str, *init: Op, **options: Any) -> dict[str, Any]:
    """A server as a child; options are those of ``start``, and restart, shutdown (ms), significant."""
    return {"id": id, "kind": "server", "init": list(init), **options}


def plain_child(id: str, *does: Op, **options: Any) -> dict[str, Any]:
    """A plain process as a child."""
    return {"id": id, "kind": "plain", "does": list(does), **options}


def supervisor_child(
    id: str,
    *children: dict[str, Any],
    strategy: str = "one_for_one",
    intensity: int = 3,
    period: int = 5,
    flags: dict[str, Any] | None = None,
    **options: Any,
) -> dict[str, Any]:
    """A supervisor as a child."""
    all_flags = {"strategy": strategy, "intensity": intensity, "period": period, **(flags or {})}
    shown = {"flags": all_flags, "children": list(children), "shutdown": "infinity", **options}
    return {"id": id, "kind": "supervisor", "type": "supervisor", **shown}


def start_child(who: Any, spec: dict[str, Any], by: str = TEST) -> Step:
    return (by, ("start_child", who, spec))


def terminate_child(who: Any, id: str, by: str = TEST) -> Step:
    return (by, ("terminate_child", who, id))


def restart_child(who: Any, id: str, by: str = TEST) -> Step:
    return (by, ("restart_child", who, id))


def delete_child(who: Any, id: str, by: str = TEST) -> Step:
    return (by, ("delete_child", who, id))


def children(who: Any, by: str = TEST) -> Step:
    """Ask which_children; the answer is sorted by id."""
    return (by, ("children", who))


def children_in_order(who: Any, by: str = TEST) -> Step:
    """Ask which_children; the answer is in its own order."""
    return (by, ("children_in_order", who))


def count(who: Any, by: str = TEST) -> Step:
    return (by, ("count", who))


# --- what handlers do: only as operations ----------------------------------------------------------


def op(step: Step) -> Op:
    """Return a step's operation without its actor: ``do("a", op(link("a", "b")), ...)``."""
    return step[1]


def sleep(ms: int) -> Op:
    return ("sleep", ms)


def raises(what: str = "boom") -> Op:
    return ("raise", what)


def keep(key: str) -> Op:
    """Keep the sender of the request at hand, for a later ``reply``."""
    return ("keep", key)


def answer(value: Any) -> Op:
    return ("answer", value)


def answer_and_stop(value: Any, reason: Any = "normal") -> Op:
    return ("answer_and_stop", value, reason)


def answer_and_continue(value: Any, *does: Op) -> Op:
    return ("answer_and_continue", value, list(does))


def answer_and_idle(value: Any, ms: int) -> Op:
    return ("answer_and_idle", value, ms)


def no_answer() -> Op:
    return ("no_answer",)


def stops(reason: Any = "normal") -> Op:
    return ("stops", reason)


def continues(*does: Op) -> Op:
    return ("continues", list(does))


def idles(ms: int) -> Op:
    """Return with an idle timeout."""
    return ("idles", ms)


def ignores() -> Op:
    return ("ignores",)


def rubbish() -> Op:
    """Return what no callback may."""
    return ("rubbish",)


def unknown() -> Op:
    """Have no clause for the message."""
    return ("unknown",)


def on(number: int, *does: Op) -> Op:
    """In ``init``: what the n-th incarnation does."""
    return ("on", number, list(does))


# --- sys and pg -----------------------------------------------------------------------------------


def get_state(who: Any, by: str = TEST) -> Step:
    return (by, ("get_state", who))


def replace_state(who: Any, value: Any, by: str = TEST) -> Step:
    return (by, ("replace_state", who, value))


def replace_state_badly(who: Any, by: str = TEST) -> Step:
    """Replace the state by a function that crashes."""
    return (by, ("replace_state_badly", who))


def suspend(who: Any, by: str = TEST) -> Step:
    return (by, ("suspend", who))


def resume(who: Any, by: str = TEST) -> Step:
    return (by, ("resume", who))


def status(who: Any, by: str = TEST) -> Step:
    return (by, ("status", who))


def scope(label: str, by: str = TEST) -> Step:
    """Start a scope of process groups."""
    return (by, ("scope", label))


def join(scope: str, group: str, *members: str, by: str = TEST) -> Step:
    return (by, ("join", scope, group, list(members)))


def part(scope: str, group: str, *members: str, by: str = TEST) -> Step:
    """Have processes leave a group."""
    return (by, ("part", scope, group, list(members)))


def members(scope: str, group: str, by: str = TEST) -> Step:
    return (by, ("members", scope, group))


def groups(scope: str, by: str = TEST) -> Step:
    return (by, ("groups", scope))


def watch_group(actor: str, scope: str, group: str, tag: str = "w") -> Step:
    return (actor, ("watch_group", scope, group, tag))


def watch_scope(actor: str, scope: str, tag: str = "w") -> Step:
    return (actor, ("watch_scope", scope, tag))


def unwatch_group(actor: str, scope: str, tag: str = "w") -> Step:
    return (actor, ("unwatch_group", scope, tag))
