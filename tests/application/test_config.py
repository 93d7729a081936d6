# SPDX-License-Identifier: MIT
"""The configuration of applications: where it comes from, and what is said of each mistake."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

import msgspec
import pytest

from stanchion.application import Application
from stanchion.errors import ApplicationConfigError, InvalidOptionError
from tests.supervisor.servers import quick_node


class Smtp(msgspec.Struct):
    host: str
    port: int = 25


class Level(Enum):
    LOW = "low"
    HIGH = "high"


class Card(msgspec.Struct, tag="card"):
    number: str


class Cash(msgspec.Struct, tag="cash"):
    currency: str


class Shop(msgspec.Struct, kw_only=True):
    town: str
    port: Annotated[int, msgspec.Meta(ge=1)] = 80
    rate: float = 0.5
    open: bool = True
    words: list[str] = []
    limits: dict[str, int] = {}
    smtp: Smtp | None = None
    mirrors: dict[str, Smtp] = {}
    backups: list[Smtp] = []
    mode: Literal["fast", "slow"] = "fast"
    level: Level = Level.LOW
    payment: Card | Cash | None = None
    opened: date | None = None
    patience: timedelta = timedelta(seconds=1)

    def __post_init__(self):
        if self.port == 13:
            raise ValueError("13 brings bad luck")


@dataclass
class Stock:
    shelves: int = 3


class Kebab(msgspec.Struct, rename="kebab"):
    max_items: int = 1


def app_of(config: type, name: str = "shop", **options) -> tuple[Application, list[object]]:
    """Return an application, and the list of the configurations that it was started with."""
    seen: list[object] = []

    def children(config):
        seen.append(config)
        return []

    return Application(name, config=config, children=children, **options), seen


async def read(config: type, source: object, name: str = "shop") -> object:
    """Return what an application gets of a source."""
    app, seen = app_of(config, name)
    async with quick_node():
        await app.start(config=source)  # type: ignore[arg-type]
    return seen[0]


async def refusal(config: type, source: object, name: str = "shop") -> ApplicationConfigError:
    with pytest.raises(ApplicationConfigError) as caught:
        await read(config, source, name)
    return caught.value


@pytest.fixture
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a file with the bytes that the test asks for."""
    path = tmp_path / "shop.toml"
    path.write_bytes(request.param)
    return path


def file(content: bytes):
    return pytest.mark.parametrize("path", [content], indirect=True)


@file(b'[shop]\ntown = "Rome"\nopened = 2026-03-02\nwords = ["a"]\n[shop.smtp]\nhost = "mail"\n')
async def test_application_gets_its_table_of_a_file_without_blocking_the_loop(path: Path):
    assert await read(Shop, path) == Shop(town="Rome", opened=date(2026, 3, 2), words=["a"], smtp=Smtp("mail"))
    assert await read(Shop, str(path)) == await read(Shop, path)


async def test_application_gets_its_table_of_a_mapping():
    table = {"town": "Rome", "payment": {"type": "cash", "currency": "EUR"}, "patience": "PT3S"}
    assert await read(Shop, {"shop": table}) == Shop(town="Rome", payment=Cash("EUR"), patience=timedelta(seconds=3))
    assert table["payment"] == {"type": "cash", "currency": "EUR"}


async def test_application_without_a_table_gets_the_defaults():
    assert await read(Stock, None) == Stock(3)


async def test_each_application_gets_its_own_table():
    stock, stocks = app_of(Stock, "stock")
    shop, shops = app_of(Shop, depends_on=[stock])
    async with quick_node():
        await shop.start(config={"shop": {"town": "Rome"}, "stock": {"shelves": 5}})
    assert (stocks, shops) == ([Stock(5)], [Shop(town="Rome")])


@pytest.mark.parametrize(
    ("variable", "text", "expected"),
    [
        ("SHOP__TOWN", "Oslo", Shop(town="Oslo")),
        ("SHOP__TOWN", "8080", Shop(town="8080")),
        ("SHOP__PORT", "8080", Shop(town="Rome", port=8080)),
        ("SHOP__RATE", "2", Shop(town="Rome", rate=2.0)),
        ("SHOP__OPEN", "false", Shop(town="Rome", open=False)),
        ("SHOP__WORDS", '["a", "b"]', Shop(town="Rome", words=["a", "b"])),
        ("SHOP__LIMITS", "{pear = 3}", Shop(town="Rome", limits={"pear": 3})),
        ("SHOP__MODE", "slow", Shop(town="Rome", mode="slow")),
        ("SHOP__LEVEL", "high", Shop(town="Rome", level=Level.HIGH)),
        ("SHOP__OPENED", "2026-03-02", Shop(town="Rome", opened=date(2026, 3, 2))),
        ("SHOP__PATIENCE", "PT3S", Shop(town="Rome", patience=timedelta(seconds=3))),
        ("SHOP__SMTP__HOST", "mail", Shop(town="Rome", smtp=Smtp("mail"))),
        ("SHOP__SMTP", '{host = "mail", port = 2525}', Shop(town="Rome", smtp=Smtp("mail", 2525))),
        ("SHOP_PORT", "tcp://10.0.0.1:80", Shop(town="Rome")),
    ],
)
async def test_environment_variable_goes_before_the_file(variable, text, expected, monkeypatch):
    monkeypatch.setenv(variable, text)
    assert await read(Shop, {"shop": {"town": "Rome"}}) == expected


async def test_environment_variable_changes_one_key_of_a_table(monkeypatch):
    source = {"shop": {"town": "Rome", "smtp": {"host": "mail", "port": 2525}}}
    monkeypatch.setenv("SHOP__SMTP__HOST", "post")
    assert await read(Shop, source) == Shop(town="Rome", smtp=Smtp("post", 2525))
    assert source["shop"]["smtp"] == {"host": "mail", "port": 2525}


async def test_environment_variable_has_underscores_for_hyphens(monkeypatch):
    monkeypatch.setenv("MY_SHOP__MAX_ITEMS", "5")
    assert await read(Kebab, {"my-shop": {"max-items": 2}}, "my-shop") == Kebab(5)


@pytest.mark.parametrize(
    ("table", "text"),
    [
        (
            {"town": "Rome", "prot": 1},
            (
                "config: [shop] prot: expected one of the keys town, port, rate, open, words, limits, smtp, mirrors, "
                "backups, mode, level, payment, opened, patience, got 'prot'\nFix: write port."
            ),
        ),
        (
            {},
            "config: [shop] town: expected a value, got nothing\nFix: write town = ... there, or set SHOP__TOWN.",
        ),
        ({"town": 3}, "config: [shop] town: expected str, got 3"),
        ({"town": "Rome", "port": "80"}, "config: [shop] port: expected int, got '80'"),
        ({"town": "Rome", "port": 0}, "config: [shop] port: expected int >= 1, got 0"),
        ({"town": "Rome", "words": ["a", 1]}, "config: [shop] words[1]: expected str, got 1"),
        ({"town": "Rome", "limits": {"pear": 1, "fig": "x"}}, "config: [shop.limits] fig: expected int, got 'x'"),
        ({"town": "Rome", "smtp": 3}, "config: [shop] smtp: expected table, got 3"),
        (
            {"town": "Rome", "smtp": {}},
            (
                "config: [shop.smtp] host: expected a value, got nothing\n"
                "Fix: write host = ... there, or set SHOP__SMTP__HOST."
            ),
        ),
        (
            {"town": "Rome", "smtp": {"hots": "mail"}},
            "config: [shop.smtp] hots: expected one of the keys host, port, got 'hots'\nFix: write host.",
        ),
        (
            {"town": "Rome", "mirrors": {"a": {"host": "x"}, "b": {"host": "y", "x": 1}}},
            "config: [shop.mirrors.b] x: expected one of the keys host, port, got 'x'",
        ),
        (
            {"town": "Rome", "mirrors": {"a": {"host": "x"}, "b": {"host": "y", "port": "z"}}},
            "config: [shop.mirrors.b] port: expected int, got 'z'",
        ),
        (
            {"town": "Rome", "backups": [{"host": "x"}, {"hosts": "x"}]},
            "config: [shop.backups[1]] hosts: expected one of the keys host, port, got 'hosts'\nFix: write host.",
        ),
        (
            {"town": "Rome", "backups": [{"host": "x"}, {}]},
            "config: [shop.backups[1]] host: expected a value, got nothing\nFix: write host = ... there.",
        ),
        (
            {"town": "Rome", "mode": "fsat"},
            "config: [shop] mode: expected one of 'fast', 'slow', got 'fsat'\nFix: write 'fast'.",
        ),
        ({"town": "Rome", "mode": "zzz"}, "config: [shop] mode: expected one of 'fast', 'slow', got 'zzz'"),
        ({"town": "Rome", "level": "hgih"}, "expected one of 'low', 'high', got 'hgih'\nFix: write 'high'."),
        (
            {"town": "Rome", "payment": {"type": "cash", "curency": "EUR"}},
            "config: [shop.payment] curency: expected one of the keys currency, got 'curency'\nFix: write currency.",
        ),
        (
            {"town": "Rome", "payment": {"type": "gold"}},
            "config: [shop.payment] type: expected values that its class takes, got an objection: Invalid value 'gold'",
        ),
        (
            {"town": "Rome", "port": 13},
            "config: [shop]: expected values that Shop takes, got an objection: 13 brings bad luck",
        ),
        ("Rome", "config: [shop]: expected a table, got 'Rome'"),
    ],
)
async def test_mistake_is_told_with_its_key(table, text):
    error = await refusal(Shop, {"shop": table})
    assert str(error).endswith(text)
    assert error.source == "config"


@file(b'[shop]\ntown = "Rome"\nport = "80"\n')
async def test_mistake_is_told_with_its_file(path: Path):
    error = await refusal(Shop, path)
    assert str(error) == f"{path}: [shop] port: expected int, got '80'"
    assert (error.source, error.key, error.expected, error.got) == (str(path), "shop.port", "int", "'80'")


@pytest.mark.parametrize(
    ("variable", "text", "error"),
    [
        ("SHOP__PORT", "80a", "environment variable SHOP__PORT: expected int, got '80a'"),
        ("SHOP__PORT", "1\nx = 2", "environment variable SHOP__PORT: expected int, got '1\\nx = 2'"),
        (
            "SHOP__MODE",
            "fsat",
            "environment variable SHOP__MODE: expected one of 'fast', 'slow', got 'fsat'\nFix: write 'fast'.",
        ),
        ("SHOP__SMTP", "{host = 3}", "environment variable SHOP__SMTP: expected str, got 3"),
        (
            "SHOP__SMTP__HOTS",
            "mail",
            (
                "environment variable SHOP__SMTP__HOTS: expected one of SHOP__SMTP__HOST, SHOP__SMTP__PORT, "
                "got a name that stands for no key\nFix: write SHOP__SMTP__HOST."
            ),
        ),
        (
            "SHOP__PORT__MAX",
            "1",
            (
                "environment variable SHOP__PORT__MAX: expected the name of a key, and shop.port is one, "
                "got a name that goes on\nFix: write SHOP__PORT, with all that is in it, as in TOML."
            ),
        ),
        (
            "SHOP__LIMITS__PEAR",
            "1",
            (
                "environment variable SHOP__LIMITS__PEAR: expected the name of a key, and shop.limits is one, "
                "got a name that goes on\nFix: write SHOP__LIMITS, with all that is in it, as in TOML."
            ),
        ),
    ],
)
async def test_mistake_is_told_with_its_environment_variable(variable, text, error, monkeypatch):
    monkeypatch.setenv(variable, text)
    refused = await refusal(Shop, {"shop": {"town": "Rome"}})
    assert str(refused) == error
    assert refused.source == variable


async def test_environment_variable_hides_no_mistake_of_the_file(monkeypatch):
    monkeypatch.setenv("SHOP__SMTP__HOST", "mail")
    refused = await refusal(Shop, {"shop": {"town": "Rome", "smtp": 3}})
    assert str(refused) == "config: [shop] smtp: expected table, got 3"


async def test_environment_variable_that_stands_for_no_key_of_a_union(monkeypatch):
    monkeypatch.setenv("SHOP__PAYMENT__NUMBER", "1")
    refused = await refusal(Shop, {"shop": {"town": "Rome"}})
    assert str(refused).startswith(
        "environment variable SHOP__PAYMENT__NUMBER: expected the name of a key, and shop.payment is one"
    )


@pytest.mark.parametrize(
    ("config", "tables", "text"),
    [
        (Stock, {"shpo": {}}, "config: expected the tables [shop], got [shpo]\nFix: write [shop]."),
        (Stock, {"shop": {}, "shpo": {}}, "config: expected the tables [shop], got [shpo]"),
        (
            None,
            {"shop": {}},
            (
                "config: expected no tables, got [shop], of an application without config=\n"
                "Fix: pass config= to Application('shop'), a class with the keys of the table."
            ),
        ),
        (None, {3: {}}, "config: expected no tables, got [3]"),
    ],
)
async def test_table_must_belong_to_an_application(config, tables, text):
    app = app_of(config)[0] if config else Application("shop", children=[])
    async with quick_node():
        with pytest.raises(ApplicationConfigError) as caught:
            await app.start(config=tables)
    assert str(caught.value) == text


async def test_file_must_be_there(tmp_path: Path):
    path = tmp_path / "shop.toml"
    error = await refusal(Shop, path)
    assert str(error) == f"{path}: expected a file to read, got No such file or directory"
    assert (error.source, error.key) == (str(path), None)


@pytest.mark.parametrize(
    ("path", "got"),
    [(b"[shop\n", "Expected ']' at the end of a table declaration"), (b"\xff", "'utf-8' codec can't decode")],
    indirect=["path"],
)
async def test_file_must_be_toml(path: Path, got: str):
    assert str(await refusal(Shop, path)).startswith(f"{path}: expected TOML, got {got}")


async def test_source_is_a_file_a_mapping_or_none():
    with pytest.raises(InvalidOptionError) as caught:
        await read(Stock, 3)
    assert str(caught.value) == "config: expected the path of a TOML file, a mapping of tables, or None, got 3"


async def test_nothing_starts_when_a_configuration_is_wrong():
    stock, stocks = app_of(Stock, "stock")
    shop, shops = app_of(Shop, depends_on=[stock])
    async with quick_node():
        with pytest.raises(ApplicationConfigError):
            await shop.start(config={"stock": {"shelves": 5}})
    assert stocks == shops == []


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        (
            {"next": "Missing"},
            (
                "config of application 'shop': expected a class whose fields msgspec can read, got Odd, "
                "NameError: name 'Missing' is not defined"
            ),
        ),
        (
            {"next": "dict[str, int] | dict[str, str]"},
            "got Odd, TypeError: Type unions may not contain more than one dict",
        ),
    ],
)
async def test_class_must_be_one_that_msgspec_can_read(fields, text):
    odd = msgspec.defstruct("Odd", [(name, annotation) for name, annotation in fields.items()])
    with pytest.raises(InvalidOptionError) as caught:
        await read(odd, None)
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (dict[int, int], {"x": 1}, "config: [shop] value: expected keys that are int, got {'x': 1}"),
        (
            list[dict[str, list[int]]],
            [{}, {"a": [1], "b": ["x"]}],
            "config: [shop.value[1]] b[0]: expected int, got 'x'",
        ),
        (dict[str, int | bool], {"a": 1, "b": "x"}, "config: [shop.value] b: expected bool | int, got 'x'"),
        (dict[str, Literal["a", "b"]], {"x": "c"}, "config: [shop.value] x: expected one of 'a', 'b', got 'c'"),
        (dict[str, Card | Cash], {"x": {"type": "gold"}}, "got an objection: Invalid value 'gold'"),
        (
            # It takes no dict with a single key, so nobody can tell which of the two it is.
            Annotated[dict[str, int], msgspec.Meta(min_length=2)],
            {"a": 1, "b": "x"},
            "config: [shop] value: expected int, got {'a': 1, 'b': 'x'}",
        ),
        (
            Annotated[Literal["a"] | None, msgspec.Meta(title="letter")],
            "c",
            "config: [shop] value: expected one of 'a', got 'c'",
        ),
        (Literal[1, 2], 3, "config: [shop] value: expected one of 1, 2, got 3"),
        (
            tuple[int, Smtp],
            (1, {"hots": "x"}),
            "config: [shop.value[1]] hots: expected one of the keys host, port, got 'hots'\nFix: write host.",
        ),
        (tuple[int, Smtp], (1, {"host": 3}), "config: [shop.value[1]] host: expected str, got 3"),
        (Smtp, {3: "x"}, "config: [shop.value] 3: expected one of the keys host, port, got '3'"),
        (Smtp, MappingProxyType({"hots": "x"}), "config: [shop.value] hots: expected one of the keys host, port"),
    ],
)
async def test_mistake_is_told_wherever_it_is(kind, value, text):
    odd = msgspec.defstruct("Odd", [("value", kind)])
    assert text in str(await refusal(odd, {"shop": {"value": value}}))


async def test_keys_of_a_dict_need_not_be_text():
    ports = msgspec.defstruct("Ports", [("names", dict[int, str])])
    assert await read(ports, {"shop": {"names": {"80": "http", 443: "https"}}}) == ports({80: "http", 443: "https"})


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ZeroDivisionError("boom"), "config: [shop]: expected values that Picky takes, got ZeroDivisionError('boom')"),
        (
            ValueError("see - at `$.far.away`"),
            "config: [shop]: expected values that Picky takes, got an objection: see",
        ),
    ],
)
async def test_objection_of_the_class_is_told_whatever_it_is(error, text):
    @dataclass
    class Picky:
        town: str

        def __post_init__(self) -> None:
            raise error

    refused = await refusal(Picky, {"shop": {"town": "Rome"}})
    assert str(refused) == text
    assert refused.__cause__ is not None


async def test_mistake_in_a_dict_is_told_whatever_the_class_objects_to_without_the_rest_of_it():
    @dataclass
    class Picky:
        limits: dict[str, int]

        def __post_init__(self) -> None:
            raise ZeroDivisionError

    assert (
        str(await refusal(Picky, {"shop": {"limits": {"fig": 1, "pear": "x"}}}))
        == "config: [shop.limits] pear: expected int, got 'x'"
    )


async def test_table_without_keys_takes_none(monkeypatch):
    empty = msgspec.defstruct("Empty", [])
    assert str(await refusal(empty, {"shop": {"port": 1}})) == "config: [shop] port: expected no keys, got 'port'"
    monkeypatch.setenv("SHOP__PORT", "1")
    assert str(await refusal(empty, None)) == (
        "environment variable SHOP__PORT: expected none for a table without keys, got a name that stands for no key"
    )
