"""The quarantine as a person reads it and works it off."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from typer.testing import CliRunner

from baylight.cli.v2 import app
from baylight.errors import InputError
from baylight.v2 import run
from baylight.v2.quarantine import drop, quarantined, retry
from baylight.v2.session import connected
from tests.support.v2 import V2Database, make_dirty, sensor


async def sentences(v2: V2Database) -> list[str]:
    async with connected(v2.dsn) as connection:
        return [entry.sentence() for entry in await quarantined(connection)]


async def test_h14_the_list_names_the_space_and_the_reason_before_and_after_contract(v2: V2Database) -> None:
    await make_dirty(v2)
    await v2.apply("verify")
    shown = await sentences(v2)
    assert "space D04, sensor_eui 'acmesensor0001': is no DevEUI, which has 16 hex digits: correct it in V2" in shown
    assert any(s.startswith("space D09, gps") and "half a position" in s for s in shown)
    assert any(s.startswith("space D11 (reservation ") and "overlaps a reservation" in s for s in shown)
    assert all("None" not in s for s in shown), shown
    await v2.apply("contract")
    assert await sentences(v2) == shown


async def test_h14_retry_carries_what_fits_now_and_says_what_is_left(v2: V2Database) -> None:
    space = await v2.add("P1", sensor_eui="short", display_eui="bad")
    await v2.apply("verify")
    async with v2.admin.transaction():  # a correction that V2's trigger does not see
        await v2.admin.execute("ALTER TABLE spaces DISABLE TRIGGER USER")
        await v2.admin.execute("UPDATE spaces SET sensor_eui = $1 WHERE id = $2", sensor(1), space)
        await v2.admin.execute("ALTER TABLE spaces ENABLE TRIGGER USER")
    async with connected(v2.dsn) as connection:
        assert await retry(connection, "P1") == (2, 1)
        with pytest.raises(InputError, match="nothing of 'P9' is in quarantine"):
            await retry(connection, "P9")
    assert (await v2.new(space))["sensor_deveui"] == sensor(1)


async def test_h14_what_a_person_drops_is_no_longer_counted_and_stays_in_v2(v2: V2Database) -> None:
    space = await v2.add("P1", sensor_eui="short")
    await v2.apply("verify")
    async with connected(v2.dsn) as connection:
        with pytest.raises(InputError, match="--reason"):
            await drop(connection, "P1", reason=" ", by="me")
        assert len(await drop(connection, "P1", reason="a test bay", by="me")) == 1
        assert (await run.status(connection)).quarantined == {}
        await retry(connection, None)  # the same value again is still dropped
    await v2.legacy.execute("UPDATE spaces SET name = 'other' WHERE id = $1", space)
    assert await sentences(v2) == []
    assert (await v2.old(space))["sensor_eui"] == "short"
    assert (await v2.verify()).green
    assert (await v2.verify()).quarantined == 0
    await v2.legacy.execute("UPDATE spaces SET sensor_eui = 'shorter' WHERE id = $1", space)
    assert len(await sentences(v2)) == 1, "another value is another decision"
    assert await v2.admin.fetchval("SELECT reason FROM v2_migration.quarantine_drops") == "a test bay"


async def test_h8_each_error_of_the_database_is_one_line_with_what_to_do(v2: V2Database, monkeypatch: Any) -> None:
    await v2.add("P1")
    await v2.apply("expand")
    cli = CliRunner()

    async def invoke(*arguments: str) -> tuple[int, str]:
        result = await asyncio.to_thread(cli.invoke, app, list(arguments))
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.output

    monkeypatch.setenv("BAYLIGHT_DATABASE_URL", f"{v2.dsn}{'&' if '?' in v2.dsn else '?'}role=parking")
    code, text = await invoke("verify")
    assert (code, "PostgreSQL reports 42501" in text, "owner of V2's tables" in text) == (2, True, True), text
    monkeypatch.setenv("BAYLIGHT_DATABASE_URL", v2.dsn)
    await v2.admin.execute("DROP FUNCTION v2_migration.replay_assignments")
    code, text = await invoke("apply", "--to", "backfill")
    assert (code, "PostgreSQL reports 42883: function v2_migration.replay_assignments" in text) == (2, True), text
    await v2.admin.execute("ALTER TABLE reservations DROP COLUMN user_phone")
    code, text = await invoke("apply", "--to", "backfill")
    assert (code, "reservations.user_phone is missing. Bring it back" in text) == (2, True), text
