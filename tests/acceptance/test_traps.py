"""Faults from the field, through the whole program: those rows of the list of traps that no other test covers."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from baylight.access import keys
from tests.support.change import by
from tests.support.eventually import eventually
from tests.support.processes import all_stored
from tests.support.stage import FLASHING_BLUE, GREEN, RED, Stage

ROOT = Path(__file__).resolve().parents[2]
FLOOD = 1500


async def test_b6_a_reading_that_is_reported_many_times_is_one_change(stage: Stage) -> None:
    bay = stage.bays[1]
    async with stage.program():
        await stage.begin()
        await stage.park.arrive(bay.code)
        for _ in range(20):
            bay.sensor.heartbeat()
        await all_stored(stage)
        await stage.all_proven()
    changes = "SELECT count(*) FROM state_changes WHERE space_id = $1"
    assert await stage.pool.fetchval(changes, stage.spaces[bay.code]) == 2
    assert await stage.statuses(bay) == ["shown", "shown"]


async def test_b7_readings_of_a_sensor_that_rejoined_count_though_its_counters_restart(stage: Stage) -> None:
    bay = stage.bays[1]
    async with stage.program():
        await stage.begin()
        for light in (RED, GREEN, RED):
            await stage.fake.join(bay.sensor_eui)
            await (stage.park.leave if bay.occupied else stage.park.arrive)(bay.code)
            await stage.shows(bay, light)
        await all_stored(stage)


async def test_b15_a_flood_of_events_is_stored_in_full_while_the_api_answers(stage: Stage) -> None:
    bay = stage.bays[1]
    async with stage.pool.acquire() as connection:
        _, text = await keys.create_key(by(connection, actor="tests"), "tests", ["read"])
    async with stage.program() as program:
        await stage.begin()
        base = f"http://127.0.0.1:{program.http_port}"
        async with httpx.AsyncClient(base_url=base, headers={"Authorization": f"Bearer {text}"}) as client:

            async def ask() -> int:
                return (await client.get("/api/v1/spaces")).status_code

            for _ in range(FLOOD):
                bay.sensor.heartbeat()
            codes = await asyncio.gather(*(ask() for _ in range(20)))
        assert set(codes) == {200}
        await all_stored(stage)
        await stage.all_proven()


async def test_b16_a_key_of_the_network_server_is_in_no_table_and_no_log(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    async with stage.program() as program:
        await stage.begin()
        assert stage.fake.api_key not in repr(program.settings)
        await stage.fake.grpc_down()
        await stage.park.arrive(stage.bays[0].code)
        await eventually(stage.pool, "SELECT count(*) > 0 FROM actuations WHERE downlink_error IS NOT NULL")
    rows = await stage.pool.fetch(
        "SELECT a::text FROM actuations AS a UNION ALL SELECT e::text FROM actuation_events AS e"
    )
    out = capsys.readouterr()
    assert not any(stage.fake.api_key in text for text in (*(row["a"] for row in rows), out.out, out.err))


async def test_b21_a_state_that_was_known_days_ago_is_unknown_at_the_start(stage: Stage) -> None:
    bay, other = stage.bays
    async with stage.program():
        await stage.begin()
    long_ago = datetime.now(UTC) - timedelta(days=3)
    await stage.pool.execute("UPDATE sensor_devices SET occupancy_at = $1 WHERE dev_eui = $2", long_ago, bay.sensor_eui)
    await stage.pool.execute("UPDATE spaces SET recompute_at = $1 WHERE code = $2", long_ago, bay.code)
    async with stage.program():
        await stage.shows(bay, FLASHING_BLUE)
        await stage.all_proven()
    assert other.light.code == GREEN


async def test_b22_a_reading_that_its_sensor_marks_as_faulty_is_not_used(stage: Stage) -> None:
    bay = stage.bays[0]
    async with stage.program():
        await stage.pool.execute(
            "UPDATE sensor_devices SET device_type = 'fleximodo' WHERE dev_eui = $1", bay.sensor_eui
        )
        await stage.fake.uplink(bay.sensor_eui, 2, bytes.fromhex("0009") + bytes(8))
        await stage.shows(bay, GREEN)
        await stage.fake.uplink(bay.sensor_eui, 2, bytes.fromhex("0429") + bytes(8))  # free, and at fault
        await stage.shows(bay, FLASHING_BLUE)
        assert await stage.state(bay) == "UNKNOWN"
        await stage.fake.uplink(bay.sensor_eui, 2, bytes.fromhex("000a") + bytes(8))
        await stage.shows(bay, RED)


def test_b23_naive_times_are_refused_by_lint(tmp_path: Path) -> None:
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
    assert "DTZ" in rules["select"]
    ignored = [*rules["ignore"], *(rule for part in rules["per-file-ignores"].values() for rule in part)]
    assert not any(rule.startswith("DTZ") for rule in ignored)
    ruff = shutil.which("ruff") or shutil.which("ruff", path=str(Path(sys.executable).parent))
    if ruff is None:
        pytest.skip("ruff is not installed: make setup")
    naive = tmp_path / "naive.py"
    naive.write_text("from datetime import datetime\n\nnow = datetime.now()\nthen = datetime(2026, 3, 2)\n")
    config = str(ROOT / "pyproject.toml")
    done = subprocess.run(
        [ruff, "check", "--no-cache", "--config", config, "--output-format", "concise", naive],
        capture_output=True,
        text=True,
    )
    assert {"DTZ005", "DTZ001"} <= set(done.stdout.replace(":", " ").split())
