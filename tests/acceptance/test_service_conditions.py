"""Conditions of services: begun and ended once, and the same in readiness, metrics, log, database and doctor."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from baylight.access import keys
from baylight.app import backlog
from baylight.app.program import Program
from baylight.domain.conditions import Condition, ConditionKind
from baylight.lab.embedded.broker import MosquittoBroker
from baylight.lab.embedded.postgres import EmbeddedPostgres
from baylight.settings import Settings
from baylight.store import migrate
from baylight.store.pool import Pool, open_pool
from tests.support.change import by
from tests.support.chirpstack_api import Key, KeyedServer, serving
from tests.support.eventually import eventually, until
from tests.support.servers import Database
from tests.support.stage import Stage, stage_on

AWAY, KEY_REFUSED = ConditionKind.NETWORK_SERVER_AWAY, ConditionKind.NETWORK_SERVER_KEY_REFUSED
ROOT = Path(__file__).resolve().parents[2]
FAULTS = {Key.DELETED: "was deleted", Key.READ_ONLY: "may only read", Key.OTHER_TENANT: "another tenant",
          Key.GARBAGE: "no key of this ChirpStack"}  # fmt: skip


@pytest.fixture
async def keyed(stage: Stage) -> AsyncIterator[KeyedServer]:
    """Return an API that accepts the commands for the lamps of the stage, and sends none of them."""
    devices = {bay.display_eui: stage.fake.application_id for bay in stage.bays}
    async with serving(KeyedServer(devices, ours=stage.fake.application_id)) as server:
        yield server


async def ask(program: Program, path: str, key: str | None = None) -> httpx.Response:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{program.http_port}", headers=headers) as client:
        return await client.get(path)


async def read_key(pool: Pool) -> str:
    async with pool.acquire() as connection:
        return (await keys.create_key(by(connection, actor="test"), "test", ["read"]))[1]


async def report_all(stage: Stage) -> None:
    """Let each lamp send an uplink, so that ChirpStack has reported it."""
    for bay in stage.bays:
        await stage.fake.uplink(bay.display_eui, 15, bytes(24))
    await eventually(stage.pool, "SELECT count(*) FROM display_devices WHERE heard_network_at IS NULL", equals=0)


async def doctor(settings: Settings, **more: str) -> dict[str, Any]:
    """Run the command; return its findings by name."""
    given = {
        f"BAYLIGHT_{name.upper()}": value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        for name, value in settings.model_dump().items()
        if value is not None
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BAYLIGHT_")}
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "baylight", "doctor", "--json"],
        env=kept | {"PYTHONPATH": str(ROOT / "src"), "PYTHONWARNINGS": "ignore"} | given | more,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    return {finding["check"]: finding for finding in json.loads(done.stdout)}


@pytest.mark.parametrize("key", FAULTS)
async def test_i4_a_fault_of_the_key_is_one_condition_of_the_network_server(
    stage: Stage, keyed: KeyedServer, key: Key
) -> None:
    ended: list[Condition] = []
    with capture_logs() as logs:
        async with stage.program(chirpstack_api=keyed.target) as program:
            program.conditions.on_end.append(ended.append)
            await report_all(stage)
            keyed.key = key
            for bay in stage.bays:
                await stage.park.arrive(bay.code)
            await until(lambda: program.conditions.find(KEY_REFUSED, "chirpstack"))
            found = program.conditions.find(KEY_REFUSED, "chirpstack")
            assert found is not None
            assert FAULTS[key] in found.evidence
            await eventually(stage.pool, "SELECT count(*) FROM actuations WHERE status = 'pending'", equals=2)
            assert await stage.pool.fetchval("SELECT count(*) FROM actuations WHERE status = 'failed'") == 0

            ready = await ask(program, "/health/ready", await read_key(stage.pool))
            assert (ready.status_code, ready.json()["problems"]) == (200, {})
            assert [(c["kind"], c["service"]) for c in ready.json()["conditions"]] == [(str(KEY_REFUSED), "chirpstack")]
            metrics = (await ask(program, "/metrics", await read_key(stage.pool))).text
            assert 'since_seconds{kind="network_server_key_refused",service="chirpstack"}' in metrics
            await eventually(stage.pool, "SELECT kind FROM conditions WHERE ended_at IS NULL", equals=str(KEY_REFUSED))
            findings = await doctor(program.settings)
            assert FAULTS[key] in findings["network server"]["detail"]
            assert "not read-only" in findings["network server"]["what_to_do"]
            assert FAULTS[key] in findings["service chirpstack"]["detail"]
            assert findings["displays"]["ok"], "the lamps are not at fault"

            keyed.key = Key.TENANT
            await until(lambda: len(set(keyed.accepted)) == 2)
            await until(lambda: program.conditions.find(KEY_REFUSED, "chirpstack") is None)
            assert [c.since for c in ended if c.kind is KEY_REFUSED] == [found.since]
            assert program.conditions.open() == []
            await eventually(stage.pool, "SELECT count(*) FROM conditions WHERE ended_at IS NULL", equals=0)
    lines = [line["event"] for line in logs if line["event"].startswith("condition_")]
    assert lines == ["condition_began", "condition_ended"]


async def test_i4_one_lamp_that_was_deleted_there_is_no_fault_of_the_key(stage: Stage, keyed: KeyedServer) -> None:
    gone, other = stage.bays
    async with stage.program(chirpstack_api=keyed.target) as program:
        await report_all(stage)
        del keyed.devices[gone.display_eui]
        for bay in (gone, other):
            await stage.park.arrive(bay.code)
        await until(lambda: other.display_eui in keyed.accepted)
        error = "SELECT downlink_error LIKE '%knows no device%' FROM actuations WHERE display_deveui = $1"
        await eventually(stage.pool, error, gone.display_eui)
        assert program.conditions.find(ConditionKind.NETWORK_SERVER_KEY_REFUSED, "chirpstack") is None


async def test_i18_an_absent_network_server_is_known_though_nothing_is_to_be_sent(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("baylight.app.service_watch.ASK_S", 0.5)
    with capture_logs() as logs:
        async with stage.program() as program:
            await stage.begin()
            await stage.fake.grpc_down()
            await until(lambda: program.conditions.find(AWAY, "chirpstack"))
            ready = await ask(program, "/health/ready", await read_key(stage.pool))
            assert ready.status_code == 200
            assert [c["kind"] for c in ready.json()["conditions"]] == [str(AWAY)]
            await eventually(stage.pool, "SELECT kind FROM conditions WHERE ended_at IS NULL", equals=str(AWAY))
            findings = await doctor(program.settings)
            assert "network server away since" in findings["service chirpstack"]["detail"]
            assert not findings["network server"]["ok"]
            await stage.fake.grpc_up()
            await until(lambda: program.conditions.open() == [])
            await eventually(stage.pool, "SELECT count(*) FROM conditions WHERE ended_at IS NULL", equals=0)
    lines = [(line["event"], line["kind"]) for line in logs if line["event"].startswith("condition_")]
    assert lines == [("condition_began", str(AWAY)), ("condition_ended", str(AWAY))]


@pytest.mark.parametrize("kept", [False, True])
async def test_i18_after_an_absence_the_spaces_are_unproven_until_the_next_report(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    monkeypatch.setattr("baylight.app.service_watch.ASK_S", 0.2)
    monkeypatch.setattr("baylight.insight.services.MARGIN", timedelta(0))
    marks = "SELECT count(*) FROM sensor_devices WHERE unproven_reason = 'network_server_away'"
    async with stage.program(uplinks_kept=kept) as program:
        await stage.begin()
        await stage.fake.grpc_down()
        await until(lambda: program.conditions.find(AWAY, "chirpstack"))
        await stage.fake.grpc_up()
        await until(lambda: program.conditions.open() == [])
        await program.absences.settled()
        assert await stage.pool.fetchval(marks) == (0 if kept else 2)
        for bay in stage.bays:
            bay.sensor.heartbeat()
        await eventually(stage.pool, marks, equals=0)


async def test_i18_a_condition_that_outlasts_a_restart_keeps_its_since(stage: Stage) -> None:
    await stage.fake.grpc_down()
    since = "SELECT since FROM conditions WHERE ended_at IS NULL"
    async with stage.program():
        await eventually(stage.pool, f"SELECT ({since}) IS NOT NULL")
        first = await stage.pool.fetchval(since)
    async with stage.program() as program:
        await until(lambda: program.conditions.find(AWAY, "chirpstack"))
        found = program.conditions.find(AWAY, "chirpstack")
        assert found is not None
        assert found.since == first == await stage.pool.fetchval(since)
        await stage.fake.grpc_up()
        await eventually(stage.pool, "SELECT count(*) FROM conditions WHERE ended_at IS NULL", equals=0)
    assert await stage.pool.fetchval("SELECT count(*) FROM conditions WHERE kind = 'network_server_away'") == 1


async def test_i18_a_condition_that_ended_while_no_process_ran_is_ended_by_the_next(stage: Stage) -> None:
    ended: list[Condition] = []
    await stage.fake.grpc_down()
    async with stage.program():
        await eventually(stage.pool, "SELECT count(*) FROM conditions WHERE ended_at IS NULL", equals=1)
    await stage.fake.grpc_up()
    program = Program(stage.settings())
    program.conditions.on_end.append(ended.append)
    stopping = asyncio.Event()
    running = asyncio.create_task(program.run(stopping))
    await until(lambda: AWAY in [c.kind for c in ended])
    await eventually(stage.pool, "SELECT count(*) FROM conditions WHERE ended_at IS NULL", equals=0)
    stopping.set()
    await running


async def test_b5_a_network_server_that_is_not_set_up_is_logged_once_with_its_displays(stage: Stage) -> None:
    await stage.pool.execute("UPDATE display_devices SET network_server = 'tts'")
    with capture_logs() as logs:
        async with stage.program() as program:
            for _ in range(3):
                for bay in stage.bays:
                    await stage.park.arrive(bay.code)
                    await stage.park.leave(bay.code)
            await eventually(stage.pool, "SELECT count(*) > 4 FROM actuations WHERE status = 'failed'")
            found = program.conditions.find(ConditionKind.NETWORK_SERVER_NOT_SET, "tts")
            assert found is not None
            assert found.evidence == "2 displays are reached through tts"
            findings = await doctor(program.settings)
            assert "2 displays through tts" in findings["network servers"]["detail"]
            assert program.problems() == {}
            causes = "SELECT count(*) FROM conditions WHERE kind = 'display_undeliverable' AND cause_kind = $1"
            await eventually(stage.pool, causes, str(ConditionKind.NETWORK_SERVER_NOT_SET), equals=2)
    about = [line for line in logs if "not_set" in str(line) and line["log_level"] != "debug"]
    assert [line["event"] for line in about] == ["condition_began"]


async def test_d2_messages_that_wait_too_long_are_a_backlog_that_withdraws_readiness(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "WAITS_TOO_LONG_S", 0.5)
    async with stage.program() as program:
        assert (await ask(program, "/health/ready")).status_code == 200
        async with stage.pool.acquire() as other, other.transaction():
            await other.execute("SELECT FROM sensor_devices FOR UPDATE")  # ingest waits for these rows
            arrived = asyncio.create_task(stage.park.arrive(stage.bays[0].code))
            await until(lambda: "broker" in program.problems())
            assert "messages wait longer" in program.problems()["broker"]
            assert (await ask(program, "/health/ready")).status_code == 503
        await arrived
        await until(lambda: program.problems() == {})
        await eventually(
            stage.pool, "SELECT count(*) FROM conditions WHERE kind = 'backlog' AND ended_at IS NOT NULL", equals=1
        )


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


async def test_d2_a_database_that_hangs_withdraws_readiness_within_5_s(
    own_postgres: EmbeddedPostgres, mosquitto: MosquittoBroker
) -> None:
    dsn = own_postgres.dsn()
    await migrate.upgrade(dsn)
    pool = await open_pool(dsn, size=2)
    async with stage_on(Database(dsn), pool, mosquitto) as stage, stage.program() as program:
        assert (await ask(program, "/health/ready")).status_code == 200
        asks = "SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE '-- Number of usable displays%'"
        await eventually(pool, asks + " AND pid <> pg_backend_pid()")
        rows = await pool.fetch("SELECT pid FROM pg_stat_activity")
        backends = [row["pid"] for row in rows]
        parent = _parent(backends[0])
        pids = [parent, *backends]
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            await until(lambda: "database" in program.problems())
            took_s = clock() - began
            assert (await ask(program, "/health/ready")).status_code == 503
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
        await until(lambda: program.problems() == {})
    assert took_s < 5
    pool.terminate()
