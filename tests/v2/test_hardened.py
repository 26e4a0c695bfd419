"""What another account of the database cannot do to a Baylight, and what V2's own rows cannot."""

from __future__ import annotations

import secrets

import asyncpg
import pytest

from baylight.errors import InputError
from baylight.store.connect import connect
from baylight.store.pool import open_pool
from tests.support.servers import Database
from tests.support.v2 import V2Database, sensor


@pytest.mark.parametrize("schemas", [["baylight_next"], ["baylight_next", "v2_migration"]])
async def test_f6_tables_of_an_account_that_may_create_schemas_are_never_read(
    database: Database, schemas: list[str]
) -> None:
    intruder = f"intruder_{secrets.token_hex(4)}"
    admin = await asyncpg.connect(database.dsn)
    name = await admin.fetchval("SELECT current_database()")
    await admin.execute(f"CREATE ROLE {intruder}; GRANT CREATE ON DATABASE {name} TO {intruder}")
    try:
        await admin.execute(f"SET ROLE {intruder}")
        for schema in schemas:
            await admin.execute(f"CREATE SCHEMA {schema}; GRANT USAGE ON SCHEMA {schema} TO PUBLIC")
            await admin.execute(f"CREATE TABLE {schema}.api_keys (id int); CREATE TABLE {schema}.control (owner text)")
        await admin.execute("RESET ROLE")
        pool = await open_pool(database.dsn, size=1)
        connection = await connect(database.dsn)
        for session in (pool, connection):
            assert await session.fetchval("SELECT 'api_keys'::regclass = 'public.api_keys'::regclass")
            assert await session.fetchval("SELECT current_schemas(false)") == ["public"]
        await connection.close()
        await pool.close()
    finally:
        await admin.execute(f"DROP OWNED BY {intruder} CASCADE; DROP ROLE {intruder}")
        await admin.close()


async def test_f3_a_reservation_of_v2_with_too_big_metadata_is_quarantined_and_v2_goes_on(v2: V2Database) -> None:
    space = await v2.add("P1", sensor_eui=sensor(1))
    deep = '{"a":' * 256 + "1" + "}" * 256
    add = (
        "INSERT INTO reservations (space_id, start_time, end_time, metadata) VALUES "
        "($1, now() + make_interval(hours => $2), now() + make_interval(hours => $2, mins => 30), $3::text::jsonb) "
        "RETURNING id"
    )
    before = await v2.legacy.fetchval(add, space, 1, deep)
    small = await v2.legacy.fetchval(add, space, 2, "{}")
    await v2.apply("backfill")
    during = await v2.legacy.fetchval(add, space, 3, deep)
    carried = await v2.admin.fetch("SELECT id FROM baylight_next.reservations")
    refused = await v2.admin.fetch("SELECT source_id FROM v2_migration.quarantine WHERE source_table = 'reservations'")
    assert {row["id"] for row in carried} == {small}
    assert {row["source_id"] for row in refused} == {str(before), str(during)}


async def test_f5_a_name_of_a_function_or_table_is_a_name_and_never_runs_as_sql(v2: V2Database) -> None:
    evil = 'x"(); CREATE TABLE public.injected (); --'
    name = evil.replace('"', '""')
    body = "RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$"
    await v2.admin.execute(f'CREATE FUNCTION public."{name}"() {body}')
    await v2.admin.execute(
        f'CREATE TRIGGER "{name}" BEFORE UPDATE ON public.spaces FOR EACH ROW EXECUTE FUNCTION public."{name}"()'
    )
    space = await v2.add("P1", sensor_eui=sensor(1))
    await v2.apply("expand")
    await v2.admin.execute(f'CREATE FUNCTION baylight_next."ours {name}"() {body}')
    await v2.admin.execute(f'CREATE TABLE baylight_next."ours {name}" (id integer)')
    await v2.apply("contract")
    assert await v2.admin.fetchval("SELECT to_regclass('public.injected')") is None
    schema = "SELECT pronamespace::regnamespace::text FROM pg_proc WHERE proname = $1"
    assert await v2.admin.fetchval(schema, evil) == "v2_archive"
    assert await v2.admin.fetchval(schema, f"ours {evil}") == "public"
    await v2.rollback()
    assert await v2.admin.fetchval("SELECT to_regclass('public.injected')") is None
    assert await v2.admin.fetchval(schema, evil) == "public"
    assert await v2.admin.fetchval(schema, f"ours {evil}") == "baylight_next"
    assert (await v2.old(space))["code"] == "P1"


async def test_f5_a_superuser_that_does_not_own_v2s_tables_is_refused(v2: V2Database) -> None:
    await v2.admin.execute("ALTER TABLE public.reservations OWNER TO parking")
    with pytest.raises(InputError, match=r"superuser.*public\.reservations belongs to parking") as error:
        await v2.apply("expand")
    assert error.value.code == "wrong_account"
    assert await v2.admin.fetchval("SELECT to_regnamespace('v2_migration')") is None


@pytest.mark.parametrize("schema", ["v2_migration", "baylight_next", "v2_archive"])
async def test_f5_a_schema_of_another_account_is_refused(v2: V2Database, schema: str) -> None:
    await v2.admin.execute(f"CREATE SCHEMA {schema} AUTHORIZATION parking")
    with pytest.raises(InputError, match=f"the schema {schema} belongs to parking"):
        await v2.apply("expand")
