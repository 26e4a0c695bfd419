"""Migrations on an empty database, twice, two at once, changed, locked, and outside a transaction."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from baylight.errors import InputError
from baylight.store import migrate
from tests.support.eventually import until
from tests.support.servers import Database, Server


@pytest.fixture
async def empty(any_server: Server) -> AsyncIterator[Database]:
    async with any_server.database(migrated=False) as database:
        yield database


@pytest.fixture
async def connection(empty: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(empty.dsn)
    yield connection
    await connection.close()


def write(directory: Path, **files: str) -> Path:
    for name, text in files.items():
        (directory / f"{name}.sql").write_text(text)
    return directory


async def test_b17_every_file_runs_on_an_empty_database_and_a_second_run_does_nothing(empty: Database) -> None:
    names = await migrate.upgrade(empty.dsn)
    assert names[:2] == ["0001_foundation", "0002_devices_and_spaces"]
    assert names == sorted(names)
    before = await migrate.status(empty.dsn)
    assert await migrate.upgrade(empty.dsn) == []
    assert await migrate.status(empty.dsn) == before
    assert [m.name for m in before if m.applied_at] == names
    await migrate.check(empty.dsn)


async def test_status_of_an_untouched_database_is_all_pending_and_writes_nothing(
    empty: Database, connection: asyncpg.Connection
) -> None:
    assert {m.applied_at for m in await migrate.status(empty.dsn)} == {None}
    assert await connection.fetchval("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace") == 0


async def test_of_two_upgrades_at_once_one_applies_and_one_waits(empty: Database) -> None:
    first, second = await asyncio.gather(migrate.upgrade(empty.dsn), migrate.upgrade(empty.dsn))
    assert sorted([len(first), len(second)]) == [0, len(await migrate.status(empty.dsn))]
    await migrate.check(empty.dsn)


async def test_migrations_need_no_superuser_and_no_extension_except_btree_gist(
    any_server: Server, connection: asyncpg.Connection
) -> None:
    database = await connection.fetchval("SELECT current_database()")
    role = f"owner_of_{database}"
    await connection.execute(f"CREATE ROLE {role}")
    try:
        await connection.execute(f"ALTER DATABASE {database} OWNER TO {role}")
        await connection.execute(f"SET SESSION AUTHORIZATION {role}")
        assert await migrate.upgrade(connection)
        await connection.execute("RESET SESSION AUTHORIZATION")
        extensions = await connection.fetch("SELECT extname FROM pg_extension ORDER BY extname")
        assert [row["extname"] for row in extensions] == ["btree_gist", "plpgsql"]
    finally:
        await connection.execute("RESET SESSION AUTHORIZATION")
        await connection.execute(f"REASSIGN OWNED BY {role} TO CURRENT_USER")
        await connection.execute(f"DROP OWNED BY {role}")
        await connection.execute(f"DROP ROLE {role}")


async def test_f6_a_superuser_that_does_not_own_the_tables_is_refused(
    connection: asyncpg.Connection, tmp_path: Path
) -> None:
    """What it made would be its own, and functions would run with its rights."""
    role = f"owner_of_{await connection.fetchval('SELECT current_database()')}"
    await connection.execute(f"CREATE ROLE {role}; GRANT CREATE, USAGE ON SCHEMA public TO {role}")
    try:
        await connection.execute(f"SET SESSION AUTHORIZATION {role}")
        await migrate.upgrade(connection, directory=write(tmp_path, m1="CREATE TABLE a (x int)"))
        await connection.execute("RESET SESSION AUTHORIZATION")
        assert await migrate.upgrade(connection, directory=tmp_path) == []
        write(tmp_path, m2="CREATE FUNCTION f() RETURNS integer SECURITY DEFINER RETURN 1")
        with pytest.raises(InputError, match=f"the tables belong to {role}: run it as {role}") as error:
            await migrate.upgrade(connection, directory=tmp_path)
        assert error.value.code == "wrong_account"
        assert await connection.fetchval("SELECT to_regproc('f')") is None
        await connection.execute(f"SET SESSION AUTHORIZATION {role}")
        assert await migrate.upgrade(connection, directory=tmp_path) == ["m2"]
    finally:
        await connection.execute("RESET SESSION AUTHORIZATION")
        await connection.execute(f"DROP OWNED BY {role}")
        await connection.execute(f"DROP ROLE {role}")


async def test_pending_migrations_fail_the_check_by_name(empty: Database, tmp_path: Path) -> None:
    write(tmp_path, m1="CREATE TABLE a (x int)")
    await migrate.upgrade(empty.dsn, directory=tmp_path)
    write(tmp_path, m2="CREATE TABLE b (x int)")
    with pytest.raises(InputError, match="m2") as caught:
        await migrate.check(empty.dsn, directory=tmp_path)
    assert caught.value.code == "migrations_pending"
    assert await migrate.upgrade(empty.dsn, directory=tmp_path) == ["m2"]


async def test_a_changed_file_is_refused_and_nothing_is_applied(
    empty: Database, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    await migrate.upgrade(empty.dsn, directory=write(tmp_path, m1="CREATE TABLE a (x int)"))
    write(tmp_path, m1="CREATE TABLE a (x bigint)", m2="CREATE TABLE b (x int)")
    for refused in (migrate.upgrade, migrate.status, migrate.check):
        with pytest.raises(InputError, match="m1") as caught:
            await refused(empty.dsn, directory=tmp_path)
        assert caught.value.code == "migrations_changed"
    assert await connection.fetchval("SELECT to_regclass('b')") is None


async def test_a_database_of_a_newer_version_is_refused(empty: Database, tmp_path: Path) -> None:
    write(tmp_path, m1="CREATE TABLE a (x int)", m2="CREATE TABLE b (x int)")
    await migrate.upgrade(empty.dsn, directory=tmp_path)
    (tmp_path / "m2.sql").unlink()
    with pytest.raises(InputError, match="m2") as caught:
        await migrate.upgrade(empty.dsn, directory=tmp_path)
    assert caught.value.code == "migrations_unknown"


async def test_a_file_that_fails_changes_nothing(
    empty: Database, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    write(tmp_path, m1="CREATE TABLE a (x int)", m2="CREATE TABLE b (x int); SELECT 1 / 0")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate.upgrade(empty.dsn, directory=tmp_path)
    assert await connection.fetchval("SELECT to_regclass('a')") is not None
    assert await connection.fetchval("SELECT to_regclass('b')") is None
    write(tmp_path, m2="CREATE TABLE b (x int)")
    assert await migrate.upgrade(empty.dsn, directory=tmp_path) == ["m2"]


async def test_a_migration_that_waits_too_long_for_a_lock_is_tried_again(
    empty: Database, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    await migrate.upgrade(empty.dsn, directory=write(tmp_path, m1="CREATE TABLE a (x int)"))
    write(tmp_path, m2="ALTER TABLE a ADD COLUMN y int")
    holder = await asyncpg.connect(empty.dsn)
    try:
        held = holder.transaction()
        await held.start()
        await holder.execute("LOCK TABLE a IN ACCESS SHARE MODE")
        upgrade = asyncio.create_task(migrate.upgrade(empty.dsn, directory=tmp_path))
        tries: set[object] = set()

        async def tried_twice() -> bool:
            rows = await connection.fetch(
                "SELECT xact_start FROM pg_stat_activity "
                "WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE 'ALTER%'"
            )
            tries.update(row["xact_start"] for row in rows)
            return len(tries) >= 2

        await until(tried_twice, every_s=0.05)
        await held.rollback()
        assert await upgrade == ["m2"]
    finally:
        await holder.close()


async def test_concurrent_index_is_built_outside_a_transaction_while_another_upgrade_waits(
    empty: Database, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    write(
        tmp_path,
        m1="CREATE TABLE a (x int)",
        m2="-- no-transaction\nDROP INDEX CONCURRENTLY IF EXISTS a_x; -- of a try that failed\n"
        "CREATE INDEX CONCURRENTLY a_x ON a (x);",
    )
    async with asyncio.timeout(20):
        both = await asyncio.gather(*(migrate.upgrade(empty.dsn, directory=tmp_path) for _ in range(2)))
    assert sorted(both, key=len) == [[], ["m1", "m2"]]
    assert await connection.fetchval("SELECT indisvalid FROM pg_index WHERE indexrelid = 'a_x'::regclass")


def test_semicolons_in_quotes_and_comments_do_not_end_a_statement() -> None:
    parts = [
        "-- one; two\nCREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELECT 1; $$;",
        "DO $body$ BEGIN PERFORM ';$$'; END $body$;",
        "INSERT INTO t VALUES ('a;''b;', E'it\\'s;', \"c;d\" /* e; */);",
        "SELECT 1",
    ]
    assert migrate.statements("\n".join(parts) + "\n-- the end;\n") == [*parts[:3], "SELECT 1\n-- the end;"]
    assert migrate.statements("SELECT 1;\n-- nothing more;\n") == ["SELECT 1;"]
