"""Migrations of the schema: numbered SQL files, each applied once, in order."""

from __future__ import annotations

import asyncio
import hashlib
import random
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from importlib.resources.abc import Traversable

import asyncpg

from baylight.errors import InputError, TransientError
from baylight.store import beside
from baylight.store.connect import connect
from baylight.store.pool import Connection

_LOCK = 0x6261796C69676874  # "baylight"
_LOCK_TIMEOUT = "2s"
_TRIES = 30
_MAX_PAUSE_S = 5.0
_NO_TRANSACTION = "-- no-transaction"
_STATEMENT_PART = re.compile(
    r"""--[^\n]*|/\*.*?\*/|\b[eE]'(?:\\.|[^'\\])*'|'[^']*'|"[^"]*"|\$(\w*)\$.*?\$\1\$|(?P<end>;)|.""", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Migration:
    """A migration. `checksum`: SHA-256 of its file, or of the applied text if there is no such file."""

    name: str
    checksum: str
    applied_at: datetime | None


async def upgrade(target: str | Connection, *, directory: Traversable | None = None) -> list[str]:
    """Apply the pending migrations and return their names. Idempotent. If two run at once, one waits.

    Each file is one transaction, unless it begins with `-- no-transaction`. Such a file runs statement by statement. It
    must be repeatable, since it runs again from its start after a failure.
    Raises InputError for a changed or unknown migration, or one that stored rows refuse, `v2_database` for V2's own
    tables, and `wrong_account` for an account that does not own the tables; TransientError if a lock is not free in
    time or the database is away.
    """
    files = _files(directory)
    async with _connected(target) as connection, _alone(connection):
        if await connection.fetchval(beside.IS_V2):
            raise InputError(
                "v2_database",
                "this is a database of V2: Baylight's tables would get into V2's. Migrate it with `baylight v2`, "
                "and begin with `baylight v2 inspect`",
            )
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migrations ("
            "name text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT clock_timestamp())"
        )
        pending = [m.name for m in _compare(files, await _applied(connection)) if m.applied_at is None]
        if pending:
            await _check_owner(connection)
        for name in pending:
            await _apply(connection, name, files[name])
        return pending


async def _check_owner(connection: Connection) -> None:
    """Refuse a superuser that does not own the tables. What it makes would be its own, and run with its rights."""
    owner = await connection.fetchval(
        "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'schema_migrations'::regclass"
        " AND relowner <> (SELECT oid FROM pg_roles WHERE rolname = current_user)"
    )
    if owner is not None:
        raise InputError("wrong_account", f"the tables belong to {owner}: run it as {owner}", owner=owner)


async def status(target: str | Connection, *, directory: Traversable | None = None) -> list[Migration]:
    """Return all migrations, in order. Raises as `upgrade` does."""
    async with _connected(target) as connection:
        return _compare(_files(directory), await _applied(connection))


async def check(target: str | Connection, *, directory: Traversable | None = None) -> None:
    """Check that the schema is the one of this program. Raises InputError if it is not."""
    pending = [m.name for m in await status(target, directory=directory) if m.applied_at is None]
    if pending:
        raise InputError(
            "migrations_pending",
            f"migrations are pending: {', '.join(pending)}. Run `baylight db upgrade`",
            names=pending,
        )


def _files(directory: Traversable | None) -> dict[str, str]:
    """Return the text of each migration by its name (the file name without `.sql`), in order."""
    where = directory or resources.files("baylight") / "sql" / "migrations"
    found = sorted(f.name for f in where.iterdir() if f.name.endswith(".sql"))
    return {name.removesuffix(".sql"): (where / name).read_text(encoding="utf-8") for name in found}


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


async def _applied(connection: Connection) -> dict[str, asyncpg.Record]:
    if await connection.fetchval("SELECT to_regclass('schema_migrations')") is None:
        return {}
    rows = await connection.fetch("SELECT name, checksum, applied_at FROM schema_migrations ORDER BY name")
    return {row["name"]: row for row in rows}


def _compare(files: dict[str, str], applied: dict[str, asyncpg.Record]) -> list[Migration]:
    if unknown := sorted(applied.keys() - files.keys()):
        raise InputError(
            "migrations_unknown",
            f"the database has migrations that this program does not know: {', '.join(unknown)}. "
            "It was made by a newer version: run that one",
            names=unknown,
        )
    changed = [name for name, row in applied.items() if row["checksum"] != _checksum(files[name])]
    if changed:
        raise InputError(
            "migrations_changed",
            f"files of applied migrations were changed: {', '.join(changed)}. Restore them; a change needs a new file",
            names=changed,
        )
    return [
        Migration(name, _checksum(text), applied[name]["applied_at"] if name in applied else None)
        for name, text in files.items()
    ]


async def _apply(connection: Connection, name: str, text: str) -> None:
    """Apply one migration. Try again while other sessions hold locks.

    Other sessions queue behind one that waits for a lock, so each wait ends after `_LOCK_TIMEOUT`.
    """
    sql = beside.placed(text) if await connection.fetchval(beside.IS_BESIDE) else text
    for attempt in range(_TRIES):
        try:
            if text.startswith(_NO_TRANSACTION):
                await _run_outside_transaction(connection, sql)
                await _record(connection, name, text)
            else:
                async with connection.transaction():
                    await connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
                    await connection.execute(sql)
                    await _record(connection, name, text)
            return
        except asyncpg.CheckViolationError as error:  # raised by the file itself: a person must change rows first
            raise InputError("migration_refused", f"migration {name}: {error}", name=name) from error
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
            await asyncio.sleep(min(0.1 * 2**attempt, _MAX_PAUSE_S) * random.uniform(0.5, 1.0))
    raise TransientError("migration_locked", f"migration {name} could not get its locks in {_TRIES} tries", name=name)


async def _run_outside_transaction(connection: Connection, text: str) -> None:
    await connection.execute(f"SET lock_timeout = '{_LOCK_TIMEOUT}'")
    try:
        for statement in statements(text):
            await connection.execute(statement)
    finally:
        await connection.execute("RESET lock_timeout")


async def _record(connection: Connection, name: str, text: str) -> None:
    await connection.execute("INSERT INTO schema_migrations (name, checksum) VALUES ($1, $2)", name, _checksum(text))


def statements(text: str) -> list[str]:
    """Return the statements of a script. Semicolons in quotes, dollar quotes and comments do not end a statement."""
    found, start = [], 0
    for part in _STATEMENT_PART.finditer(text):
        if part["end"]:
            found.append(text[start : part.end()].strip())
            start = part.end()
    rest = text[start:]
    if re.sub(r"--[^\n]*|/\*.*?\*/", "", rest, flags=re.DOTALL).strip():
        found.append(rest.strip())
    return found


@asynccontextmanager
async def _connected(target: str | Connection) -> AsyncIterator[Connection]:
    if not isinstance(target, str):
        yield target
        return
    connection = await connect(target)
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def _alone(connection: Connection) -> AsyncIterator[None]:
    """Hold the advisory lock, and ask for it repeatedly until it is free.

    A session that waited for the lock inside PostgreSQL would hold a snapshot. CREATE INDEX CONCURRENTLY in the session
    that has the lock would wait for that snapshot for ever.
    """
    while True:
        if await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
            break
        await asyncio.sleep(random.uniform(0.05, 0.2))
    try:
        yield
    finally:
        if not connection.is_closed():
            await connection.execute("SELECT pg_advisory_unlock($1)", _LOCK)
