"""What would fail weeks later is found before the first step, on a copy that V2 does not feel."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import asyncpg
import pytest

from baylight.errors import InputError, TransientError
from baylight.v2.inspection import findings
from baylight.v2.inspection.finding import Finding
from baylight.v2.inspection.rehearsal import rehearse
from baylight.v2.session import connected
from tests.support.v2 import CHOICES, V2Database, make_dirty

LOCKS = """
SELECT DISTINCT c.relname, l.mode FROM pg_locks AS l INNER JOIN pg_class AS c ON c.oid = l.relation
WHERE l.pid = pg_backend_pid() AND c.relnamespace = 'public'::regnamespace AND l.mode <> 'AccessShareLock'
"""
BODY = "RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.updated_at = now(); RETURN NEW; END'"


async def found(v2: V2Database, kind: str) -> Finding | None:
    report = await findings.inspect(v2.admin, CHOICES)
    return next((f for f in report.findings if f.kind == kind), None)


async def refused(v2: V2Database, kind: str) -> str:
    """The sentence with which `apply` refuses to begin, after `inspect` has shown it."""
    finding = await found(v2, kind)
    assert finding is not None
    assert finding.blocks, finding
    with pytest.raises(InputError) as error:
        await v2.apply("expand")
    assert error.value.code == "blocked"
    assert await v2.admin.fetchval("SELECT to_regnamespace('v2_migration')") is None
    return error.value.message


async def test_h8_all_stages_and_their_undo_are_rehearsed_and_v2_does_not_feel_it(any_v2: V2Database) -> None:
    await make_dirty(any_v2)
    await any_v2.admin.execute(
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN RAISE EXCEPTION ''a trigger of the customer ran''; END';"
        " CREATE TRIGGER note BEFORE UPDATE ON spaces FOR EACH ROW EXECUTE FUNCTION note()"
    )
    writer = await asyncpg.connect(any_v2.dsn)
    async with writer.transaction():
        await writer.execute("LOCK TABLE spaces IN SHARE ROW EXCLUSIVE MODE")  # anything but a reader would wait
        before = await any_v2.admin.fetchval("SELECT last_value FROM state_changes_id_seq")
        async with connected(any_v2.dsn) as connection, connection.transaction():
            result = await rehearse(connection, CHOICES)
            assert await connection.fetch(LOCKS) == []
        assert result.failure is None
        assert {name.name for name in result.names} >= {"locations", "spaces_location", "device_types"}
    await writer.close()
    assert await any_v2.admin.fetchval("SELECT last_value FROM state_changes_id_seq") == before
    assert await any_v2.admin.fetchval("SELECT count(*) FROM pg_namespace WHERE nspname ~ '^v2_'") == 0


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("CREATE FUNCTION set_updated_at() " + BODY, "set_updated_at()"),
        ("CREATE FUNCTION sync_device_deveuis() " + BODY, "sync_device_deveuis()"),
        (
            "CREATE TABLE permits (id serial, space uuid); CREATE INDEX spaces_location ON permits (space)",
            "spaces_location",
        ),
        ("CREATE TYPE locations AS ENUM ('a')", "locations"),
        ("CREATE DOMAIN _locations AS integer", "_locations"),
        ("CREATE TABLE audit_log (id serial)", "audit_log"),
        ("CREATE VIEW locations AS SELECT 1 AS a", "locations"),
        ("CREATE SCHEMA parking; CREATE TABLE parking.spaces (x int)", "parking.spaces"),
        ("CREATE SCHEMA v2_archive", "v2_archive"),
    ],
)
async def test_h8_a_name_that_a_later_stage_needs_is_refused_before_expand(
    v2: V2Database, statement: str, name: str
) -> None:
    await v2.admin.execute("DROP SCHEMA IF EXISTS parking CASCADE")
    await v2.admin.execute(statement)
    sentence = await refused(v2, "name_taken")
    assert name in sentence
    assert any(advice in sentence for advice in ("RENAME TO", "SET SCHEMA v2_aside", "legacy_names"))
    await v2.admin.execute("DROP SCHEMA IF EXISTS parking CASCADE")


async def test_h8_names_of_v2s_own_indexes_and_columns_are_no_obstacle(v2: V2Database) -> None:
    assert await found(v2, "name_taken") is None
    assert await found(v2, "cannot_run") is None


async def test_h8_a_function_that_makes_ours_ambiguous_is_found_by_the_rehearsal(v2: V2Database) -> None:
    await v2.admin.execute(
        "CREATE FUNCTION uuid7(a int DEFAULT 1) RETURNS uuid LANGUAGE sql AS 'SELECT gen_random_uuid()'"
    )
    sentence = await refused(v2, "cannot_run")
    assert "uuid7" in sentence
    assert "rename your function" in sentence


async def test_h8_what_only_a_copy_shows_is_named_as_it_is_in_the_database(v2: V2Database) -> None:
    await v2.admin.execute("CREATE INDEX locations_pkey ON spaces (name)")
    sentence = await refused(v2, "cannot_run")
    assert 'relation "locations_pkey" already exists in schema "public"; rename the thing' in sentence


async def test_h8_a_name_that_is_taken_after_the_switch_is_refused_at_contract(v2: V2Database) -> None:
    await v2.apply("switch")
    await v2.admin.execute("CREATE TABLE audit_log (id serial)")
    assert await found(v2, "name_taken") is not None
    with pytest.raises(InputError, match=r"ALTER TABLE public\.audit_log"):
        await v2.apply("contract")
    await v2.admin.execute("CREATE SCHEMA v2_aside; ALTER TABLE public.audit_log SET SCHEMA v2_aside")
    await v2.apply("contract")


async def test_h8_a_publication_that_would_take_baylights_tables_is_refused(v2: V2Database) -> None:
    await v2.admin.execute("CREATE PUBLICATION everything FOR ALL TABLES")
    assert "CREATE PUBLICATION everything FOR TABLE spaces" in await refused(v2, "publication")
    await v2.admin.execute("DROP PUBLICATION everything; CREATE PUBLICATION everything FOR TABLES IN SCHEMA public")
    assert "SET TABLE spaces" in await refused(v2, "publication")
    await v2.admin.execute("ALTER PUBLICATION everything SET TABLE spaces, reservations")
    finding = await found(v2, "publication")
    assert finding is not None
    assert not finding.blocks


async def test_h8_ids_of_the_history_that_leave_no_room_are_refused(v2: V2Database) -> None:
    space = await v2.add("P1")
    await v2.admin.execute(
        "INSERT INTO state_changes (id, space_id, new_state, source) VALUES (9223372036854775000, $1, 'FREE', 'x')",
        space,
    )
    assert "9223372036854775000" in await refused(v2, "ids_run_out")


async def test_h7_extra_columns_are_listed_and_those_that_need_a_value_are_refused(v2: V2Database) -> None:
    await v2.admin.execute(
        "ALTER TABLE spaces ADD COLUMN price numeric, ADD COLUMN label text GENERATED ALWAYS AS (code || '!') STORED;"
        " ALTER TABLE reservations ADD COLUMN ticket serial"
    )
    finding = await found(v2, "extra_column")
    assert finding is not None
    assert {id_ for id_, _ in finding.examples} == {"spaces.price", "spaces.label", "reservations.ticket"}
    assert not finding.blocks
    before = await v2.admin.fetchval("SELECT last_value FROM reservations_ticket_seq")
    await v2.admin.execute("DELETE FROM spaces; ALTER TABLE spaces ADD COLUMN tariff text NOT NULL")
    assert "SET DEFAULT" in await refused(v2, "extra_column")
    assert await v2.admin.fetchval("SELECT last_value FROM reservations_ticket_seq") == before


async def test_h6_row_security_is_refused_where_it_hides_rows_or_views_would_show_them(v2: V2Database) -> None:
    await v2.admin.execute(
        "ALTER TABLE spaces ENABLE ROW LEVEL SECURITY;"
        " CREATE POLICY own ON spaces FOR SELECT TO parking USING (building = current_setting('app.tenant', true))"
    )
    sentence = await refused(v2, "row_security")
    assert 'legacy_names = "gone"' in sentence
    await v2.apply("contract", legacy_names="gone")


async def test_h5_tables_that_inherit_are_refused_with_the_statement_that_helps(v2: V2Database) -> None:
    await v2.admin.execute("CREATE TABLE vip_spaces (tier int) INHERITS (spaces)")
    assert "ALTER TABLE vip_spaces NO INHERIT spaces" in await refused(v2, "inherits")


async def test_h8_a_partitioned_table_is_refused(v2: V2Database) -> None:
    await v2.admin.execute(
        "ALTER TABLE sensor_readings RENAME TO old_readings;"
        ' CREATE TABLE sensor_readings (LIKE old_readings INCLUDING DEFAULTS) PARTITION BY RANGE ("timestamp")'
    )
    assert "sensor_readings: is partitioned" in await refused(v2, "partitioned")


async def test_h3_triggers_of_the_customer_are_named_and_risky_ones_are_refused(v2: V2Database) -> None:
    await v2.admin.execute(
        "CREATE TABLE changes (code text);"
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN INSERT INTO changes VALUES (NEW.code); RETURN NULL; END';"
        "CREATE TRIGGER note AFTER UPDATE ON spaces FOR EACH ROW EXECUTE FUNCTION note()"
    )
    finding = await found(v2, "customer_trigger")
    assert finding is not None
    assert not finding.blocks
    assert "ALTER FUNCTION note() SET search_path = public" in finding.examples[0][1]
    await v2.admin.execute(
        "CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON spaces DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION note()"
    )
    assert "at COMMIT" in await refused(v2, "customer_trigger")
    await v2.admin.execute("ALTER FUNCTION note() SET search_path = public")
    await v2.apply("expand")


async def test_h8_a_trigger_of_an_extension_is_carried(any_v2: V2Database) -> None:
    if not await any_v2.admin.fetchval("SELECT count(*) FROM pg_available_extensions WHERE name = 'moddatetime'"):
        pytest.skip("this PostgreSQL has no moddatetime")
    await any_v2.admin.execute(
        "CREATE EXTENSION moddatetime; CREATE TRIGGER m BEFORE UPDATE ON spaces"
        " FOR EACH ROW EXECUTE FUNCTION moddatetime(updated_at)"
    )
    finding = await found(any_v2, "customer_trigger")
    assert finding is not None
    assert "the extension moddatetime" in finding.examples[0][1]
    await any_v2.apply("contract")
    await any_v2.rollback("start")


async def test_h3_a_trigger_that_reads_v2s_tables_is_named_with_what_to_do_on_the_way_back(v2: V2Database) -> None:
    await v2.admin.execute(
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM count(*) FROM public.spaces; RETURN NULL; END';"
        "CREATE TRIGGER note AFTER UPDATE ON spaces FOR EACH ROW EXECUTE FUNCTION note()"
    )
    finding = await found(v2, "customer_trigger")
    assert finding is not None
    assert "ALTER TABLE v2_archive.spaces DISABLE TRIGGER note" in finding.examples[0][1]
    assert not finding.blocks


async def test_h8_a_table_of_v2_that_another_session_has_is_no_finding(v2: V2Database) -> None:
    async with v2.admin.transaction():
        await v2.admin.execute("LOCK TABLE spaces IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(TransientError) as error:
            async with connected(v2.dsn) as connection:
                await rehearse(connection, CHOICES)
    assert error.value.code == "busy"


async def test_h13_a_trigger_that_writes_the_history_is_refused(v2: V2Database) -> None:
    body = "INSERT INTO public.state_changes (space_id, new_state, source) VALUES (NEW.id, NEW.state, ''trigger'');"
    create = (
        "CREATE OR REPLACE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN {} RETURN NULL; END';"
        "CREATE OR REPLACE TRIGGER note AFTER UPDATE OF state ON spaces FOR EACH ROW EXECUTE FUNCTION note()"
    )
    await v2.admin.execute(create.format(body))
    assert "baylight.v2_sync" in await refused(v2, "customer_trigger")
    skip = "IF current_setting(''baylight.v2_sync'', true) = ''on'' THEN RETURN NULL; END IF;"
    await v2.admin.execute(create.format(skip + body))
    finding = await found(v2, "customer_trigger")
    assert finding is not None
    assert not finding.blocks


async def test_h8_a_rule_is_refused(v2: V2Database) -> None:
    await v2.admin.execute("CREATE RULE quiet AS ON DELETE TO spaces DO INSTEAD NOTHING")
    assert "DROP RULE" in await refused(v2, "customer_trigger")


async def test_h8_other_types_are_refused_where_baylight_cannot_hold_them(v2: V2Database) -> None:
    await v2.admin.execute("ALTER TABLE spaces ALTER code TYPE text; ALTER TABLE spaces DROP CONSTRAINT valid_state")
    finding = await found(v2, "other_type")
    assert finding is not None
    assert {id_ for id_, _ in finding.examples} == {"spaces.code", "spaces.valid_state"}
    assert not finding.blocks
    await v2.admin.execute(
        "ALTER TABLE reservations ALTER created_at TYPE timestamp, ALTER metadata TYPE json;"
        " ALTER TABLE state_changes DROP CONSTRAINT state_changes_pkey, ALTER id TYPE integer"
    )
    sentence = await refused(v2, "other_type")
    assert "ALTER COLUMN created_at TYPE timestamp with time zone" in sentence
    assert "ALTER COLUMN metadata TYPE jsonb" in sentence
    assert "ALTER TABLE public.state_changes ADD PRIMARY KEY (id)" in sentence
    assert "state_changes.id: is integer, and Baylight needs bigint" in sentence


async def test_h8_columns_that_are_shorter_than_v2s_are_no_obstacle(v2: V2Database) -> None:
    await v2.admin.execute("ALTER TABLE spaces ALTER code TYPE varchar(10), ALTER name TYPE varchar(10)")
    await v2.apply("contract")
    await v2.rollback("start")


async def test_h8_a_search_path_that_hides_the_views_is_refused(v2: V2Database) -> None:
    name = await v2.admin.fetchval("SELECT current_database()")
    await v2.admin.execute(f"ALTER ROLE parking IN DATABASE {name} SET search_path = public")
    assert "RESET search_path" in await refused(v2, "search_path")
    await v2.admin.execute(f"ALTER ROLE parking IN DATABASE {name} RESET search_path")


@asynccontextmanager
async def owned_by(v2: V2Database, name: str) -> AsyncIterator[V2Database]:
    """The same database for a run by an ordinary role, which owns it and all that is in it."""
    owner = f"{name}_{secrets.token_hex(4)}"
    database = await v2.admin.fetchval("SELECT current_database()")
    me = await v2.admin.fetchval("SELECT current_user")
    tables = await v2.admin.fetch(
        "SELECT oid::regclass::text AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
    )
    await v2.admin.execute(
        f"CREATE ROLE {owner}; ALTER DATABASE {database} OWNER TO {owner}; GRANT {owner} TO {me};"
        f" ALTER FUNCTION update_updated_at() OWNER TO {owner}; GRANT pg_monitor TO {owner};"
        + ";".join(f"ALTER TABLE {row['name']} OWNER TO {owner}" for row in tables)
    )
    joint = "&" if "?" in v2.dsn else "?"
    try:
        yield replace(v2, dsn=f"{v2.dsn}{joint}role={owner}")
    finally:
        await v2.admin.execute(
            f"ALTER DATABASE {database} OWNER TO {me}; DROP OWNED BY {owner} CASCADE; DROP ROLE {owner}"
        )


@pytest.fixture
async def owned(v2: V2Database) -> AsyncIterator[V2Database]:
    async with owned_by(v2, "v2_owner") as found:
        yield found


async def test_h8_an_owner_that_is_no_superuser_goes_all_the_way_and_back(owned: V2Database) -> None:
    await make_dirty(owned)
    await owned.apply("contract")
    await owned.rollback("start")


async def test_h8_a_trigger_function_of_another_account_stays_where_it_is(owned: V2Database) -> None:
    await owned.admin.execute(
        f"CREATE FUNCTION theirs() {BODY}; CREATE TRIGGER theirs BEFORE UPDATE ON spaces"
        " FOR EACH ROW EXECUTE FUNCTION theirs()"
    )
    await owned.apply("contract")
    await owned.rollback("start")


@pytest.mark.parametrize(
    ("statement", "advice"),
    [
        (
            "REVOKE CREATE ON SCHEMA public FROM PUBLIC; ALTER SCHEMA public OWNER TO {me}",
            "GRANT CREATE ON SCHEMA public TO",
        ),
        ("ALTER DATABASE {database} OWNER TO {me}", "GRANT CREATE ON DATABASE"),
        ("ALTER TABLE api_keys OWNER TO {me}", "run the migration as"),
    ],
)
async def test_h8_a_right_that_a_later_stage_needs_is_refused_before_expand(
    owned: V2Database, statement: str, advice: str
) -> None:
    database = await owned.admin.fetchval("SELECT current_database()")
    me = await owned.admin.fetchval("SELECT current_user")
    await owned.admin.execute(statement.format(database=database, me=me))
    async with connected(owned.dsn) as connection:
        report = await findings.inspect(connection, CHOICES)
    assert advice in "".join(f.sentence() for f in report.findings if f.kind == "privilege" and f.blocks)
    with pytest.raises(InputError) as error:
        await owned.apply("expand")
    assert error.value.code == "blocked"
    assert advice in error.value.message


async def test_h6_rows_that_row_security_hides_are_refused(owned: V2Database) -> None:
    await owned.admin.execute(
        "ALTER TABLE spaces ENABLE ROW LEVEL SECURITY; ALTER TABLE spaces FORCE ROW LEVEL SECURITY;"
        " CREATE POLICY b ON spaces USING (building = 'B1')"
    )
    with pytest.raises(InputError, match="NO FORCE ROW LEVEL SECURITY"):
        await owned.apply("expand")


async def test_h6_a_policy_that_comes_later_ends_in_a_sentence_and_hides_no_row(owned: V2Database) -> None:
    await owned.apply("expand")
    await owned.admin.execute(
        "ALTER TABLE spaces ENABLE ROW LEVEL SECURITY; ALTER TABLE spaces FORCE ROW LEVEL SECURITY;"
        " CREATE POLICY b ON spaces USING (building = 'B1')"
    )
    with pytest.raises(InputError, match="row-level security policy"):
        await owned.apply("backfill")
