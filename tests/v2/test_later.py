"""What is built after the rows are there: nothing of the meantime is missing in it."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from tests.support.v2 import V2Database, display, sensor

HISTORY = """
SELECT s.code, coalesce(n.dev_eui, d.dev_eui) AS dev_eui, a.reason, upper_inf(a.valid) AS open, a.shared
FROM device_assignments AS a INNER JOIN spaces AS s ON s.id = a.space_id
LEFT JOIN sensor_devices AS n ON n.id = a.sensor_device_id LEFT JOIN display_devices AS d ON d.id = a.display_device_id
WHERE superseded_at IS NULL ORDER BY s.code, a.role, lower(a.valid)
"""


async def test_swaps_that_v2_made_before_the_keys_of_assignments_were_built_are_in_the_history(v2: V2Database) -> None:
    first = await v2.add("P1", display_eui=display(1))
    second = await v2.add("P2", sensor_eui=sensor(9))
    await v2.apply("expand")
    for n in (1, 2):
        await v2.legacy.execute("UPDATE spaces SET sensor_eui = $2 WHERE id = $1", first, sensor(n))
    await v2.legacy.execute("UPDATE spaces SET sensor_eui = $2 WHERE id = $1", second, sensor(1))
    await v2.legacy.execute("UPDATE spaces SET display_eui = $2 WHERE id = $1", second, display(1))
    with pytest.raises(asyncpg.LockNotAvailableError, match="before the stage backfill is done"):
        await v2.baylight.execute("UPDATE device_assignments SET shared = true")
    assert await v2.baylight.fetch(HISTORY) == []
    await v2.apply("backfill")
    assert [tuple(row) for row in await v2.baylight.fetch(HISTORY)] == [
        ("P1", display(1), "install", True, True),
        ("P1", sensor(1), "install", False, False),
        ("P1", sensor(2), "swap", True, False),
        ("P2", display(1), "install", True, True),
        ("P2", sensor(1), "install", True, False),
    ]
    await v2.legacy.execute("UPDATE spaces SET sensor_eui = $2 WHERE id = $1", first, sensor(3))
    assert ("P1", sensor(3), "swap", True, False) in [tuple(row) for row in await v2.baylight.fetch(HISTORY)]
    assert (await v2.verify()).differences == []


async def test_doubled_devices_do_not_keep_the_keys_from_being_built(v2: V2Database) -> None:
    """As two transactions of V2's could leave them that gave one sensor to two spaces at once, in two spellings."""
    await v2.add("P1", sensor_eui=sensor(1))
    await v2.add("P2", sensor_eui=sensor(2))
    await v2.apply("expand")
    await v2.legacy.execute("UPDATE spaces SET name = 'carried' WHERE code LIKE 'P_'")
    await v2.admin.execute(
        "UPDATE v2_migration.assignment_log"
        " SET device_id = (SELECT min(device_id::text)::uuid FROM v2_migration.assignment_log)"
    )
    await v2.apply("backfill")
    assert [(d.check, d.detail) for d in (await v2.verify()).differences] == [("assignments", "sensor")]
    await v2.legacy.execute("UPDATE spaces SET sensor_eui = NULL WHERE code LIKE 'P_'")
    await v2.legacy.execute("UPDATE spaces SET sensor_eui = '58a0cb000000000' || right(code, 1) WHERE code LIKE 'P_'")
    assert (await v2.verify()).differences == []


async def test_assignments_that_v2_changes_all_the_time_do_not_keep_the_keys_from_being_built(v2: V2Database) -> None:
    await v2.add("P1", sensor_eui=sensor(1))
    await v2.apply("expand")
    await v2.legacy.execute("UPDATE spaces SET name = 'carried' WHERE code = 'P1'")
    await v2.admin.execute(
        """
        CREATE FUNCTION v2_migration.once_more() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_constraint WHERE conname = 'device_assignments_one_device_per_space'
                           AND connamespace = 'baylight_next'::regnamespace) THEN
                INSERT INTO v2_migration.assignment_log (space_id, role, device_id, reason, actor)
                VALUES (OLD.space_id, OLD.role, OLD.device_id, 'swap', 'v2');
            END IF;
            RETURN NULL;
        END $$;
        CREATE TRIGGER once_more AFTER DELETE ON v2_migration.assignment_log
        FOR EACH ROW EXECUTE FUNCTION v2_migration.once_more();
        """
    )
    await asyncio.wait_for(v2.apply("backfill"), 20)
    assert (await v2.verify()).differences == []
