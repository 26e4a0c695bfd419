"""Databases with an owner that is no superuser, and a service user."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg

from baylight.access import service_users
from baylight.access.service_users import Kept
from baylight.inventory import device_types
from baylight.store import migrate
from baylight.store.connect import connect
from baylight.store.pool import Connection
from tests.support.change import by
from tests.support.servers import Database, Server

PASSWORD = "a password of a test"
KEPT = Kept(uplink_months=25, actuation_months=37)


@dataclass(frozen=True)
class Accounts:
    """Database, and the names of its owner and of a service user. `database`: its address as a superuser."""

    database: Database
    owner: str
    service: str

    @property
    def owner_dsn(self) -> str:
        return address_as(self.database.dsn, self.owner)

    @property
    def service_dsn(self) -> str:
        return address_as(self.database.dsn, self.service)


def address_as(dsn: str, name: str) -> str:
    """Return an address of a database with another account."""
    parts = urlsplit(dsn)
    host = parts.netloc.rpartition("@")[2]
    query = f"?{parts.query}" if parts.query else ""
    return f"postgresql://{name}:{PASSWORD.replace(' ', '%20')}@{host}{parts.path}{query}"


@asynccontextmanager
async def owned_database(server: Server, *, rights: str = "CREATEROLE") -> AsyncIterator[Accounts]:
    """Yield a migrated database whose owner has only `rights`, and the name of a service user yet to be made."""
    tag = uuid4().hex[:12]
    owner, service = f"owner_{tag}", f"service-{tag}"
    await server.execute(f"CREATE ROLE {owner} LOGIN {rights} PASSWORD '{PASSWORD}'")
    try:
        async with server.database(migrated=False) as database:
            name = urlsplit(database.dsn).path.lstrip("/")
            await server.execute(f"ALTER DATABASE {name} OWNER TO {owner}")
            accounts = Accounts(database, owner, service)
            await migrate.upgrade(accounts.owner_dsn)
            yield accounts
    finally:
        await server.execute(f'DROP ROLE IF EXISTS "{service}"')
        await server.execute(f"DROP ROLE {owner}")


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[Connection]:
    connection = await connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def served_database(server: Server) -> AsyncIterator[Accounts]:
    """Yield a database with the shipped catalogue and a service user."""
    async with owned_database(server) as accounts:
        async with connected(accounts.owner_dsn) as owner:
            await device_types.sync(owner)
            await service_users.set_service_user(by(owner), accounts.service, KEPT, password=PASSWORD)
        yield accounts


async def refused(connection: Connection, statement: str) -> bool:
    """Return whether PostgreSQL refuses a statement for lack of rights. It is rolled back."""
    try:
        async with connection.transaction():
            await connection.execute(statement)
            raise _DoneError
    except asyncpg.InsufficientPrivilegeError:
        return True
    except _DoneError:
        return False


class _DoneError(Exception):
    """End of a statement that was not refused."""
