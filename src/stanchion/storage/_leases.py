# SPDX-License-Identifier: MIT
"""Leases as rows: the table, and the statements on it.

Plain functions of a SQLAlchemy connection, for one transaction each. Heartbeats are counted and not timed: the clocks of
two machines need not agree.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import sqlalchemy as sa

from stanchion.errors import LeaseLostError
from stanchion.storage._database import notify
from stanchion.storage._owner import Owner

metadata: Final = sa.MetaData()

leases: Final = sa.Table(
    "stanchion_leases",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("owner", sa.Text),  # NULL: it was given up
    sa.Column("host", sa.Text),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("started", sa.Text, nullable=False),
    sa.Column("seconds", sa.Double, nullable=False),
    sa.Column("beats", sa.BigInteger, nullable=False),
    sa.Column("token", sa.BigInteger, nullable=False),  # grows with each holder; the row stays for its sake
)
_l: Final = leases.c


class Claim(NamedTuple):
    """One who holds a lease, or wants to.

    Attributes:
        name: The lease.
        owner: Who, as text that nobody else has.
        process: Its OS process.
        seconds: After how many seconds without a heartbeat it is taken for dead.
    """

    name: str
    owner: str
    process: Owner
    seconds: float


class Held(NamedTuple):
    """A lease as the database knows it.

    Attributes:
        owner: Who holds it.
        process: Its OS process.
        seconds: After how many seconds without a heartbeat it is taken for dead.
        beats: How many heartbeats it has made.
        token: The how-manyeth holder it is.
    """

    owner: str
    process: Owner
    seconds: float
    beats: int
    token: int


def hold(connection: sa.Connection, claim: Claim, gone: Held | None = None) -> Held:
    """Renew a lease that is ours, or take it when it is free, and return who holds it then.

    Args:
        connection: Where.
        claim: Who asks.
        gone: Who held it when it was seen last, and has ended since: it is taken from him if it is still so.
    """
    found = _find(connection, claim.name)
    if found is None:
        connection.execute(_CREATE, {"name": claim.name})
        return hold(connection, claim, gone)
    row, token = found
    if row is not None and row.owner == claim.owner:
        connection.execute(leases.update().where(_l.name == claim.name).values(beats=_l.beats + 1))
        return row._replace(beats=row.beats + 1)
    if row is None or row == gone:
        host, pid, started = claim.process
        taken = {"owner": claim.owner, "host": host, "pid": pid, "started": started}
        changed = leases.update().where(_l.name == claim.name)
        connection.execute(changed.values(**taken, seconds=claim.seconds, beats=0, token=token + 1))
        return Held(claim.owner, claim.process, claim.seconds, 0, token + 1)
    return row


def give_up(connection: sa.Connection, name: str, owner: str) -> None:
    """Let anybody take a lease, if this owner has it, and tell those who listen."""
    if connection.execute(leases.update().where(_l.name == name, _l.owner == owner).values(owner=None)).rowcount:
        notify(connection, channel_of(name))


def check_lease(connection: sa.Connection, name: str, token: int) -> None:
    """Raise unless a lease is still held under this token, and have it stay so until the transaction ends.

    Call it in the function that writes what only the holder may write, with the ``token`` that the lease had when the
    work was decided on. A node that stood still for longer than its lease writes nothing then, whatever its clock says.

    Args:
        connection: Where, in a transaction of the caller's.
        name: The lease.
        token: See ``Lease.token``.

    Raises:
        LeaseLostError: it was taken over, or given up.
    """
    found = _find(connection, name, read=True)
    row, now = found or (None, 0)
    if row is None or now != token:
        raise LeaseLostError(
            connection.engine.url.render_as_string(hide_password=True), lease=name, owner=f"its holder number {token}"
        )


def channel_of(name: str) -> str:
    """Return what PostgreSQL tells when a lease was given up."""
    return f"stanchion_lease {name}"


def _find(connection: sa.Connection, name: str, *, read: bool = False) -> tuple[Held | None, int] | None:
    """Return who holds a lease, and its token; None when it never was held. Nobody changes it until the end."""
    columns = _l.owner, _l.host, _l.pid, _l.started, _l.seconds, _l.beats, _l.token
    query = sa.select(*columns).where(_l.name == name).with_for_update(read=read)
    if connection.dialect.name == "postgresql":
        # Else a node that stands still in its transaction keeps all others from the lease for as long as it does.
        query = query.add_columns(sa.func.set_config("idle_in_transaction_session_timeout", _milliseconds, True))
    row = connection.execute(query).first()
    if row is None:
        return None
    owner, host, pid, started, seconds, beats, token = row[: len(columns)]
    return None if owner is None else Held(owner, Owner(host, pid, started), seconds, beats, token), token


# Of a lease's time: a second at least, also before anybody has held it, and no more than fits.
_milliseconds: Final = sa.cast(sa.cast(sa.func.least(sa.func.greatest(_l.seconds, 1), 1e6) * 1000, sa.Integer), sa.Text)

_CREATE: Final = sa.text(
    f"INSERT INTO {leases.name} (name, pid, started, seconds, beats, token) "  # noqa: S608 - the name is ours
    "VALUES (:name, 0, '', 0, 0, 0) ON CONFLICT DO NOTHING"  # another node may do the same
)
