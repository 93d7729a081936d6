# SPDX-License-Identifier: MIT
"""What type checkers make of a user's server. Checked, never run."""

from __future__ import annotations

from typing import Literal, assert_type

import stanchion as st
from stanchion.kernel import ExitReason, Ref
from stanchion.server import Directive, get_state, get_status


class Reserve(st.Call[bool]):
    sku: str
    quantity: int = 1


class Stock(st.Call[dict[str, int]]):
    pass


class Restock(st.Message):
    sku: str


class AsyncInventory(st.GenServer):
    """All callbacks async, each parameter typed as narrowly as its author likes."""

    async def init(self, stock: dict[str, int]) -> None:
        self.stock = stock

    async def handle_call(self, request: Reserve | Stock, sender: st.Sender) -> bool | dict[str, int]:
        if isinstance(request, Reserve):
            return self.stock.get(request.sku, 0) >= request.quantity
        return self.stock

    async def handle_cast(self, message: Restock) -> st.Continue | None:
        return st.Continue(message.sku)

    async def handle_info(self, message: st.Down | st.Exit) -> st.Stop | None:
        return st.Stop("shutdown") if isinstance(message, st.Exit) else None

    async def handle_continue(self, arg: str) -> None:
        self.stock[arg] = 1

    async def terminate(self, reason: ExitReason) -> None:
        self.stock.clear()


class PlainInventory(st.GenServer):
    """The same as plain methods, with other parameter names and directives in the return types."""

    def init(self, stock: dict[str, int], *, strict: bool = True) -> st.Continue | None:
        self.stock = stock
        return st.Continue() if strict else None

    def handle_call(self, wanted: Reserve, _sender: st.Sender) -> bool | Directive:
        return st.NO_REPLY if wanted.quantity else st.Reply(True, then=st.Stop())

    def handle_cast(self, message: object) -> object:
        return st.UNHANDLED

    def terminate(self, reason: ExitReason) -> None:
        self.stock.clear()


async def replies_are_typed(ref: Ref) -> None:
    assert_type(await st.call(ref, Reserve("A-1")), bool)
    assert_type(await st.call("inventory", Stock(), timeout=1), dict[str, int])
    assert_type(await st.call(ref, "anything else", timeout=None), object)


async def replies_of_many_are_typed(ref: Ref) -> None:
    result = await st.multi_call([ref, "inventory"], Reserve("A-1"))
    assert_type(result.replies, tuple[tuple[Ref, bool], ...])
    assert_type((await st.multi_call([ref], "anything else", timeout=None)).replies, tuple[tuple[Ref, object], ...])


class Sleepy(st.GenServer):
    """Timeouts, in return types and as a message."""

    async def init(self) -> st.Timeout:
        return st.Timeout(5)

    def handle_call(self, request: str, sender: st.Sender) -> st.Reply:
        return st.Reply(st.NO_REPLY, then=st.Timeout(1))

    async def handle_info(self, message: object) -> st.Timeout | st.Stop:
        return st.Stop() if message is st.TIMEOUT else st.Timeout(5)


async def held_state_is_typed(ref: Ref) -> None:
    def length(state: list[int]) -> int:
        return len(state)

    async def popped(state: list[int]) -> tuple[int, list[int]]:
        return state[0], state[1:]

    assert_type(await st.StateHolder.get(ref, length), int)
    assert_type(await st.StateHolder.get_and_update(ref, popped), int)
    assert_type((await get_status(ref)).sysstate, Literal["running", "suspended"])
    assert_type(await get_state(ref), dict[str, object])


async def starting_gives_a_pid() -> None:
    assert_type(await st.start(AsyncInventory, {"A-1": 3}, name="inventory"), st.Pid)
    assert_type(await st.start_link(PlainInventory, {}), st.Pid)
    assert_type(st.whereis("inventory"), st.Pid | None)
    assert_type(await st.receive(timeout=None), object)


async def reasons_are_typed(pid: st.Pid) -> None:
    st.exit(pid, "shutdown")
    st.exit(pid, ("shutdown", {"why": "done"}))
    st.exit(pid, ValueError("no"))
    await st.stop(pid, "normal", timeout=5)
    assert_type(await st.wait_exit(pid, timeout=None), ExitReason)


# Each of these is an error; a checker that does not see it reports the unused ignore.


async def dropped_awaitables_are_caught(ref: Ref) -> None:
    st.call(ref, Reserve("A-1"))  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]
    st.stop(ref)  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]
    st.send_supervised(ref, 1)  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]


async def wrong_arguments_are_caught(pid: st.Pid) -> None:
    st.exit(pid, "shutdwon")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    st.cast(42, "message")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await st.start(AsyncInventory({}))  # type: ignore[arg-type,call-arg]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await st.receive()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    answer: str = await st.call(pid, Reserve("A-1"))  # type: ignore[assignment]  # pyright: ignore[reportArgumentType, reportAssignmentType]
    print(answer)
