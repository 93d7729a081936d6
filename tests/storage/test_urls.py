# SPDX-License-Identifier: MIT
"""Which URL means which database."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

import stanchion.storage
from stanchion.errors import InvalidOptionError
from stanchion.storage import PostgresDatabase, SqliteDatabase, database_of


@pytest.mark.parametrize(
    ("url", "kind", "name"),
    [
        ("sqlite:///app.db", SqliteDatabase, "sqlite:///app.db"),
        ("postgresql://ada@db/app", PostgresDatabase, "postgresql://ada@db/app"),
        ("postgresql+asyncpg://ada:secret@db/app", PostgresDatabase, "postgresql+asyncpg://ada:***@db/app"),
        ("postgresql:///app?host=db&password=secret", PostgresDatabase, "postgresql:///app?host=db&password=..."),
    ],
)
def test_url_means_a_database_and_its_name_keeps_the_password_secret(url: str, kind: type, name: str) -> None:
    database = database_of(url)
    assert (type(database), database.name) == (kind, name)


def test_database_that_is_given_is_used_as_it_is() -> None:
    database = SqliteDatabase("sqlite:///app.db")
    assert database_of(database) is database


@pytest.mark.parametrize(
    ("url", "text"),
    [
        (
            "postgres://db/app",
            (
                'database: expected a URL such as "sqlite:///app.db" or "postgresql://host/app", got \'postgres://db/app\'\n'
                "Fix: did you mean postgresql:?"
            ),
        ),
        (
            "app.db",
            'database: expected a URL such as "sqlite:///app.db" or "postgresql://host/app", got \'app.db\'',
        ),
        (
            "postgresql+psycopg://db/app",
            "PostgresDatabase: url: expected postgresql://user@host/database, got 'postgresql+psycopg://db/app'",
        ),
        ("postgresql:app", "PostgresDatabase: url: expected postgresql://user@host/database, got 'postgresql:app'"),
    ],
)
def test_url_is_refused_when_it_is_none(url: str, text: str) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        database_of(url)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"connections": 0}, "PostgresDatabase: connections: expected a whole number >= 1, got 0"),
        (
            {"connect_timeout": -1},
            "PostgresDatabase: connect_timeout: expected seconds >= 0 as a finite number, or a timedelta, got -1",
        ),
        (
            {"timeout": "soon"},
            "PostgresDatabase: timeout: expected seconds >= 0 as a finite number, or a timedelta, got 'soon'",
        ),
        (
            {"synchronous_commit": "of"},
            (
                "PostgresDatabase: synchronous_commit: expected one of 'on', 'off', 'local', 'remote_write', "
                "'remote_apply', got 'of'\nFix: write 'off'."
            ),
        ),
    ],
)
def test_postgres_database_is_refused_when_an_option_is_wrong(options: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        PostgresDatabase("postgresql://db/app", **options)
    assert str(caught.value) == text


@pytest.mark.parametrize("package", ["asyncpg", "greenlet"])
def test_postgres_is_refused_when_what_it_needs_is_not_installed(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(stanchion.storage._database, "find_spec", lambda name: None if name == package else found(name))
    with pytest.raises(InvalidOptionError) as caught:
        database_of("postgresql://db/app")
    assert str(caught.value) == (
        f"a PostgreSQL database: expected the extra for it, got no {package}\nFix: pip install 'stanchion[postgres]'"
    )
    with pytest.raises(InvalidOptionError):
        _ = stanchion.storage.PostgresDatabase


def test_the_front_has_no_other_name() -> None:
    with pytest.raises(AttributeError) as caught:
        _ = stanchion.storage.MongoDatabase
    assert str(caught.value) == "module 'stanchion.storage' has no attribute 'MongoDatabase'"
