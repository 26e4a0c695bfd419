"""Words of the schema, compared with those of the code: CHECKs, transitions and constraint names."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum
from itertools import product
from uuid import UUID

import asyncpg
import pytest

from baylight.domain.downlink import TRANSITIONS, ActuationStatus, SyncStatus, TriggerType
from baylight.domain.ids import uuid7
from baylight.domain.state import Occupancy, State
from baylight.domain.unproven import UnprovenReason
from baylight.store import translate
from baylight.store.pool import Pool
from baylight.v2.schema import script
from tests.support.factories import add_bay

WORDS: dict[str, type[StrEnum]] = {
    "valid_trigger_type": TriggerType,
    "actuations_status": ActuationStatus,
    "display_devices_sync_status": SyncStatus,
    "display_devices_desired_state": State,
    "valid_state": State,
    "valid_default_state": State,
    "valid_display_state": State,
    "overrides_state": State,
    "valid_sensor_state": Occupancy,
    "sensor_devices_occupancy": Occupancy,
    "uplinks_occupancy": Occupancy,
    "sensor_devices_unproven": UnprovenReason,
    "spaces_unproven": UnprovenReason,
}


@pytest.mark.parametrize("constraint", WORDS)
async def test_b13_a_check_lists_the_words_of_the_code(any_pool: Pool, constraint: str) -> None:
    definitions = await any_pool.fetch(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = $1", constraint
    )
    assert definitions
    for (definition,) in definitions:
        assert set(re.findall(r"'(\w+)'", definition)) == {word.value for word in WORDS[constraint]}


async def test_the_trigger_allows_the_transitions_of_the_code_and_no_other(any_pool: Pool) -> None:
    bay = await add_bay(any_pool, "A1")
    allowed = set()
    async with any_pool.acquire() as connection:
        for old, new in product(ActuationStatus, repeat=2):
            transaction = connection.transaction()
            await transaction.start()
            await connection.execute(
                "INSERT INTO actuations (space_id, trigger_type, new_state, display_device_id, display_deveui, "
                "display_code, fport, status, downlink_error) "
                "VALUES ($1, 'sensor_uplink', 'FREE', $2, $3, '0000ff6400', 15, $4, 'x')",
                bay.space_id,
                bay.display_id,
                bay.display_eui,
                old,
            )
            with suppress(asyncpg.CheckViolationError):
                await connection.execute("UPDATE actuations SET status = $1", new)
                allowed.add((old, new))
            await transaction.rollback()
    same = {(status, status) for status in ActuationStatus}
    assert allowed - same == {(old, new) for old, targets in TRANSITIONS.items() for new in targets}


async def test_every_constraint_that_an_error_translates_exists(any_pool: Pool) -> None:
    known = {
        row[0]
        for row in await any_pool.fetch(
            "SELECT conname FROM pg_constraint UNION SELECT relname FROM pg_class WHERE relkind IN ('i', 'I') "
            "UNION SELECT (regexp_matches(prosrc, 'CONSTRAINT = ''(\\w+)''', 'g'))[1] FROM pg_proc"
        )
    }
    beside_v2 = set(re.findall(r"'(v2_\w+)'", script("reflect")))
    assert (translate._CONFLICTS.keys() | translate._INPUTS.keys()) - known - beside_v2 == set()


async def test_an_installation_has_one_secret_of_its_own(any_pool: Pool) -> None:
    (secret,) = (row["key_secret"] for row in await any_pool.fetch("SELECT key_secret FROM installation"))
    assert len(secret) == 32
    with pytest.raises(asyncpg.CheckViolationError):
        await any_pool.execute("INSERT INTO installation (id, key_secret) VALUES (2, '')")


async def test_ids_have_version_7_and_the_order_of_time(any_pool: Pool) -> None:
    rows = await any_pool.fetch(
        "SELECT at, uuid7(at) AS id, uuid7_floor(at) AS low FROM generate_series("
        "timestamptz '2026-01-31 23:59:59.990Z', '2026-02-01 00:00:00.010Z', interval '1 ms') AS at"
    )
    ids = [UUID(str(row["id"])) for row in rows]
    assert ids == sorted(ids)
    assert {(i.version, i.variant) for i in ids} == {(7, "specified in RFC 4122")}
    for before, row in zip([UUID(int=0), *ids], rows, strict=False):
        assert before < row["low"] < row["id"]
    assert [i.int >> 80 for i in ids] == [int(row["at"].timestamp() * 1000 + 0.5) for row in rows]


async def test_the_lowest_id_of_an_instant_is_not_above_the_ids_made_then(any_pool: Pool) -> None:
    at = datetime(2026, 2, 1, 12, 0, 0, 600, tzinfo=UTC)
    low = UUID(str(await any_pool.fetchval("SELECT uuid7_floor($1)", at)))
    assert low <= uuid7(at)
    assert low <= UUID(str(await any_pool.fetchval("SELECT uuid7($1)", at)))
