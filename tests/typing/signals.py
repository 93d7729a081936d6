# SPDX-License-Identifier: MIT
"""What type checkers make of signals. Checked, never run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_type

import stanchion as st
from stanchion.messages import register_message
from stanchion.router import from_cloudevent, to_cloudevent


class Placed(st.Message):
    sku: str


def makes(source: str | None) -> None:
    signal = st.Signal("order.placed", {"sku": "A-1"}, source=source, id=None, time=0, extensions={"n": 1, "raw": b""})
    assert_type(signal.id, str)
    assert_type(signal.source, str)
    assert_type(signal.time, float)
    assert_type(signal.subject, str | None)
    assert_type(signal.data, object)
    assert_type(signal.extensions, Mapping[str, str | int | bool | bytes])
    assert_type(st.Signal.of(Placed("A-1"), subject="17"), st.Signal)
    assert_type(signal.replace(type="order.paid", time=None), st.Signal)
    assert_type(from_cloudevent(to_cloudevent(signal)), st.Signal)


def takes_apart(signal: st.Signal) -> None:
    match signal:
        case st.Signal("order.placed", Placed(sku)):
            assert_type(sku, str)
        case st.Signal(type, subject=str() as subject):
            assert_type(type, str)
            assert_type(subject, str)
        case _:
            pass


class Parcel:
    def __init__(self, content: object) -> None:
        self.content = content


def content_of(parcel: Parcel) -> dict[str, object]:
    return {"content": parcel.content}


assert_type(
    register_message(Parcel, to_data=content_of, from_data=lambda data: Parcel(data["content"])),
    type[Parcel],
)
