"""Connections to PostgreSQL, each with our codecs and session settings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from baylight.errors import TransientError

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]
else:
    Connection = Any
    Pool = Any

SESSION = {
    "application_name": "baylight",
    "timezone": "UTC",
    # While a V2 database is migrated, our tables lie in baylight_next; at all other times there is no such schema.
    "search_path": "baylight_next, public",
    "jit": "off",
    # Batches look up rows by key. The planner, which does not know how few they are, would read whole tables at the
    # default, which is the price of a rotating disk.
    "random_page_cost": "1.1",
}

AWAY = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the connection ended while asyncpg was at work on it, or just before
    asyncpg.PostgresConnectionError,
    asyncpg.exceptions.OperatorInterventionError,
    asyncpg.exceptions.InsufficientResourcesError,  # connections, memory, disk
    asyncpg.exceptions.PostgresSystemError,  # its disk fails
    asyncpg.ReadOnlySQLTransactionError,  # a standby
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
)
"""What asyncpg raises while the database is away, restarting, full, read-only or does not let us in: the same work may
succeed later."""

RETRY = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError, asyncpg.LockNotAvailableError, *AWAY)
"""As AWAY, and the outcomes of a race that the next try will not meet."""


_BESIDE_V2 = "SELECT set_config('lock_timeout', '250ms', false) WHERE current_schema() = 'baylight_next'"
"""PostgreSQL ends one side of a deadlock after a second: beside a V2 application it must be ours, which tries again."""


def listed(values: Iterable[object]) -> str:
    """EUIs or ids (None: NULL) as the text of an array, for a parameter `$1::text::uuid[]`: of a list, asyncpg asks
    each element three times whether it is a list as well."""
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


async def update_all(connection: Connection, sql: str, rows: Sequence[object], *others: object) -> None:
    """Runs an UPDATE of as many rows as there are `rows`, its first argument. Raises RuntimeError if it finds fewer."""
    done = await connection.execute(sql, rows, *others)
    if done != f"UPDATE {len(rows)}":
        raise RuntimeError(f"{done} of {len(rows)} rows: {sql.strip().splitlines()[0]}")


async def open_pool(dsn: str, *, size: int = 10) -> Pool:
    """A pool of up to `size` connections. Raises TransientError `database_away` if the server cannot be reached."""
    try:
        return await asyncpg.create_pool(
            dsn, min_size=1, max_size=size, init=_begin, reset=_keep, server_settings=SESSION, command_timeout=60
        )
    except AWAY as error:
        raise TransientError("database_away", f"the database cannot be reached: {error}") from error


async def _begin(connection: Connection) -> None:
    await prepare(connection)
    await connection.execute(_BESIDE_V2)


async def _keep(_: Connection) -> None:
    """Nothing to undo: settings are made for a transaction alone. Saves a round trip for each use of a connection."""


_encode = msgspec.json.Encoder().encode
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def _microseconds(at: datetime) -> tuple[int]:
    since = at - _EPOCH
    return (since.days * 86_400_000_000 + since.seconds * 1_000_000 + since.microseconds,)


async def prepare(connection: Connection) -> None:
    """json and jsonb travel as Python values. timestamptz, never infinite here, needs half the time that asyncpg's
    own encoder takes."""
    await connection.set_type_codec(
        "timestamptz",
        schema="pg_catalog",
        encoder=_microseconds,
        decoder=lambda since: _EPOCH + since[0] * _MICROSECOND,
        format="tuple",
    )
    await connection.set_type_codec(
        "json",
        schema="pg_catalog",
        encoder=lambda value: _encode(value).decode(),
        decoder=msgspec.json.decode,
    )
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda value: b"\x01" + _encode(value),
        decoder=lambda raw: msgspec.json.decode(raw[1:]),
        format="binary",
    )
