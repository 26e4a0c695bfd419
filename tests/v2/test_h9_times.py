"""Times that PostgreSQL has and Python has not: they stay in V2, and never stop Baylight (H9)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.v2 import V2Database, sensor

BAD = ["infinity", "-infinity", "0044-03-15 12:00:00+00 BC", "12026-01-01 00:00:00+00"]
SPACES = "INSERT INTO spaces (name, code, {0}) VALUES ('x', 'T' || $1::text, $2::text::timestamptz)"
RESERVED = (
    "INSERT INTO reservations (space_id, start_time, end_time, {0}) SELECT id, now(), now() + interval '1 h',"
    " $2::text::timestamptz FROM spaces WHERE $1::text IS NOT NULL AND code = 'P1'"
)
FAR = (
    "INSERT INTO reservations (space_id, start_time, end_time) SELECT id, $2::text::timestamptz,"
    " $2::text::timestamptz FROM spaces WHERE $1::text IS NOT NULL AND code = 'P1'"
)
HISTORY = (
    "INSERT INTO state_changes (space_id, new_state, source, \"timestamp\") SELECT id, 'FREE', 'x',"
    " $2::text::timestamptz FROM spaces WHERE $1::text IS NOT NULL AND code = 'P1'"
)
KEY = "INSERT INTO api_keys (key_hash, key_name, {0}) VALUES ('$2b$12$' || $1::text, 'k', $2::text::timestamptz)"
READING = (
    "INSERT INTO sensor_readings (device_eui, occupancy_state, \"timestamp\") SELECT sensor_eui, 'FREE',"
    " $2::text::timestamptz FROM spaces WHERE $1::text IS NOT NULL AND code = 'P1'"
)
WRITES = {
    "created": (SPACES.format("created_at"), ("created_at", "bad_time")),
    "updated": (SPACES.format("updated_at"), ("updated_at", "bad_time")),
    "deleted": (SPACES.format("deleted_at"), ("deleted_at", "bad_time")),
    "reservation": (FAR, ("*", "refused")),
    "reservation created": (RESERVED.format("created_at"), ("*", "refused")),
    "history": (HISTORY, ("*", "refused")),
    "key used": (KEY.format("last_used_at"), None),
    "key created": (KEY.format("created_at"), None),
    "reading": (READING, None),
}
TABLES = ("spaces", "reservations", "state_changes", "api_keys", "sensor_devices")


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("what", WRITES)
async def test_h9_times_that_baylight_cannot_read_do_not_reach_it(v2: V2Database, what: str, when: str) -> None:
    write, reason = WRITES[what]
    await v2.add("P1", sensor_eui=sensor(1))
    await v2.admin.execute("ALTER TABLE reservations DROP CONSTRAINT valid_times, DROP CONSTRAINT valid_duration")
    if when == "after":
        await v2.apply("backfill")
    for n, time in enumerate(BAD):
        await v2.legacy.execute(write, str(n), time)
    await v2.apply("switch")
    for table in TABLES:
        await v2.baylight.fetch(f"SELECT * FROM {table}")  # asyncpg reads each time
    assert await v2.quarantine() == ({reason} if reason else set())
    assert await v2.admin.fetchval("SELECT count(*) FROM v2_migration.quarantine") == (len(BAD) if reason else 0)
    if what in ("created", "updated", "deleted"):
        assert await v2.baylight.fetchval("SELECT count(*) FROM spaces WHERE code LIKE 'T%'") == len(BAD)
        gone = await v2.baylight.fetchval("SELECT count(*) FROM spaces WHERE deleted_at IS NOT NULL")
        assert gone == (len(BAD) if what == "deleted" else 0)


async def test_h9_readings_from_the_future_are_not_the_last_ones(v2: V2Database) -> None:
    await v2.add("P1", sensor_eui=sensor(1))
    await v2.legacy.execute(READING, "1", "2036-01-01 00:00:00+00")
    await v2.insert("sensor_readings", {"device_eui": sensor(1), "occupancy_state": "OCCUPIED"})
    await v2.apply("switch")
    row: Any = await v2.baylight.fetchrow("SELECT occupancy, occupancy_at <= now() AS past FROM sensor_devices")
    assert (row["occupancy"], row["past"]) == ("OCCUPIED", True)
