# SPDX-License-Identifier: MIT
"""Servers and requests that the rules of these tests speak of."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, NamedTuple

import msgspec


class Inventory: ...


class Reserve:
    pass


class Lookup:
    operation = "cache.lookup"


class Query(msgspec.Struct):
    operation: str


class Order(msgspec.Struct):
    operation: ClassVar[str] = "order"


@dataclass
class Report:
    operation: str = "report"


@dataclass
class Optional:
    operation: str | None = None


class Annotated:
    operation: str

    def __init__(self, operation: str | None) -> None:
        if operation is not None:
            self.operation = operation


class ByHand:
    operation = "by.hand"

    def __init__(self, operation: str | None = None) -> None:
        if operation is not None:
            self.operation = operation


class Undeclared:
    def __init__(self, operation: str) -> None:
        self.operation = operation


class WithMethod:
    def operation(self) -> str:
        return "method"


class Sku(NamedTuple):
    sku: str


class Verb(StrEnum):
    RESERVE = "reserve"


PATH = f"{__name__}."
"""What the paths of these classes begin with."""
