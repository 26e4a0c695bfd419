"""The whole way and back: what each stage promises."""

from __future__ import annotations

import json
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner

from baylight.cli.v2 import app
from baylight.errors import ConflictError, InputError
from baylight.store import migrate
from baylight.store.translate import translate
from baylight.v2 import choices, run
from baylight.v2.inspection import findings
from baylight.v2.observe import observe_report
from baylight.v2.pace import Progress
from baylight.v2.stages.steps import STEPS
from tests.support.servers import Server
from tests.support.v2 import CHOICES, V2Database, connect, display, make_dirty, sensor
from tests.v2.catalog import catalog

TABLES = ("spaces", "reservations", "sensor_readings", "state_changes", "api_keys")


async def rows(v2: V2Database) -> dict[str, list[asyncpg.Record]]:
    """Everything that V2 can read, as it reads it."""
    return {table: await v2.legacy.fetch(f"SELECT * FROM {table} ORDER BY id") for table in TABLES}


async def test_a_contracted_database_has_the_schema_of_a_fresh_installation(
    any_v2: V2Database, any_server: Server
) -> None:
    await make_dirty(any_v2)
    await any_v2.apply("contract")
    async with any_server.database() as fresh:
        connection = await connect(fresh.dsn)
        expected = await catalog(connection)
        await connection.close()
    assert await catalog(any_v2.admin) == expected
    await migrate.check(any_v2.dsn)


async def test_forth_and_back_leaves_v2_as_it_was(any_v2: V2Database) -> None:
    await make_dirty(any_v2)
    schema, before = await catalog(any_v2.admin), await rows(any_v2)
    for stage in ("expand", "backfill", "verify", "switch", "contract"):
        await any_v2.apply(stage)
        if stage != "contract":
            assert await rows(any_v2) == before, stage
    assert await any_v2.rollback("start") == ["contract", "switch", "verify", "backfill", "expand"]
    assert await rows(any_v2) == before
    assert await catalog(any_v2.admin) == schema
    schemas = await any_v2.admin.fetch("SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' ORDER BY 1")
    assert [row["nspname"] for row in schemas] == ["information_schema", "public"]


async def test_after_contract_v2_reads_every_row_by_its_own_names(v2: V2Database) -> None:
    await make_dirty(v2)
    await v2.apply("switch")
    before = await rows(v2)
    await v2.apply("contract")
    after = await rows(v2)
    for table in TABLES:
        assert after[table] == before[table], table
    with pytest.raises(asyncpg.PostgresError):
        await v2.legacy.execute("UPDATE spaces SET state = 'FREE'")
    with pytest.raises(InputError, match="no two sides"):
        await v2.verify()
    with pytest.raises(InputError, match="no two sides"):
        await observe_report(v2.admin)
    await v2.apply("contract")  # again: nothing is left to do
    assert (await run.status(v2.admin)).stage == "contract"


async def test_legacy_names_can_go(v2: V2Database) -> None:
    await v2.add("P1")
    await v2.apply("contract", legacy_names="gone")
    with pytest.raises(asyncpg.PostgresError):
        await v2.legacy.fetch("SELECT sensor_eui FROM spaces")
    assert await v2.admin.fetchval("SELECT count(*) FROM v2_archive.spaces") == 4
    assert await v2.rollback() == ["contract"]
    assert await v2.legacy.fetchval("SELECT count(*) FROM spaces") == 4


async def test_prepared_statements_of_v2_go_on_working_at_each_stage_and_back(v2: V2Database) -> None:
    space = await v2.add("P1", sensor_eui=sensor(1))
    queries = [f"SELECT * FROM {table}" for table in TABLES]
    prepared = [await v2.legacy.prepare(query) for query in queries]
    await v2.legacy.execute("PREPARE by_sensor (text) AS SELECT * FROM spaces WHERE sensor_eui = $1")

    async def use() -> None:
        async with v2.legacy.transaction():  # where asyncpg cannot prepare again behind the scenes
            for statement in prepared:
                await statement.fetch()
            found = await v2.legacy.fetch(f"EXECUTE by_sensor ('{sensor(1)}')")
            assert [row["id"] for row in found] == [space]

    await use()
    for stage in ("expand", "backfill", "verify", "switch", "contract"):
        await v2.apply(stage)
        await use()
    for _ in range(5):
        await v2.rollback()
        await use()


async def test_what_happens_after_contract_is_v2s_again_after_its_rollback(v2: V2Database) -> None:
    space = await v2.add("P1", sensor_eui="58A0CB0000000001", display_eui=display(1))
    await v2.apply("contract")
    ours = await connect(v2.dsn, search_path="baylight_next, public")
    await ours.execute("UPDATE spaces SET current_state = 'OCCUPIED', name = 'New name' WHERE id = $1", space)
    made = await ours.fetchval("INSERT INTO spaces (name, code, current_state) VALUES ('n', 'N1', 'FREE') RETURNING id")
    await ours.execute("INSERT INTO state_changes (space_id, new_state, source) VALUES ($1, 'OCCUPIED', 'x')", space)
    booked = await ours.fetchval(
        "INSERT INTO reservations (space_id, start_time, end_time)"
        " VALUES ($1, now(), now() + interval '1 h') RETURNING id",
        made,
    )
    await ours.close()
    assert await v2.rollback() == ["contract"]
    old = await v2.old(space)
    assert (old["state"], old["name"], old["sensor_eui"]) == ("OCCUPIED", "New name", "58A0CB0000000001")
    assert (await v2.old(made))["code"] == "N1"
    assert await v2.legacy.fetchval("SELECT count(*) FROM state_changes WHERE space_id = $1", space) == 1
    assert await v2.legacy.fetchval("SELECT space_id FROM reservations WHERE id = $1", booked) == made
    assert (await v2.verify()).differences == []
    await v2.legacy.execute("UPDATE spaces SET name = 'By V2' WHERE id = $1", space)
    assert (await v2.new(space))["name"] == "By V2"


async def test_e8_the_way_back_names_the_reservations_that_v2_refuses_and_changes_nothing(v2: V2Database) -> None:
    space = await v2.add("P1")
    await v2.apply("contract")
    book = (
        "INSERT INTO public.reservations (space_id, start_time, end_time, status) "
        "VALUES ($1, now(), now() + interval '25 h', 'completed') RETURNING id"
    )
    booked = await v2.admin.fetchval(book, space)
    triggers = "SELECT count(*) FROM pg_trigger WHERE tgrelid = 'public.reservations'::regclass"
    before = await v2.admin.fetchval(triggers)
    with pytest.raises(ConflictError, match=rf"reservation {booked} of space P1: .*valid_duration") as error:
        await v2.rollback()
    assert error.value.code == "cannot_go_back"
    assert await v2.admin.fetchval(triggers) == before
    await v2.admin.execute("UPDATE public.reservations SET end_time = start_time + interval '24 h'")
    assert await v2.rollback() == ["contract"]
    assert await v2.legacy.fetchval("SELECT id FROM reservations") == booked


async def test_e8_a_v2_without_that_bound_gets_every_reservation(v2: V2Database) -> None:
    await v2.admin.execute("ALTER TABLE public.reservations DROP CONSTRAINT valid_duration")
    space = await v2.add("P1")
    await v2.apply("contract")
    book = (
        "INSERT INTO public.reservations (space_id, start_time, end_time) VALUES ($1, now(), now() + interval '25 h')"
    )
    await v2.admin.execute(book, space)
    await v2.rollback()
    assert await v2.legacy.fetchval("SELECT count(*) FROM reservations") == 1


async def test_e8_beside_v2_a_reservation_that_v2_refuses_is_refused_with_the_reason(v2: V2Database) -> None:
    space = await v2.add("P1")
    await v2.apply("switch")
    book = "INSERT INTO reservations (space_id, start_time, end_time) VALUES ($1, now(), now() + interval '25 h')"
    with pytest.raises(asyncpg.CheckViolationError) as caught:
        await v2.baylight.execute(book, space)
    error = translate(caught.value)
    assert error is not None
    assert (error.code, "V2" in error.message) == ("too_long", True)


async def test_baylights_writes_reach_v2_in_the_same_transaction(v2: V2Database) -> None:
    space = await v2.add("P1", building="Main", floor="1", zone="A", sensor_eui="58A0CB0000000001")
    await v2.apply("switch")
    await v2.baylight.execute("UPDATE spaces SET current_state = 'OUT_OF_ORDER' WHERE id = $1", space)
    assert (await v2.old(space))["state"] == "MAINTENANCE"
    await v2.baylight.execute(
        "UPDATE spaces SET current_state = 'OCCUPIED', sensor_state = 'OCCUPIED' WHERE id = $1", space
    )
    await v2.baylight.execute("UPDATE spaces SET current_state = 'UNKNOWN' WHERE id = $1", space)
    assert (await v2.old(space))["state"] == "OCCUPIED"  # V2 has no word for it: its last one stays
    await v2.baylight.execute("UPDATE locations SET name = 'Renamed' WHERE kind = 'building'")
    old = await v2.old(space)
    assert (old["building"], old["floor"], old["sensor_eui"]) == ("Renamed", "1", "58A0CB0000000001")
    made = await v2.baylight.fetchval("INSERT INTO spaces (name, code) VALUES ('Made by Baylight', 'N1') RETURNING id")
    assert (await v2.old(made))["name"] == "Made by Baylight"
    await v2.baylight.execute(
        "INSERT INTO reservations (space_id, start_time, end_time) VALUES ($1, now(), now() + interval '1 h')", made
    )
    assert await v2.legacy.fetchval("SELECT count(*) FROM reservations WHERE space_id = $1", made) == 1
    assert (await v2.verify()).differences == []


async def test_v2_is_never_refused_because_baylight_holds_a_row_and_the_other_way_round_baylight_tries_again(
    v2: V2Database,
) -> None:
    space = await v2.add("P1")
    await v2.apply("switch")
    async with v2.legacy.transaction():
        await v2.legacy.execute("UPDATE spaces SET name = 'held by V2' WHERE id = $1", space)
        await v2.baylight.execute("SET lock_timeout = '100ms'")
        with pytest.raises(asyncpg.LockNotAvailableError):
            await v2.baylight.execute("UPDATE spaces SET current_state = 'OCCUPIED' WHERE id = $1", space)
    await v2.baylight.execute("UPDATE spaces SET current_state = 'OCCUPIED' WHERE id = $1", space)
    assert (await v2.old(space))["state"] == "OCCUPIED"


async def test_until_the_switch_baylight_only_observes(v2: V2Database) -> None:
    space = await v2.add("P1", sensor_eui=sensor(1), display_eui=display(1))
    await v2.apply("verify")
    await v2.baylight.execute(
        "UPDATE spaces SET current_state = 'OCCUPIED', state_reason = 'sensor' WHERE id = $1", space
    )
    await v2.baylight.execute(
        "INSERT INTO state_changes (space_id, new_state, source) VALUES ($1, 'OCCUPIED', 'x')", space
    )
    assert (await v2.old(space))["state"] == "FREE" == (await v2.new(space))["current_state"]
    assert await v2.legacy.fetchval("SELECT count(*) FROM state_changes") == 0
    report = await observe_report(v2.admin, grace_s=0)
    assert report.summary == [("FREE", "OCCUPIED", "sensor", 1)]
    assert [(s.code, s.v2_state, s.state) for s in report.spaces] == [("P1", "FREE", "OCCUPIED")]
    row = await v2.new(space)
    actuation = await v2.baylight.fetchval(
        "INSERT INTO actuations"
        " (space_id, trigger_type, new_state, display_device_id, display_deveui, display_code, fport)"
        " VALUES ($1, 'sensor_uplink', 'OCCUPIED', $2, $3, 'ff00006400', 15) RETURNING id",
        space, row["display_device_id"], display(1),
    )  # fmt: skip
    with pytest.raises(asyncpg.LockNotAvailableError):
        await v2.baylight.execute("UPDATE actuations SET status = 'sending' WHERE id = $1", actuation)
    await v2.legacy.execute("UPDATE spaces SET state = 'OCCUPIED' WHERE id = $1", space)
    assert (await observe_report(v2.admin, grace_s=0)).summary == []
    await v2.apply("switch")
    assert await v2.baylight.fetchval("SELECT status FROM actuations") == "superseded"


async def test_after_the_switch_v2s_decisions_are_noted_and_without_effect_and_count_again_after_rollback(
    v2: V2Database,
) -> None:
    space = await v2.add("P1", sensor_eui=sensor(1))
    await v2.legacy.execute(
        "INSERT INTO sensor_readings (device_eui, occupancy_state, rssi) VALUES ($1, 'OCCUPIED', -80)", sensor(1)
    )
    await v2.apply("switch")
    received = await v2.baylight.fetchrow("SELECT occupancy, rssi_dbm FROM sensor_devices")
    assert received is not None
    assert tuple(received) == ("OCCUPIED", -80)
    assert (await v2.new(space))["recompute_at"] is not None
    await v2.baylight.execute("UPDATE spaces SET current_state = 'RESERVED' WHERE id = $1", space)
    assert await v2.legacy.execute("UPDATE spaces SET state = 'FREE' WHERE id = $1", space) == "UPDATE 1"
    assert (await v2.old(space))["state"] == "RESERVED"
    assert (await run.status(v2.admin)).ignored_writes == 1
    await v2.baylight.execute("UPDATE spaces SET current_state = 'UNKNOWN' WHERE id = $1", space)
    assert await v2.rollback() == ["switch"]
    assert (await v2.new(space))["current_state"] == "RESERVED"
    await v2.legacy.execute("UPDATE spaces SET state = 'FREE' WHERE id = $1", space)
    assert (await v2.new(space))["current_state"] == "FREE"
    assert (await v2.verify()).differences == []


async def test_verify_names_what_differs(v2: V2Database) -> None:
    space = await v2.add("P1", sensor_eui=sensor(1))
    await v2.apply("backfill")
    await v2.admin.execute("SET baylight.v2_sync = 'on'")
    await v2.admin.execute("UPDATE baylight_next.spaces SET name = 'wrong' WHERE id = $1", space)
    await v2.admin.execute("RESET baylight.v2_sync")
    found = (await v2.verify()).differences
    assert ("spaces_round_trip", str(space), "name") in [(d.check, d.id, d.detail) for d in found]
    with pytest.raises(InputError, match="spaces_round_trip"):
        await v2.apply("switch")
    assert (await run.status(v2.admin)).owner == "v2"


async def test_v2s_api_keys_come_with_their_rights_and_revoked_ones_are_revoked_on_both_sides(v2: V2Database) -> None:
    await v2.apply("backfill")
    key = await v2.insert("api_keys", {"key_hash": "$2b$12$abc", "key_name": "gate", "is_admin": True})
    row = await v2.baylight.fetchrow("SELECT * FROM api_keys WHERE id = $1", key)
    assert row is not None
    assert (row["key_hash"], row["scopes"], row["is_active"]) == ("$2b$12$abc", ["read", "write", "admin"], True)
    await v2.baylight.execute("UPDATE api_keys SET is_active = false, revoked_at = now() WHERE id = $1", key)
    assert await v2.legacy.fetchval("SELECT is_active FROM api_keys WHERE id = $1", key) is False


async def test_a_deleted_row_of_v2_is_a_deleted_space(v2: V2Database) -> None:
    space = await v2.add("P1", sensor_eui=sensor(1))
    await v2.apply("backfill")
    await v2.legacy.execute("DELETE FROM spaces WHERE id = $1", space)
    assert (await v2.new(space))["deleted_at"] is not None
    assert (await v2.verify()).differences == []


async def test_inspect_finds_every_weakness_and_its_proposal_is_accepted(v2: V2Database) -> None:
    await make_dirty(v2)
    report = await findings.inspect(v2.admin)
    found = {f.kind: f.count for f in report.findings}
    assert found == {
        "bad_eui": 2, "contested_sensor": 1, "both_roles": 1, "shared_display": 1, "deleted_space": 1,
        "half_position": 1,
        "overlap": 1, "empty_name": 1, "untyped": 1, "wrong_colour": found["wrong_colour"],
    }  # fmt: skip
    sizes = {size.table: size.rows for size in report.sizes}
    assert (sizes["spaces"], sizes["reservations"]) == (15, 4)
    assert set(report.seconds) <= {step.name for step in STEPS}, "an estimate for no step"
    assert report.seconds["reservations"] > 0
    await findings.check_choices(v2.admin, choices.parse(report.proposal))
    assert choices.parse(report.proposal).legacy_role == "parking"


async def test_inspect_refuses_what_is_no_v2_database(server: Server) -> None:
    async with server.database(migrated=False) as database:
        connection = await connect(database.dsn)
        with pytest.raises(InputError, match="no V2 database"):
            await findings.inspect(connection)
        with pytest.raises(InputError, match="no V2 database"):
            await run.apply(database.dsn, choices=CHOICES)
        await connection.close()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[resolve]\nwhat = 1", "no such finding"),
        ("[resolve]\nboth_roles = 'x'", "one of both, sensor, display"),
        ("[types.sensor]\n'58a0cb' = 'kuando_busylight'", "no sensor type"),
        ("[types.sensor]\n'ZZ' = 'browan_tbms100'", "lower-case hex"),
        ("[contract]\nlegacy_names = 'kept'", "views or gone"),
        ("[surprise]", "unknown section"),
        ("nonsense", "not TOML"),
    ],
)
def test_mistakes_in_the_choices_are_named(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        choices.parse(text)


async def test_each_step_in_batches_reports_its_end_once_and_status_names_the_steps_of_the_plan(v2: V2Database) -> None:
    await make_dirty(v2)
    reported: list[Progress] = []
    await run.apply(v2.dsn, to="switch", choices=CHOICES, on_progress=reported.append)
    ends = [progress.step for progress in reported if progress.done >= progress.total]
    assert ends == ["spaces", "reservations", "state_changes", "catch_up", "redecide"]
    found = await run.status(v2.admin)
    assert [step.name for step in found.steps] == [step.name for step in STEPS if step.stage != "contract"]
    assert next(step.rows for step in found.steps if step.name == "spaces") == await v2.admin.fetchval(
        "SELECT count(*) FROM spaces"
    )


async def test_the_commands_report_and_plan_runs_nothing(v2: V2Database, tmp_path: Any, monkeypatch: Any) -> None:
    import asyncio

    await make_dirty(v2)
    monkeypatch.setenv("BAYLIGHT_DATABASE_URL", v2.dsn)
    cli = CliRunner()
    file = tmp_path / "choices.toml"

    async def invoke(*arguments: str) -> tuple[int, str]:
        result = await asyncio.to_thread(cli.invoke, app, list(arguments))
        return result.exit_code, result.output

    code, text = await invoke("plan")
    assert (code, text.startswith("baylight: decide on these in a choices file")) == (2, True)
    code, text = await invoke("quarantine", "list")
    assert (code, text.startswith("baylight: the migration has not begun")) == (2, True)
    code, text = await invoke("inspect", "--json", "--write-choices", str(file))
    assert "bad_eui" in [f["kind"] for f in json.loads(text)["findings"]]
    assert [step["name"] for step in json.loads(text)["steps"]] == [step.name for step in STEPS]
    code, text = await invoke("plan", "--choices", str(file))
    assert code == 0
    header, *lines = text.splitlines()
    assert header.split("  ")[0] == "stage"
    assert all(column in header for column in ("step", "takes", "lock", "who can wait", "longest", "undo"))
    assert [line.split()[0] for line in lines] == [step.stage for step in STEPS]
    assert "CREATE" not in text
    code, text = await invoke("plan", "--choices", str(file), "--sql")
    for step in STEPS:
        assert f"{step.stage}: {step.name}" in text
    assert "DROP TRIGGER IF EXISTS baylight_capture_update ON public.spaces;" in text
    assert "SET owner = $1" in text.partition("V2 decides again")[2]
    assert await v2.admin.fetchval("SELECT to_regnamespace('baylight_next')") is None
    assert (await invoke("apply", "--to", "switch", "--choices", str(file)))[0] == 0
    assert "green" in (await invoke("verify"))[1]
    assert "decides: baylight" in (await invoke("status"))[1]
    assert "bad_eui" in (await invoke("status"))[1]
    assert "space D04, sensor_eui 'acmesensor0001': is no DevEUI" in (await invoke("quarantine", "list"))[1]
    assert (await invoke("shadow"))[0] == 1
    code, text = await invoke("observe")
    assert (code, "Nothing was observed" in text) == (1, True)
    assert (await invoke("colours"))[0] == 1
    assert (await invoke("colours", "--fix"))[0] == 0
    assert (await invoke("colours"))[0] == 0
    assert (await invoke("rollback", "--to", "start", "--yes"))[0] == 0
    assert "not begun" in (await invoke("status"))[1]
