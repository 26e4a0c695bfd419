"""Connections to PostgreSQL: their settings and codecs, and names for the errors that callers tell apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import asyncpg
import msgspec

from baylight.errors import InputError, TransientError
from baylight.store import beside

SESSION = {
    "application_name": "baylight",
    "timezone": "UTC",
    "search_path": beside.SEARCH_PATH,
    "jit": "off",
    # Batches look up rows by key. The planner, which does not know how few they are, would read whole tables at the
    # default, which is the price of a rotating disk.
    "random_page_cost": "1.1",
}

REFUSED = (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError)
"""The server refuses the user, or has no such database."""

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
    *REFUSED,
)
"""What asyncpg raises while the database is away, restarting, full, read-only or does not let us in: the same work may
succeed later."""

RETRY = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError, asyncpg.LockNotAvailableError, *AWAY)
"""As AWAY, and the outcomes of a race that the next try will not meet."""

BAD_VALUE = asyncpg.DataError
"""A value is out of range or has characters that cannot be stored."""
MISSING_SCHEMA = (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError)
FORBIDDEN = asyncpg.InsufficientPrivilegeError


async def connect(
    dsn: str, settings: Mapping[str, str] = SESSION, *, interactive: bool = False
) -> asyncpg.Connection[asyncpg.Record]:
    """Open a connection with our codecs.

    `interactive`: a person waits for it, 10 s at most, and has to correct a refused user or an unknown database.
    Raises as `reaching`.
    """
    mistakes = (ValueError, *REFUSED) if interactive else (ValueError,)
    with reaching(mistakes):
        connection = await asyncpg.connect(dsn, server_settings=dict(settings), timeout=10 if interactive else 60)
        await install_codecs(connection)
    return connection


@contextmanager
def reaching(mistakes: tuple[type[Exception], ...] = (ValueError,)) -> Iterator[None]:
    """Raises InputError `bad_database` for `mistakes`, TransientError `database_away` for the rest of AWAY.

    ValueError: the address cannot be read.
    """
    try:
        yield
    except mistakes as error:
        raise InputError("bad_database", f"BAYLIGHT_DATABASE_URL: {error}") from error
    except AWAY as error:
        raise database_away(f"the database cannot be reached: {str(error) or 'no answer'}") from error


def database_away(message: str) -> TransientError:
    return TransientError("database_away", message)


_encode = msgspec.json.Encoder().encode
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def _microseconds(at: datetime) -> tuple[int]:
    since = at - _EPOCH
    return (since.days * 86_400_000_000 + since.seconds * 1_000_000 + since.microseconds,)


async def install_codecs(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Let json and jsonb travel as Python values, and timestamptz in half the time of asyncpg's own codec.

    No timestamptz is infinite here.
    """
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
