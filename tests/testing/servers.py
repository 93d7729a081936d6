# SPDX-License-Identifier: MIT
"""The servers that the tests of the kit have to do with."""

from __future__ import annotations

import stanchion as st


class Counter(st.GenServer):
    """Adds what is cast, and tells the sum; ``order`` has what came."""

    def init(self, first: int = 0) -> None:
        self.sum = first
        self.order: list[object] = []

    def handle_cast(self, message: object) -> object:
        self.order.append(message)
        if isinstance(message, int):
            self.sum += message
            return None
        return st.UNHANDLED

    def handle_call(self, request: object, sender: st.Sender) -> object:
        match request:
            case "sum":
                return self.sum
            case "order":
                return self.order
            case "hold":
                return st.NO_REPLY
            case _:
                raise ValueError(request)

    def handle_info(self, message: object) -> None:
        self.order.append(message)


class Account(st.GenServer):
    """Keeps a balance; whoever reads it and writes it back later forgets who did so meanwhile."""

    def init(self) -> None:
        self.balance = 0

    def handle_call(self, request: object, sender: st.Sender) -> object:
        if isinstance(request, int):
            self.balance = request
        return self.balance


async def deposit(account: st.Ref) -> None:
    """Add one to an account, the wrong way."""
    balance = await st.call(account, "balance")
    assert isinstance(balance, int)
    await st.call(account, balance + 1)
