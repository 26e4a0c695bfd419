"""API keys."""

from __future__ import annotations

import asyncio
import secrets
from datetime import UTC, datetime, timedelta

import bcrypt
import pytest

from baylight.access import keys
from baylight.access.keys import Scope, Verifier
from baylight.errors import InputError, NotFoundError, TransientError
from baylight.store.pool import Pool
from tests.support.change import by
from tests.support.eventually import until


async def test_a_created_key_verifies_and_its_text_is_not_stored(pool: Pool) -> None:
    async with pool.acquire() as connection:
        key, text = await keys.create_key(by(connection, actor="cli"), "gate", ["read"])
    found = await Verifier(pool).verify(text)
    assert found is not None
    assert (found.id, found.name, found.scopes) == (key.id, "gate", [Scope.READ])
    assert text.startswith(key.prefix + "_")
    assert len(text) == 11 + 1 + 43
    secret = text.removeprefix(key.prefix + "_")
    tables = await pool.fetchval(
        """SELECT string_agg(t, '')
           FROM (SELECT a::text AS t FROM api_keys a UNION ALL SELECT l::text FROM audit_log l) AS x"""
    )
    assert secret not in tables


async def test_a_wrong_secret_a_wrong_prefix_and_other_texts_are_refused(pool: Pool) -> None:
    async with pool.acquire() as connection:
        _, text = await keys.create_key(by(connection, actor="cli"), "gate", ["read"])
    verify = Verifier(pool).verify
    changed = text[:-1] + ("A" if text[-1] != "A" else "B")
    other = "bl_00000000" + text[11:]
    for wrong in (changed, other, "", "bl_", text + "x", text[:-1], text.upper(), "bl_\x0012345678_" + "a" * 43):
        assert await verify(wrong) is None


async def test_a_revoked_key_is_refused_at_once_and_revoking_is_idempotent(pool: Pool) -> None:
    async with pool.acquire() as connection:
        key, text = await keys.create_key(by(connection, actor="cli"), "gate", ["write"])
        verifier = Verifier(pool)
        assert await verifier.verify(text) is not None
        revoked = await keys.revoke_key(by(connection, actor="cli"), key.prefix)
        assert await verifier.verify(text) is None
        assert (await keys.revoke_key(by(connection, actor="cli"), str(key.id))).revoked_at == revoked.revoked_at
        with pytest.raises(NotFoundError):
            await keys.revoke_key(by(connection, actor="cli"), "bl_nothing0")


@pytest.mark.parametrize(
    ("own", "may"),
    [(["read"], {"read"}), (["write"], {"read", "write"}), (["admin"], {"read", "write", "admin"})],
)
async def test_write_implies_read_and_admin_implies_all(pool: Pool, own: list[str], may: set[str]) -> None:
    async with pool.acquire() as connection:
        key, _ = await keys.create_key(by(connection, actor="cli"), "k", own)
    assert {scope.value for scope in Scope if key.may(scope)} == may


@pytest.mark.parametrize("scopes", [[], ["root"], ["read", "everything"]])
async def test_unknown_scopes_are_refused(pool: Pool, scopes: list[str]) -> None:
    async with pool.acquire() as connection:
        with pytest.raises(InputError, match="scopes"):
            await keys.create_key(by(connection, actor="cli"), "k", scopes)


async def test_last_use_is_written_at_most_once_a_minute(pool: Pool) -> None:
    async with pool.acquire() as connection:
        key, text = await keys.create_key(by(connection, actor="cli"), "k", ["read"])
    verifier = Verifier(pool)
    await verifier.verify(text)
    first = await _last_used(pool, key)
    assert first is not None
    await verifier.verify(text)
    assert await _last_used(pool, key) == first
    await pool.execute("UPDATE api_keys SET last_used_at = now() - interval '2 minutes'")
    await verifier.verify(text)
    latest = await _last_used(pool, key)
    assert latest is not None
    assert latest > first


async def test_b16_a_key_is_found_by_its_indexed_prefix_and_a_fast_keyed_hash(pool: Pool) -> None:
    async with pool.acquire() as connection:
        key, text = await keys.create_key(by(connection, actor="cli"), "k", ["read"])
        row = await connection.fetchrow("SELECT key_hash, key_prefix FROM api_keys WHERE id = $1", key.id)
        assert row is not None
        assert row["key_prefix"] == text[:11]
        assert len(bytes.fromhex(row["key_hash"])) == 32
        # Another installation's secret gives another hash: a stolen table cannot be searched without it.
        await connection.execute("UPDATE installation SET key_secret = sha256('other')")
        assert await Verifier(pool).verify(text) is None
        await connection.execute("SET enable_seqscan = off")
        plan = await connection.fetch("EXPLAIN SELECT 1 FROM api_keys WHERE key_prefix = 'bl_aaaaaaaa' AND is_active")
        assert any("api_keys_prefix_key" in line[0] for line in plan)


async def test_creating_and_revoking_is_in_the_audit_log(pool: Pool) -> None:
    async with pool.acquire() as connection:
        key, _ = await keys.create_key(by(connection, actor="anna"), "k", ["admin"])
        await keys.revoke_key(by(connection, actor="bert"), key.prefix)
        assert [found.id for found in await keys.list_keys(connection)] == [key.id]
    rows = await pool.fetch("SELECT actor, action, object_id FROM audit_log ORDER BY id")
    assert [tuple(row) for row in rows] == [
        ("anna", "key.create", str(key.id)),
        ("bert", "key.revoke", str(key.id)),
    ]


async def test_f7_a_flood_of_unknown_keys_is_refused_and_a_key_of_v2s_is_converted(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that is not found within the time is found by a later try: its comparison goes on."""
    text, salt = secrets.token_urlsafe(32), bcrypt.gensalt(rounds=10)
    async with pool.acquire() as connection:
        await keys.create_key(by(connection, actor="test"), "gate", ["read"])
    hashed = bcrypt.hashpw(text.encode(), salt).decode()
    await pool.execute("UPDATE api_keys SET key_hash = $1, key_prefix = NULL", hashed)
    verifier = Verifier(pool)
    monkeypatch.setattr(keys, "CHECK_S", 0.01)
    flood = [verifier.verify(secrets.token_urlsafe(32)) for _ in range(50)]
    answers = await asyncio.gather(verifier.verify(text), *flood, return_exceptions=True)
    assert all(answer is None or isinstance(answer, TransientError) for answer in answers)
    assert sum(isinstance(answer, TransientError) for answer in answers) >= 50 - keys.MAX_CHECKS
    assert len(verifier._checks) <= keys.MAX_CHECKS

    async def found() -> bool:
        try:
            return await verifier.verify(text) is not None
        except TransientError:
            return False

    await until(found, every_s=0.05)


async def _last_used(pool: Pool, key: keys.Key) -> datetime | None:
    at: datetime | None = await pool.fetchval("SELECT last_used_at FROM api_keys WHERE id = $1", key.id)
    return at


async def test_f8_a_key_is_refused_from_its_expiry_on(pool: Pool) -> None:
    async with pool.acquire() as connection:
        now = datetime.now(UTC)
        change = by(connection, actor="cli", now=now)
        key, text = await keys.create_key(change, "gate", ["read"], expires_at=now + timedelta(hours=1))
        assert key.expires_at == now + timedelta(hours=1)
        with pytest.raises(InputError) as error:
            await keys.create_key(change, "late", ["read"], expires_at=now)
        assert error.value.code == "in_the_past"
    verifier = Verifier(pool)
    assert await verifier.verify(text) == key
    assert await verifier.is_live(key)
    await pool.execute("UPDATE api_keys SET expires_at = now()")
    assert await verifier.verify(text) is None
    assert not await verifier.is_live(key)
