"""What `baylight v2` says to a database that it cannot migrate."""

from __future__ import annotations

import pytest

from baylight.errors import InputError
from baylight.store import migrate
from baylight.v2.inspection import findings
from tests.support.servers import Database
from tests.support.v2 import CHOICES, V2Database, connect

PHASE_1 = """
CREATE TABLE sensor_devices (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), dev_eui varchar(16) NOT NULL UNIQUE,
    device_type varchar(50) NOT NULL, enabled boolean DEFAULT true);
CREATE TABLE display_devices (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), dev_eui varchar(16) NOT NULL UNIQUE,
    device_type varchar(50) NOT NULL, display_codes jsonb NOT NULL, enabled boolean DEFAULT true);
CREATE INDEX idx_sensor_devices_deveui ON sensor_devices (dev_eui, enabled) WHERE enabled = true;
"""
STEP_2 = """
ALTER TABLE spaces ADD COLUMN sensor_device_id uuid, ADD COLUMN display_device_id uuid;
ALTER TABLE spaces ADD CONSTRAINT fk_sensor_device FOREIGN KEY (sensor_device_id) REFERENCES sensor_devices (id);
"""
PHASE_2 = """
ALTER TABLE spaces ADD COLUMN sensor_device_id uuid REFERENCES sensor_devices (id);
ALTER TABLE spaces RENAME COLUMN sensor_eui TO sensor_deveui;
ALTER TABLE spaces RENAME COLUMN display_eui TO display_deveui;
"""


async def refusal(v2: V2Database) -> str:
    with pytest.raises(InputError) as error:
        await findings.inspect(v2.admin)
    assert error.value.code == "not_v2"
    return error.value.message


async def test_h14_a_contracted_database_is_named_with_its_way_back(v2: V2Database) -> None:
    await v2.apply("contract")
    assert "rollback --to switch" in await refusal(v2)


async def test_h14_a_database_of_baylights_is_named(database: Database) -> None:
    await migrate.upgrade(database.dsn)
    connection = await connect(database.dsn)
    with pytest.raises(InputError, match="a database of Baylight already"):
        await findings.inspect(connection)
    await connection.close()


async def test_h14_v2s_missing_migration_is_named_by_its_statement(v2: V2Database) -> None:
    await v2.admin.execute("ALTER TABLE api_keys DROP COLUMN is_admin")
    message = await refusal(v2)
    await v2.admin.execute(message.rpartition("Run it: ")[2])
    await findings.inspect(v2.admin)


async def test_h14_another_schema_is_named_with_the_statements_that_move_the_tables(v2: V2Database) -> None:
    await v2.admin.execute("CREATE SCHEMA park")
    for table in ("spaces", "reservations", "sensor_readings", "state_changes", "api_keys"):
        await v2.admin.execute(f"ALTER TABLE {table} SET SCHEMA park")
    message = await refusal(v2)
    await v2.admin.execute(message.rpartition("search_path: ")[2])
    await findings.inspect(v2.admin)


async def test_h14_the_proposals_phase_2_is_named_with_its_undo(v2: V2Database) -> None:
    await v2.admin.execute(PHASE_1 + PHASE_2)
    message = await refusal(v2)
    assert "Phase 2" in message
    await v2.admin.execute(message.rpartition("Undo that: ")[2])
    await findings.inspect(v2.admin)


@pytest.mark.parametrize("half", [PHASE_1, PHASE_1 + STEP_2])
async def test_h14_a_half_run_of_the_proposal_is_a_starting_point_once_its_tables_are_set_aside(
    v2: V2Database, half: str
) -> None:
    await v2.admin.execute(half)
    report = await findings.inspect(v2.admin, CHOICES)
    taken = next(f for f in report.findings if f.kind == "name_taken")
    assert {id_ for id_, _ in taken.examples} == {"table sensor_devices", "table display_devices"}
    for _, detail in taken.examples:
        await v2.admin.execute(detail.rpartition(": ")[2])
    await v2.apply("contract", legacy_names="gone")
    await v2.rollback("start")


async def test_h14_the_v5_line_is_refused_with_the_way_by_csv(v2: V2Database) -> None:
    await v2.admin.execute("ALTER TABLE spaces ADD COLUMN tenant_id uuid, ADD COLUMN site_id uuid")
    message = await refusal(v2)
    assert "V5" in message
    assert "import-from-v5.md" in message


async def test_h14_a_missing_table_is_named_once(v2: V2Database) -> None:
    await v2.admin.execute("DROP TABLE state_changes")
    assert "it lacks state_changes. " in await refusal(v2)
