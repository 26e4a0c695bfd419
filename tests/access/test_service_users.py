"""Service users: what they may do, what PostgreSQL refuses them, and how the owner makes them."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from baylight.access import service_users
from baylight.access.service_users import RIGHTS, Kept
from baylight.errors import InputError
from baylight.store import migrate
from baylight.store.pool import Connection
from tests.store.test_queries import copies, statements
from tests.support.accounts import KEPT, PASSWORD, Accounts, connected, owned_database, refused, served_database
from tests.support.change import by
from tests.support.servers import Server

HISTORY = {
    "audit_log": "actor",
    "actuation_events": "detail",
    "state_changes": "reason",
    "uplinks": "outcome",
}
"""A column of each table of history."""
OWNERS_QUERIES = ("v2.", "access.service_users.keep", "access.service_users.put_account")
NOW = datetime.now(UTC)


@pytest.fixture
async def accounts(server: Server) -> AsyncIterator[Accounts]:
    async with served_database(server) as accounts:
        yield accounts


@pytest.fixture
async def owner(accounts: Accounts) -> AsyncIterator[Connection]:
    async with connected(accounts.owner_dsn) as connection:
        yield connection


@pytest.fixture
async def service(accounts: Accounts) -> AsyncIterator[Connection]:
    async with connected(accounts.service_dsn) as connection:
        yield connection


async def partitions(connection: Connection) -> list[str]:
    rows = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r' ORDER BY relname"
    )
    return [row["relname"] for row in rows]


async def add_uplink(connection: Connection, at: datetime, outcome: str, dev_eui: str = "00000000000000aa") -> None:
    await connection.execute(
        "INSERT INTO uplinks (observed_at, received_at, deduplication_id, dev_eui, outcome, data) "
        "VALUES ($1, $1, gen_random_uuid(), $2, $3, '')",
        at, dev_eui, outcome,
    )  # fmt: skip


async def test_point6_each_table_and_view_has_its_rights(owner: Connection) -> None:
    rows = await owner.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v') "
        "AND (NOT relispartition OR relname LIKE '%\\_default')"
    )
    assert {row["relname"] for row in rows} == RIGHTS.keys()


async def test_point6_each_query_of_the_service_is_allowed(accounts: Accounts, service: Connection) -> None:
    """EXPLAIN checks the rights of a statement and does not run it."""
    wrong = []
    for name, statement in statements().items():
        if not name.startswith(OWNERS_QUERIES) and await refused(service, f"EXPLAIN (GENERIC_PLAN) {statement.sql}"):
            wrong.append(name)
    for table in copies():
        if not await service.fetchval("SELECT has_table_privilege($1, 'INSERT')", table):
            wrong.append(table)
    assert wrong == []


async def test_point6_history_can_only_be_added_to(owner: Connection, service: Connection) -> None:
    late = NOW + timedelta(days=300)
    assert await service.fetchval("SELECT service_ensure_partition('uplinks', $1)", late)
    assert await service.fetchval("SELECT service_ensure_partition('actuations', $1)", late)
    parts = await partitions(owner)
    assert f"uplinks_y{late:%Ym%m}" in parts
    allowed = []
    for table, column in HISTORY.items():
        for statement in (
            f"UPDATE {table} SET {column} = {column}",
            f"UPDATE {table} SET {column} = {column} WHERE false",
            f"DELETE FROM {table}",
            f"TRUNCATE {table}",
            f"SELECT FROM {table} FOR UPDATE",
            f"DROP TABLE {table}",
            f"ALTER TABLE {table} DISABLE TRIGGER ALL",
            f"ALTER TABLE {table} ADD COLUMN more integer",
            f"CREATE RULE r AS ON DELETE TO {table} DO INSTEAD NOTHING",
            f"CREATE TRIGGER t BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION set_updated_at()",
        ):
            allowed += [] if await refused(service, statement) else [statement]
    for part in parts:
        table, column = ("uplinks", "outcome") if part.startswith("uplinks") else ("actuations", "status")
        for statement in (
            f"UPDATE {part} SET {column} = {column}",
            f"DELETE FROM {part}",
            f"TRUNCATE {part}",
            f"INSERT INTO {part} DEFAULT VALUES",
            f"DROP TABLE {part}",
            f"ALTER TABLE {table} DETACH PARTITION {part}",
        ):
            allowed += [] if await refused(service, statement) else [statement]
    assert allowed == []


async def test_point6_the_service_user_cannot_change_the_schema_or_become_another_account(
    accounts: Accounts, service: Connection
) -> None:
    allowed = [
        statement
        for statement in (
            "CREATE TABLE more (x integer)",
            "CREATE SCHEMA more",
            "CREATE FUNCTION more() RETURNS integer LANGUAGE sql RETURN 1",
            "CREATE EXTENSION pg_trgm",
            "CREATE ROLE more",
            "DROP FUNCTION service_drop_partitions(text, timestamptz)",
            "ALTER FUNCTION service_delete_uplinks(text[]) RESET search_path",
            "DROP VIEW displays_behind_gateways",
            "SELECT ensure_partition('uplinks', now() + interval '5 years')",
            "DELETE FROM schema_migrations",
            "UPDATE installation SET min_uplink_months = 1",
            "UPDATE device_lifecycle_events SET actor = actor",
            "DELETE FROM device_lifecycle_events",
            "DELETE FROM sensor_devices",
            "TRUNCATE spaces CASCADE",
            "SELECT FROM metadata_set_aside",
            "SET session_replication_role = replica",
            f"SET ROLE {accounts.owner}",
            f"ALTER ROLE {accounts.owner} PASSWORD 'x'",
            f'GRANT {accounts.owner} TO "{accounts.service}"',
            f'GRANT DELETE ON uplinks TO "{accounts.service}"',
            "COPY uplinks TO PROGRAM 'cat'",
        )
        if not await refused(service, statement)
        # GRANT without any right to grant only warns.
        and not (statement.startswith("GRANT DELETE") and await refused(service, "DELETE FROM uplinks"))
    ]
    assert allowed == []


async def test_point6_partitions_are_made_and_dropped_only_within_bounds(
    owner: Connection, service: Connection
) -> None:
    for at in (NOW + timedelta(days=500), NOW - timedelta(days=12 * 365)):
        assert not await service.fetchval("SELECT service_ensure_partition('uplinks', $1)", at)
    for at in (NOW - timedelta(days=24 * 30), NOW - timedelta(days=38 * 31)):
        await owner.execute("SELECT ensure_partition('uplinks', $1), ensure_partition('actuations', $1)", at)
    before = await partitions(owner)
    dropped = []
    for parent in ("uplinks", "actuations"):
        rows = await service.fetch("SELECT service_drop_partitions($1, $2) AS name", parent, NOW + timedelta(days=9999))
        dropped += [row["name"] for row in rows]
    old = f"{NOW - timedelta(days=38 * 31):%Ym%m}"
    assert dropped == [f"uplinks_y{old}", f"actuations_y{old}"]
    assert sorted(dropped + await partitions(owner)) == before
    with pytest.raises(asyncpg.UndefinedTableError):
        await service.execute("SELECT service_drop_partitions('spaces', now())")


async def test_point6_steps_and_uplinks_are_deleted_only_within_bounds(owner: Connection, service: Connection) -> None:
    for days in (38 * 31, 36 * 30):
        at = NOW - timedelta(days=days)
        await service.execute(
            "INSERT INTO actuation_events (at, received_at, dev_eui, kind) VALUES ($1, $1, 'aa', 'log')", at
        )
    assert len(await service.fetch("SELECT service_delete_steps($1, 100)", NOW + timedelta(days=9999))) == 1
    assert await owner.fetchval("SELECT count(*) FROM actuation_events") == 1
    await service.execute(
        "INSERT INTO sensor_devices (dev_eui, device_type) VALUES (repeat('b', 16), 'browan_tbms100')"
    )
    for days, outcome, dev_eui in (
        (29, "unknown_device", "a" * 16),
        (27, "unknown_device", "a" * 16),
        (29, "unchanged", "a" * 16),
        (29, "unknown_device", "b" * 16),
    ):
        await add_uplink(service, NOW - timedelta(days=days), outcome, dev_eui)
    assert await service.fetchval("SELECT service_delete_uplinks($1)", ["a" * 16, "b" * 16]) == 1
    assert await owner.fetchval("SELECT count(*) FROM uplinks") == 3


async def test_point6_an_uplink_is_decoded_once_and_a_step_matched_once(owner: Connection, service: Connection) -> None:
    for outcome in ("to_decode", "unchanged"):
        await add_uplink(service, NOW, outcome)
    write = (
        "SELECT count(*) FROM uplinks "
        "WHERE service_write_decoded(observed_at, deduplication_id, 'state_changed', '{}', 'FREE', NULL)"
    )
    assert [await service.fetchval(write) for _ in range(2)] == [1, 0]
    rows = await owner.fetch("SELECT outcome, occupancy FROM uplinks ORDER BY outcome")
    assert [tuple(row) for row in rows] == [("state_changed", "FREE"), ("unchanged", None)]
    await service.execute(
        "INSERT INTO actuation_events (at, dev_eui, kind, downlink_queue_id) VALUES (now(), 'aa', 'tx_ack', 'q')"
    )
    match = "SELECT service_match_events('{q}', ARRAY[gen_random_uuid()])"
    assert [await service.fetchval(match) for _ in range(2)] == [1, 0]


async def test_point6_rights_are_renewed_and_those_too_many_are_revoked(
    accounts: Accounts, owner: Connection, service: Connection
) -> None:
    assert await service_users.renew(owner) == [accounts.service]
    assert await service_users.find_differences(owner, accounts.service) == []
    await owner.execute(f'REVOKE SELECT ON spaces FROM "{accounts.service}"')
    await owner.execute(f'GRANT UPDATE (outcome) ON uplinks TO "{accounts.service}"')
    await owner.execute("GRANT DELETE ON audit_log TO PUBLIC")
    await owner.execute("GRANT CREATE ON SCHEMA public TO PUBLIC")
    assert len(await service_users.find_differences(owner, accounts.service)) == 4
    assert await service_users.renew(owner) == [accounts.service]
    assert await service_users.find_differences(owner, accounts.service) == []
    assert await service.fetch("SELECT FROM spaces") == []
    assert await refused(service, "UPDATE uplinks SET outcome = outcome")
    again = await service_users.set_service_user(by(owner), accounts.service, Kept(2, 3))
    assert (again.created, again.changed) == (False, 0)
    assert await service_users.get_kept(service) == (2, 3)
    assert await owner.fetchval("SELECT object_id FROM audit_log ORDER BY id DESC LIMIT 1") == accounts.service


async def test_point6_an_account_that_may_do_more_is_refused(
    server: Server, accounts: Accounts, owner: Connection
) -> None:
    async def code(name: str) -> str:
        with pytest.raises(InputError) as caught:
            await service_users.set_service_user(by(owner), name, KEPT)
        return caught.value.code

    assert await code(accounts.owner) == "too_mighty"
    assert await code("pg_monitor") == "too_mighty"
    assert [await code(name) for name in ("public", "pg_mine", "", "x" * 64)] == ["bad_name"] * 4
    await server.execute(f'GRANT pg_read_all_data TO "{accounts.service}"')
    with pytest.raises(InputError, match="member of other accounts"):
        await service_users.renew(owner)
    await server.execute(f'REVOKE pg_read_all_data FROM "{accounts.service}"')
    await server.execute(f'ALTER ROLE "{accounts.service}" SUPERUSER')
    with pytest.raises(InputError, match="superuser"):
        await service_users.renew(owner)


async def test_point6_only_the_owner_makes_service_users(accounts: Accounts, service: Connection) -> None:
    with pytest.raises(InputError, match=accounts.owner) as caught:
        await service_users.set_service_user(by(service), "another", KEPT)
    assert caught.value.code == "owner_needed"


async def test_point6_functions_of_another_account_are_refused(accounts: Accounts, owner: Connection) -> None:
    """They would run with its rights."""
    async with connected(accounts.database.dsn) as superuser:
        await superuser.execute("ALTER FUNCTION service_delete_uplinks OWNER TO CURRENT_USER")
    with pytest.raises(
        InputError, match=rf"ALTER FUNCTION service_delete_uplinks\(text\[\]\) OWNER TO {accounts.owner}"
    ):
        await service_users.set_service_user(by(owner), accounts.service, KEPT)


async def test_point6_an_owner_that_may_not_create_users_gets_what_to_do(any_server: Server) -> None:
    server = any_server
    async with owned_database(server, rights="") as accounts, connected(accounts.owner_dsn) as owner:
        with pytest.raises(InputError, match=f"createuser --pwprompt {accounts.service}"):
            await service_users.set_service_user(by(owner), accounts.service, KEPT, password=PASSWORD)
        await server.execute(f"CREATE ROLE \"{accounts.service}\" LOGIN PASSWORD '{PASSWORD}'")
        made = await service_users.set_service_user(by(owner), accounts.service, KEPT)
        assert not made.created
        async with connected(accounts.service_dsn) as service:
            await migrate.check(service)
            assert await refused(service, "DELETE FROM audit_log")


async def test_point6_postgresql_stores_the_same_verifier_for_the_password(server: Server, accounts: Accounts) -> None:
    async with connected(accounts.database.dsn) as superuser:
        await superuser.execute("SET password_encryption = 'scram-sha-256'")
        await superuser.execute(f"ALTER ROLE \"{accounts.service}\" PASSWORD '{PASSWORD}'")
        stored = await superuser.fetchval("SELECT rolpassword FROM pg_authid WHERE rolname = $1", accounts.service)
    salt = base64.b64decode(stored.split(":")[1].split("$")[0])
    assert service_users.scram_verifier(PASSWORD, salt) == stored
