"""The command on a fresh database."""

from __future__ import annotations

import pytest
from click.testing import Result
from typer.testing import CliRunner

from baylight.cli.main import app
from tests.support.cli import DISPLAY, SENSOR, Cli
from tests.support.servers import Database


@pytest.fixture
def cli(database: Database, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Return a function that runs a command on a fresh database and checks its exit code."""
    monkeypatch.setenv("BAYLIGHT_DATABASE_URL", database.dsn)

    def call(*words: str, code: int = 0) -> Result:
        result = CliRunner().invoke(app, list(words))
        assert result.exit_code == code, result.output
        return result

    call("db", "upgrade")
    return call


@pytest.fixture
def garage(cli: Cli) -> Cli:
    """Return `cli` on a database with one space, A-13, that has a sensor and a display."""
    cli("location", "add", "Garage/Floor 1")
    cli("device", "add", SENSOR.upper())
    cli("device", "add", DISPLAY, "--type", "kuando_busylight")
    cli("space", "add", "A-13", "--location", "Garage/Floor 1", "--sensor", SENSOR, "--display", DISPLAY)
    return cli
