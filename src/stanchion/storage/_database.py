# SPDX-License-Identifier: MIT
"""The contract between what is kept and the database that keeps it, and which URL means which kind."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Concatenate, Final, ParamSpec, Protocol, TypeVar

from stanchion._validate import cut, nearest
from stanchion.errors import InvalidOptionError

if TYPE_CHECKING:
    import sqlalchemy as sa

    from stanchion.storage._schema import Schema

_P = ParamSpec("_P")
_T = TypeVar("_T")

_SCHEMES: Final = ("sqlite", "postgresql")

CHANNEL: Final = "stanchion"
"""The one channel of PostgreSQL that is used; what it carries are the names of ours."""


class Database(Protocol):
    """A database that several services of a node may share, each with tables of its own.

    What works on it is a plain function of a SQLAlchemy connection. It must not commit, and may be run again from its
    beginning when the database undid what it did.
    """

    @property
    def name(self) -> str:
        """Its URL, without the password."""
        ...

    async def open(self, *schemas: Schema) -> None:
        """Connect, unless somebody else has it open already, and bring these schemas up to date.

        Raises:
            StoreSchemaError: a later release wrote one of them; nothing was changed.
            StoreError: it cannot be opened; it is open no more than it was before.
        """
        ...

    async def close(self) -> None:
        """Be done with it: the last of those who opened it disconnects. Harmless when it is closed."""
        ...

    async def write(
        self, work: Callable[Concatenate[sa.Connection, _P], _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        """Return what ``work`` returns, in one transaction that is committed; when it raises, nothing is.

        Cancellation: it is carried out all the same.
        """
        ...

    async def read(self, work: Callable[Concatenate[sa.Connection, _P], _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Return what ``work`` returns, from one view of the database."""
        ...

    def listen(self, channel: str, heard: Callable[[], None]) -> Callable[[], None]:
        """Call ``heard`` in the loop after commits, of any OS process, that told the channel by ``notify``.

        A hint, which may come late, twice or not at all: whoever listens looks from time to time all the same. On
        SQLite it never comes.

        Returns:
            What ends it.
        """
        ...


def database_of(given: str | Database) -> Database:
    """Return a new database for a URL, or the one that is given. Loads SQLAlchemy.

    Raises:
        InvalidOptionError: there is no database of that kind, or the URL is wrong.
    """
    if not isinstance(given, str):
        return given
    if check_url("database", given) == "postgresql":
        require_driver()
        from stanchion.storage.databases.postgres import PostgresDatabase

        return PostgresDatabase(given)
    from stanchion.storage.databases.sqlite import SqliteDatabase

    return SqliteDatabase(given)


def require_driver() -> None:
    """Raise unless what PostgreSQL needs is installed.

    Raises:
        InvalidOptionError: it is not.
    """
    for package in ("asyncpg", "greenlet"):
        if find_spec(package) is None:
            raise InvalidOptionError(
                "a PostgreSQL database",
                expected="the extra for it",
                got=f"no {package}",
                fix="pip install 'stanchion[postgres]'",
            )


def check_url(subject: str, url: str, *, also: tuple[str, ...] = ()) -> str:
    """Return the URL's scheme, without its driver, when there is a database for it; loads nothing.

    Args:
        subject: What the URL is for, for the error.
        url: The URL.
        also: Other schemes that will do there.

    Raises:
        InvalidOptionError: there is none; the error suggests the nearest.
    """
    schemes = (*also, *_SCHEMES)
    scheme, colon, _ = url.partition(":")
    if colon and (kind := scheme.partition("+")[0]) in schemes:
        return kind
    guess = nearest(scheme, schemes)
    raise InvalidOptionError(
        subject,
        expected='a URL such as "sqlite:///app.db" or "postgresql://host/app"' + "".join(f' or "{it}:"' for it in also),
        got=cut(url),
        fix=f"did you mean {guess}:?" if guess else None,
    )


def notify(connection: sa.Connection, channel: str) -> None:
    """Tell those who listen to a channel, in every OS process, when this transaction is committed.

    Use it in the function that writes; see ``Database.listen``. On SQLite it does nothing.
    """
    if connection.dialect.name == "postgresql":
        import sqlalchemy as sa

        connection.execute(sa.select(sa.func.pg_notify(CHANNEL, channel)))
