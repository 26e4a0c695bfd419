"""The command on a fresh database. What the databases of many tests begin with is made once for each worker."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest
from click.testing import Result
from typer.testing import CliRunner

from baylight.cli.main import app
from tests.support.cli import DISPLAY, SENSOR, Cli
from tests.support.servers import Database, Server


def _call(*words: str, code: int = 0, **environment: str) -> Result:
    result = CliRunner().invoke(app, list(words), env=environment)
    assert result.exit_code == code, result.output
    return result


@contextmanager
def _copy(server: Server, of: str | None = None) -> Iterator[str]:
    """Yield the name of a copy of a database; drop it at the end."""
    name = asyncio.run(server.create(of=of))
    try:
        yield name
    finally:
        asyncio.run(server.drop(name))


@pytest.fixture(scope="session")
def upgraded(server: Server) -> Iterator[str]:
    """Yield the name of a database after `baylight db upgrade`."""
    with _copy(server) as name:
        _call("db", "upgrade", BAYLIGHT_DATABASE_URL=server.dsn_of(name))
        yield name


@pytest.fixture(scope="session")
def with_garage(server: Server, upgraded: str) -> Iterator[str]:
    """Yield the name of a database with one space, A-13, that has a sensor and a display."""
    with _copy(server, upgraded) as name:
        call = partial(_call, BAYLIGHT_DATABASE_URL=server.dsn_of(name))
        call("location", "add", "Garage/Floor 1")
        call("device", "add", SENSOR.upper())
        call("device", "add", DISPLAY, "--type", "kuando_busylight")
        call("space", "add", "A-13", "--location", "Garage/Floor 1", "--sensor", SENSOR, "--display", DISPLAY)
        yield name


@pytest.fixture
def database(server: Server, request: pytest.FixtureRequest) -> Iterator[Database]:
    """Yield a copy of the database with the garage if the test asks for that, else of the upgraded one."""
    template = "with_garage" if "garage" in request.fixturenames else "upgraded"
    with _copy(server, request.getfixturevalue(template)) as name:
        yield Database(server.dsn_of(name))


@pytest.fixture
def cli(database: Database, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Return a function that runs a command on a fresh database and checks its exit code."""
    monkeypatch.setenv("BAYLIGHT_DATABASE_URL", database.dsn)
    return _call


@pytest.fixture
def garage(cli: Cli) -> Cli:
    """Return `cli` on a database with one space, A-13, that has a sensor and a display."""
    return cli
