"""Baylight's own program on a database that is being migrated: it finds its tables, keys of V2 open its doors."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from pathlib import Path

import bcrypt

import baylight
from baylight.access.keys import Scope, Verifier
from baylight.domain.state import Policy
from baylight.insight import doctor
from baylight.store import migrate
from baylight.store.pool import open_pool
from tests.support.v2 import V2Database, sensor


async def test_baylights_program_finds_its_tables_before_and_after_contract_without_reconnecting(
    v2: V2Database,
) -> None:
    await v2.add("P1", sensor_eui=sensor(1))
    await v2.apply("switch")
    await migrate.check(v2.dsn)
    pool = await open_pool(v2.dsn, size=1)
    query = "SELECT sensor_deveui FROM spaces WHERE code = 'P1'"
    assert await pool.fetchval(query) == sensor(1)
    await v2.apply("contract")
    assert await pool.fetchval(query) == sensor(1)
    await v2.rollback()
    assert await pool.fetchval(query) == sensor(1)
    await pool.close()


async def test_a_later_migration_lands_beside_v2s_tables_and_moves_with_the_others(
    v2: V2Database, tmp_path: Path
) -> None:
    await v2.apply("verify")
    for file in (Path(baylight.__file__).parent / "sql" / "migrations").glob("*.sql"):
        (tmp_path / file.name).write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "9999_later.sql").write_text(
        "CREATE TABLE later (id integer PRIMARY KEY);\n"
        "CREATE FUNCTION later_count() RETURNS bigint LANGUAGE plpgsql SET search_path = public, pg_temp"
        " AS $$ BEGIN RETURN (SELECT count(*) FROM later); END $$;",
        encoding="utf-8",
    )
    assert await migrate.upgrade(v2.dsn, directory=tmp_path) == ["9999_later"]
    assert (
        await v2.baylight.fetchval("SELECT later_count() FROM baylight_next.later RIGHT JOIN (SELECT 1) AS x ON true")
        == 0
    )
    await v2.apply("contract")
    assert await v2.admin.fetchval("SELECT public.later_count() + count(*) FROM public.later") == 0


async def test_v2s_keys_are_verified_by_bcrypt_once_then_by_the_fast_hash_on_both_sides_until_revoked(
    v2: V2Database,
) -> None:
    text, other = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    slow = bcrypt.hashpw(text.encode(), bcrypt.gensalt(4)).decode()
    key = await v2.insert("api_keys", {"key_hash": slow, "key_name": "gate"})
    await v2.apply("backfill")
    pool = await open_pool(v2.dsn, size=2)
    verifier = Verifier(pool)
    found = await verifier.verify(text)
    assert found is not None
    assert (found.id, found.name, found.may(Scope.WRITE), found.may(Scope.ADMIN)) == (key, "gate", True, False)
    fast = await pool.fetchval("SELECT key_hash FROM api_keys WHERE id = $1", key)
    assert len(fast) == 64
    assert await v2.legacy.fetchval("SELECT key_hash FROM api_keys WHERE id = $1", key) == slow  # V2 still needs it
    assert await verifier.verify(text) is not None
    assert await verifier.verify(other) is None
    assert await verifier.verify(other) is None
    await v2.legacy.execute("UPDATE api_keys SET is_active = false WHERE id = $1", key)
    assert await verifier.verify(text) is None
    await pool.close()


async def test_what_v2_writes_is_not_announced_since_announcing_transactions_commit_one_after_the_other(
    v2: V2Database,
) -> None:
    space = await v2.add("P1")
    await v2.apply("verify")
    received: list[object] = []
    await v2.baylight.add_listener("baylight_state", lambda *message: received.append(message))
    await v2.legacy.execute("UPDATE spaces SET state = 'OCCUPIED' WHERE id = $1", space)
    await v2.insert("state_changes", {"space_id": space, "new_state": "OCCUPIED", "source": "uplink"})
    await v2.admin.execute("NOTIFY baylight_state, 'last'")
    while not received:
        await v2.baylight.execute("SELECT 1")
    assert [message[3] for message in received] == ["last"]  # type: ignore[index]
    assert await v2.baylight.fetchval("SELECT count(*) FROM state_changes") == 1


async def test_doctor_trusts_the_last_reading_of_v2(v2: V2Database) -> None:
    space = await v2.add("P1", sensor_eui=sensor(1), state="OCCUPIED")
    await v2.insert("sensor_readings", {"device_eui": sensor(1), "space_id": space, "occupancy_state": "OCCUPIED"})
    await v2.apply("switch")
    found = await doctor.examine(v2.baylight, now=datetime.now(UTC), policy=Policy())
    assert [(f.ok, f.detail) for f in found if f.check == "last readings"] == [(True, "agree with the stored uplinks")]
