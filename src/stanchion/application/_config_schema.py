# SPDX-License-Identifier: MIT
"""What the class of a configuration takes where."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, cast

from msgspec import inspect

from stanchion.application._config_place import Place, Step
from stanchion.errors import InvalidOptionError

Table = inspect.StructType | inspect.DataclassType | inspect.TypedDictType

# What msgspec reads from text.
_TEXTS: Final = (
    inspect.StrType,
    inspect.BytesType,
    inspect.DateTimeType,
    inspect.DateType,
    inspect.TimeType,
    inspect.TimeDeltaType,
    inspect.UUIDType,
    inspect.DecimalType,
)


def root_of(cls: type[object], name: str) -> inspect.Type:
    """Return the type of the table of the application ``name``.

    Raises:
        InvalidOptionError: msgspec cannot read the class.
    """
    try:
        return inspect.type_info(cls)
    except (TypeError, NameError) as error:
        raise InvalidOptionError(
            f"config of application {name!r}",
            expected="a class whose fields msgspec can read",
            got=f"{cls.__qualname__}, {type(error).__name__}: {error}",
        ) from error


def table_in(node: inspect.Type, value: object) -> Table | None:
    """Return the table that a type is, or has among its choices; of several the one that the value's tag names."""
    tables = [part for part in _parts_of(node) if isinstance(part, Table)]
    if len(tables) > 1:
        values = cast("dict[str, object]", value) if isinstance(value, dict) else {}
        tables = [part for part in tables if isinstance(part, inspect.StructType) and _tag_fits(part, values)]
    return tables[0] if tables else None


def fields_of(table: Table) -> dict[str, inspect.Type]:
    """Return the keys of a table, and what each takes."""
    return {field.encode_name: field.type for field in table.fields}


def items_of(node: inspect.Type, value: object) -> Iterator[tuple[Step, inspect.Type, object]]:
    """Yield (step, type, value) of what is in a list, or in a dict whose keys are anybody's."""
    for part in _parts_of(node):
        if isinstance(part, inspect.DictType) and isinstance(value, dict):
            for key, inner in cast("dict[str, object]", value).items():
                yield key, part.value_type, inner
        elif isinstance(part, inspect.CollectionType) and isinstance(value, list):
            for index, inner in enumerate(cast("list[object]", value)):
                yield index, part.item_type, inner
        elif isinstance(part, inspect.TupleType) and isinstance(value, list):
            for index, (item_type, inner) in enumerate(zip(part.item_types, cast("list[object]", value), strict=False)):
                yield index, item_type, inner


def takes_text(node: inspect.Type) -> bool:
    """Return whether a key takes text."""
    choices = any(isinstance(choice, str) for choice in choices_of(node))
    return choices or any(isinstance(part, _TEXTS) for part in _parts_of(node))


def choices_of(node: inspect.Type) -> list[object]:
    """Return what an enum or a Literal takes."""
    found: list[object] = []
    for part in _parts_of(node):
        if isinstance(part, inspect.LiteralType):
            found += part.values
        elif isinstance(part, inspect.EnumType):
            found += [member.value for member in part.cls]
    return found


def choices_at(node: inspect.Type, value: object, place: Place) -> list[object]:
    """Return what ``choices_of`` does for the type of what is at a place of the value."""
    for step in place:
        table = table_in(node, value)
        fields = {} if table is None else fields_of(table)
        inner = fields.get(str(step)) or next((part for key, part, _ in items_of(node, value) if key == step), None)
        if inner is None:  # the tag of a table
            return []
        node, value = inner, at(value, (step,))
    return choices_of(node)


def at(value: object, place: Place) -> object:
    """Return what is at a place of a value."""
    for step in place:
        value = cast("dict[Step, object]", value)[step]
    return value


def is_at(value: object, place: Place) -> bool:
    """Return whether there is something at a place of a value."""
    try:
        at(value, place)
    except (LookupError, TypeError):
        return False
    return True


def changed(value: object, place: Place, leaf: object) -> object:
    """Return a copy of a value with something else at a place."""
    if not place:
        return leaf
    inner = changed(at(value, place[:1]), place[1:], leaf)
    if isinstance(value, list):
        items = cast("list[object]", value)
        return [inner if index == place[0] else item for index, item in enumerate(items)]
    return {**cast("dict[Step, object]", value), place[0]: inner}


def _tag_fits(table: inspect.StructType, values: dict[str, object]) -> bool:
    return table.tag_field is not None and values.get(table.tag_field) == table.tag


def _parts_of(node: inspect.Type) -> Sequence[inspect.Type]:
    if isinstance(node, inspect.Metadata):
        return _parts_of(node.type)
    if isinstance(node, inspect.UnionType):
        return [part for choice in node.types for part in _parts_of(choice)]
    return [node]
