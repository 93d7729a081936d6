# SPDX-License-Identifier: MIT
"""What every puppet on Stanchion has: a world to tell what it sees, and a way to run operations."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import stanchion as st
from stanchion import errors, registry, server
from stanchion import supervisor as sup
from stanchion.kernel import Pid
from stanchion.telemetry import Event
from tests.conformance.scenario import Op
from tests.conformance.trace import EVENT, LIFECYCLE, Seen


class Crash(Exception):  # noqa: N818  # it is shown as crash(...)
    """The crash of a puppet."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class Do(NamedTuple):
    """The driver's message to a puppet."""

    op: Op


class Request(NamedTuple):
    """A call or cast from one puppet to another."""

    tag: str
    does: list[Op]


class World:
    """What the puppets of one scenario share."""

    def __init__(self) -> None:
        self.step = 0
        self.seen: list[Seen] = []
        self.pids: dict[str, Pid] = {}
        self.labels: dict[Pid, str] = {}
        self.counts: dict[str, int] = {}
        # Senders, monitors and timers, under what the scenario calls them.
        self.kept: dict[object, Any] = {}
        # True when the scenario is over, and what else happens is not compared.
        self.over = False

    def label(self, pid: Pid, label: str) -> str:
        count = self.counts[label] = self.counts.get(label, 0) + 1
        text = label if count == 1 else f"{label}#{count}"
        self.pids[label], self.labels[pid] = pid, text
        return text

    def log(self, actor: str, text: str, kind: str = EVENT) -> None:
        if not self.over:
            self.seen.append(Seen(self.step, kind, actor, text))

    def exited(self, event: Event, _measurements: Mapping[str, float], metadata: Mapping[str, Any]) -> None:
        label = self.labels.get(metadata["pid"])
        if label is not None:
            self.log(label, f"exits {self.reason(metadata['reason'])}")

    def reason(self, reason: Any) -> str:
        match reason:
            case Crash():
                return f"crash({reason.what})"
            case errors.ChildStartError():
                return f"failed_to_start_child {self.text(reason.child_id)} {self.reason(reason.reason)}"
            case errors.BadReturnError():
                return "bad_return_value"
            case errors.NameTakenError():
                return "already_started"
            case BaseException():
                return f"crash({type(reason).__name__})"
            case _:
                return self.text(reason)

    def text(self, value: Any) -> str:
        if isinstance(value, Pid):
            return self.labels.get(value, "?")
        if isinstance(value, BaseException):
            return self.reason(value)
        if isinstance(value, bool) or value is None:
            return {True: "true", False: "false", None: "undefined"}[value]
        if isinstance(value, tuple):
            return "{" + ",".join(map(self.text, value)) + "}"
        if isinstance(value, list):
            return "[" + ",".join(map(self.text, value)) + "]"
        return str(value)


def why(reason: Any) -> Any:
    """Return the exit reason that a scenario's term means."""
    match reason:
        case ("crash", what):
            return Crash(what)
        case _:
            return reason


def seconds(ms: int | str | None) -> float | None:
    return None if ms in (None, "infinity") else ms / 1000  # type: ignore[operator]


# --- puppets -------------------------------------------------------------------------------


RETURNS = frozenset(
    [
        "answer",
        "answer_and_continue",
        "answer_and_idle",
        "answer_and_stop",
        "continues",
        "finish",
        "goto",
        "idles",
        "ignores",
        "keep_state",
        "no_answer",
        "repeat",
        "rubbish",
        "stop_and_reply",
        "stops",
        "unknown",
    ]
)
"""The operations that say what a callback returns, or that a plain process is done."""


class BasicPuppet:
    """One process that does what it is told, and tells everything that it sees."""

    def __init__(self, world: World, label: str) -> None:
        self.world = world
        self.label = label
        # Of a state machine.
        self.state = ""
        # Of the request at hand.
        self.sender: st.Sender

    def event(self, text: str) -> None:
        self.world.log(self.label, text)

    def lifecycle(self, text: str, *, loose: bool = False) -> None:
        self.world.log(self.label, text, EVENT if loose else LIFECYCLE)

    def hears(self, message: object) -> None:
        match message:
            case st.Down():
                tag = "" if message.tag is None else f"({message.tag})"
                self.event(f"down{tag} {self.world.text(message.pid)} {self.world.reason(message.reason)}")
            case st.Exit():
                self.event(f"exit {self.world.text(message.pid)} {self.world.reason(message.reason)}")
            case Request():
                self.event(f"hears {message.tag}")
            case registry.Joined() | registry.Left():
                what = "join" if isinstance(message, registry.Joined) else "leave"
                tag = self.world.kept["monitor", message.ref]
                self.event(f"{what}({tag}) {self.world.text(message.group)} {self.sorted(message.pids)}")
            case registry.Registered():
                values = " ".join(map(self.world.text, (message.key, message.pid, message.value)))
                self.event(f"registered {values}")
            case registry.Unregistered():
                self.event(f"unregistered {self.world.text(message.key)} {self.world.text(message.pid)}")
            case _ if message is server.TIMEOUT:
                self.event("idle")
            case _:
                self.event(f"hears {self.world.text(message)}")

    def who(self, who: Any) -> Any:
        match who:
            case ("name", name):
                return name
            case ("via", registry, key):
                return st.Registry.via(registry, key)
            case ("partition", supervisor, key):
                return st.PartitionSupervisor.via(supervisor, key)
            case _:
                return self.world.pids[who]

    async def run(self, ops: list[Op]) -> Op | None:
        """Run operations until one of them says what the callback returns."""
        for name, *args in ops:
            if name in RETURNS:
                return (name, *args)
            result = getattr(self, f"do_{name}")(*args)
            if asyncio.iscoroutine(result):
                result = await result
            if name in ("all", "in") and result is not None:
                return result
        return None

    async def attempt(
        self, what: str, awaitable: Awaitable[Any], text: Callable[[Any], str] | None = None, *, whole: bool = False
    ) -> None:
        """Tell what came of something that may fail; ``whole`` has the error of a child's start name the child."""
        try:
            result = (text or self.world.text)(await awaitable)
        except errors.CallExitError as error:
            result = f"exit {self.world.reason(error.reason)}"
        except errors.StopExitError as error:
            result = f"exit {self.world.reason(error.reason)}"
        except (errors.CallTimeoutError, errors.StopTimeoutError):
            result = "exit timeout"
        except errors.CallSelfError:
            result = "exit calling_self"
        except errors.UnhandledRequestError:
            result = "exit unhandled"
        except errors.ChildNotFoundError:
            result = "error not_found"
        except errors.MaxChildrenError:
            result = "error max_children"
        except errors.CallbackFailedError:
            result = "exit callback_failed"
        except errors.TaskTimeoutError:
            result = "exit timeout"
        except errors.TaskExitError as error:
            result = f"exit {self.world.reason(error.reason)}"
        except errors.ChildStateError as error:
            result = f"error {error.state}"
        except errors.ChildStartError as error:
            result = f"error {self.world.reason(error if whole else error.reason)}"
            if isinstance(error.reason, errors.NameTakenError) and not whole:
                result += f" {self.world.text(_holder(error.reason))}"
        except errors.ChildIdTakenError as error:
            present = error.pid is None
            result = "error already_present" if present else f"error already_started {self.world.text(error.pid)}"
        except errors.ChildSpecError:
            result = "error bad_spec"
        except errors.StartError as error:
            result = "ignore" if error.reason == "ignore" else f"error {self.world.reason(error.reason)}"
        except errors.NameTakenError as error:
            result = f"error already_started {self.world.text(_holder(error))}"
        self.event(f"{what} -> {result}")

    def started(self, pid: Pid | None) -> str:
        return "ignore" if pid is None else f"ok {self.world.text(pid)}"

    def counts(self, counts: sup.ChildCounts) -> str:
        return " ".join(f"{key}={value}" for key, value in counts._asdict().items())

    def sorted(self, pids: list[Pid]) -> str:
        return self.world.text(sorted(map(self.world.text, pids)))


def _holder(error: errors.NameTakenError) -> Pid | None:
    return error.pid if isinstance(error, errors.KeyTakenError) else st.whereis(error.name)
