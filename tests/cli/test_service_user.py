"""`baylight db service-user`, and the commands that a service user runs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from uuid import uuid4

import pytest
from typer.testing import CliRunner

from baylight.cli.main import app
from tests.support.accounts import PASSWORD, address_as
from tests.support.cli import Cli, data
from tests.support.servers import Database, Server


@pytest.fixture
def name(server: Server) -> Iterator[str]:
    """Return the name of a service user. It is dropped after the database."""
    name = f"service_{uuid4().hex[:12]}"
    yield name
    asyncio.run(server.execute(f"DROP ROLE IF EXISTS {name}"))


@pytest.fixture
def serve_as(name: str, garage: Cli, database: Database, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make a service user and run further commands as this user; return its name."""
    result = CliRunner().invoke(app, ["db", "service-user", name], input=f"{PASSWORD}\n")
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    monkeypatch.setenv("BAYLIGHT_DATABASE_URL", address_as(database.dsn, name))
    return name


def account(garage: Cli) -> tuple[bool, str, str]:
    [found] = [f for f in data(garage("doctor", "--json", code=1)) if f["check"] == "database user"]
    return found["ok"], found["detail"], found["what_to_do"]


def test_point6_a_password_that_is_not_given_is_generated_and_shown_once(name: str, garage: Cli) -> None:
    made = garage("db", "service-user", name)
    assert len(made.stdout.strip()) == 32
    assert f"service user {name} created" in made.stderr
    assert "the last 25 months of uplinks and 37 months of actuations" in made.stderr
    again = garage("db", "service-user", name)
    assert (again.stdout, f"service user {name} updated; 0 rights changed" in again.stderr) == ("", True)
    assert len(garage("db", "service-user", name, "--password").stdout.strip()) == 32
    assert f"the service user {name} has the rights" in garage("db", "upgrade").stdout


def test_point6_a_bad_password_is_refused_and_nothing_is_made(name: str, garage: Cli) -> None:
    for password in ("short", "pässword123"):
        result = CliRunner().invoke(app, ["db", "service-user", name], input=f"{password}\n")
        assert (result.exit_code, "at least 8 characters" in result.stderr) == (2, True)
    assert "created" in garage("db", "service-user", name, "--no-password").stderr


def test_point6_a_service_user_runs_the_daily_commands(serve_as: str, garage: Cli) -> None:
    garage("space", "maintenance", "A-13", "on")
    garage("key", "add", "a reader")
    garage("reservation", "add", "A-13", "--for", "1h")
    garage("override", "set", "OCCUPIED", "A-13", "--for", "2h")
    garage("import", "-", "--kind", "spaces", code=2)
    garage("db", "check")
    assert "A-13" in garage("why", "A-13").stdout


def test_point6_the_owners_commands_say_what_to_do(serve_as: str, garage: Cli) -> None:
    for words in (["db", "upgrade"], ["db", "service-user", "another", "--no-password"]):
        refused = garage(*words, code=2).stderr
        assert f"needs the owner of the schema, baylight; BAYLIGHT_DATABASE_URL names {serve_as}" in refused
        assert refused.endswith("Run the command with the owner's address in BAYLIGHT_DATABASE_URL\n")


def test_point6_doctor_says_under_which_user_it_runs(name: str, garage: Cli, database: Database) -> None:
    ok, detail, what_to_do = account(garage)
    assert (ok, "is a superuser" in detail, "baylight db service-user <name>" in what_to_do) == (True, True, True)


def test_point6_doctor_says_what_a_service_user_cannot_do(serve_as: str, garage: Cli) -> None:
    ok, detail, what_to_do = account(garage)
    assert (ok, detail.startswith(f"{serve_as} is a service user: it cannot change the schema")) == (True, True)
    assert what_to_do == "for `baylight db upgrade` use the address of the owner, baylight"


def test_point6_doctor_names_rights_that_a_service_user_lacks_or_has_too_many(
    serve_as: str, garage: Cli, server: Server, database: Database
) -> None:
    there = Server(lambda _: database.dsn, "")
    asyncio.run(there.execute(f"GRANT DELETE ON audit_log TO {serve_as}"))
    ok, detail, what_to_do = account(garage)
    assert (ok, f"REVOKE DELETE ON audit_log FROM PUBLIC, {serve_as}" in detail) == (False, True)
    assert what_to_do == f"run `baylight db service-user {serve_as}` as the owner, baylight"
