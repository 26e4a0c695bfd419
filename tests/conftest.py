"""Real servers for tests: each worker starts its own, on sockets and ports that nobody else has."""

from __future__ import annotations

import asyncio
import gc
import json
import os
from collections.abc import AsyncIterator, Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
import structlog
import typer.main
import typer.testing

from baylight.inventory import device_types
from baylight.lab.embedded.broker import EmbeddedBroker, MosquittoBroker, find_mosquitto
from baylight.lab.embedded.postgres import EmbeddedPostgres
from baylight.store.pool import Connection, Pool, open_pool

pytest.register_assert_rewrite("tests.support")
typer.testing._get_command = cache(typer.main.get_command)  # else each call of a command makes all commands, in 50 ms

from tests.support.servers import DEBIAN_15, Database, Server, directory_of_postgres  # noqa: E402 - its asserts are rewritten first

VECTORS = Path(os.environ.get("BAYLIGHT_TEST_VECTORS", Path(__file__).resolve().parents[2] / "shared" / "vectors"))


GC_THRESHOLD = gc.get_threshold()


@pytest.fixture(autouse=True)
def _logs_as_they_come() -> None:
    """A command that ran in this process may have set another level; tests listen to the log.

    Tracebacks are plain: the values of all variables, as structlog shows them by default, take up to a minute.
    """
    structlog.reset_defaults()
    *others, _ = structlog.get_config()["processors"]
    renderer = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*others, renderer])


@pytest.fixture(autouse=True)
def _collector_as_it_was() -> Iterator[None]:
    """A program that ran in this process has frozen what there was, so that it would never be collected."""
    yield
    gc.unfreeze()
    gc.set_threshold(*GC_THRESHOLD)


def _other_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def _embedded_server(binaries: Path | None) -> Iterator[Server]:
    postgres = EmbeddedPostgres(directory_of_postgres(), binaries=binaries, durable=False)
    try:
        asyncio.run(postgres.start())
        yield Server(postgres.dsn, "postgres")
    finally:
        asyncio.run(postgres.stop())
        postgres.delete()


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """The worker's server: embedded, or that of BAYLIGHT_TEST_DATABASE_URL, whose user must be a superuser."""
    url = os.environ.get("BAYLIGHT_TEST_DATABASE_URL")
    if url is None:
        yield from _embedded_server(None)
        return
    given = Server(lambda name: _other_database(url, name), urlsplit(url).path.lstrip("/") or "postgres")
    yield given
    asyncio.run(given.close())


@pytest.fixture(scope="session")
def debian_15_server() -> Iterator[Server]:
    if not DEBIAN_15.is_dir():
        pytest.skip("PostgreSQL 15 is not installed: apt-get install postgresql-15")
    yield from _embedded_server(DEBIAN_15)


@pytest.fixture(params=["default", "debian_15"])
def any_server(request: pytest.FixtureRequest) -> Server:
    """Each PostgreSQL at hand: the oldest and the newest version that Baylight promises to run on."""
    name = "server" if request.param == "default" else "debian_15_server"
    return request.getfixturevalue(name)


@pytest.fixture
async def database(server: Server) -> AsyncIterator[Database]:
    """A migrated, empty database."""
    async with server.database() as database:
        yield database


@pytest.fixture
async def any_database(any_server: Server) -> AsyncIterator[Database]:
    """As `database`, on each PostgreSQL at hand."""
    async with any_server.database() as database:
        yield database


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:
    pool = await open_pool(database.dsn)
    yield pool
    await asyncio.wait_for(pool.close(), 10)


@pytest.fixture
async def db(pool: Pool) -> AsyncIterator[Connection]:
    """A connection to a database with the shipped catalogue."""
    async with pool.acquire() as connection:
        await device_types.sync(connection)
        yield connection


@pytest.fixture
async def any_pool(any_database: Database) -> AsyncIterator[Pool]:
    pool = await open_pool(any_database.dsn)
    yield pool
    await asyncio.wait_for(pool.close(), 10)


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    broker = EmbeddedBroker()
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[MosquittoBroker]:
    if find_mosquitto() is None:
        pytest.skip("Mosquitto is not installed: apt-get install mosquitto")
    broker = MosquittoBroker(tmp_path / "mosquitto")
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture(params=["broker", "mosquitto"])
def any_broker(request: pytest.FixtureRequest) -> EmbeddedBroker | MosquittoBroker:
    return request.getfixturevalue(request.param)


@pytest.fixture
def shared_vectors() -> Callable[[str], list[dict[str, Any]]]:
    """Test vectors that lie beside the repository, one JSON object per line."""

    def load(name: str) -> list[dict[str, Any]]:
        path = VECTORS / name
        if not path.exists():
            pytest.skip(f"no shared test vectors {name} beside the repository")
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]

    return load
