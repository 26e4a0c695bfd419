"""Database servers of tests."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import asyncpg

from baylight.store import migrate

DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")
MEMORY = Path("/dev/shm")
MEMORY_BYTES = 4 * 1024**3
"""Free memory from which on databases lie there: a new one takes 25 ms, and on a disk up to 600 ms."""


def directory_of_postgres() -> Path:
    """Create a directory for a server, in memory where there is room.

    It is not below pytest's own directory: that is closed to the account that PostgreSQL runs under if root runs us.
    """
    in_memory = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= MEMORY_BYTES
    directory = Path(tempfile.mkdtemp(prefix="bl-test-", dir=MEMORY if in_memory else None))
    directory.chmod(0o711)
    return directory


@dataclass(frozen=True)
class Database:
    dsn: str


class Server:
    """Server that makes databases: copies of a template that was migrated once, or empty ones."""

    def __init__(self, dsn_of: Callable[[str], str], admin: str) -> None:
        self.dsn_of = dsn_of
        self.admin = admin
        self._template: str | None = None

    async def execute(self, sql: str) -> None:
        connection = await asyncpg.connect(self.dsn_of(self.admin))
        try:
            await connection.execute(sql)
        finally:
            await connection.close()

    async def create(self, *, migrated: bool = True, of: str | None = None) -> str:
        """Make a database; return its name. `of`: name of the database that it is a copy of."""
        name = f"baylight_test_{uuid4().hex}"
        template = of or (await self.template() if migrated else "template0")
        await self.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        return name

    async def template(self) -> str:
        if self._template is None:
            name = await self.create(migrated=False)
            await migrate.upgrade(self.dsn_of(name))
            self._template = name
        return self._template

    async def drop(self, name: str) -> None:
        await self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    async def close(self) -> None:
        if self._template is not None:
            await self.drop(self._template)

    @asynccontextmanager
    async def database(self, *, migrated: bool = True, of: str | None = None) -> AsyncIterator[Database]:
        name = await self.create(migrated=migrated, of=of)
        try:
            yield Database(self.dsn_of(name))
        finally:
            await self.drop(name)
