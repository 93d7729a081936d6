# SPDX-License-Identifier: MIT
"""What type checkers make of a user's application. Checked, never run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import assert_type

import msgspec

import stanchion as st
from stanchion.application import ApplicationInfo, which_applications


class ShopConfig(msgspec.Struct):
    port: int = 80


@dataclass
class StockConfig:
    shelves: int = 3


def shop_children(config: ShopConfig) -> list[st.ChildSpec]:
    return [st.child_spec(st.GenServer, id=config.port)]


def stock_children(config: StockConfig) -> Iterator[st.ChildSpec]:
    yield st.child_spec(st.GenServer, id=config.shelves)


async def drain(config: ShopConfig) -> None: ...


def plain_children() -> list[st.ChildSpec]:
    return []


def done() -> None: ...


stock = st.Application("stock", config=StockConfig, children=stock_children)
shop = st.Application("shop", config=ShopConfig, children=shop_children, prep_stop=drain, depends_on=[stock])
plain = st.Application("plain", children=plain_children, stop=done)
listed = st.Application("listed", config=ShopConfig, children=[st.child_spec(st.GenServer)])

st.Application("wrong", config=StockConfig, children=shop_children)  # type: ignore[arg-type] # pyright: ignore[reportCallIssue, reportArgumentType]
st.Application("wrong", children=shop_children)  # type: ignore[arg-type] # pyright: ignore[reportCallIssue, reportArgumentType]
st.Application("wrong", children=[], prep_stop=drain)  # type: ignore[arg-type] # pyright: ignore[reportCallIssue, reportArgumentType]


async def use() -> None:
    assert_type(await shop.start(config={"shop": {"port": 8080}}, type="permanent"), st.Pid)
    await shop.start(type="always")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    await shop.stop(timeout=3)
    assert_type(which_applications(), list[ApplicationInfo])


def program() -> None:
    st.run(shop, config="shop.toml")
