"""Several applications of The Things Stack in one process: each downlink goes to the application of its device."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from baylight.access import keys
from baylight.app.program import Program
from baylight.domain.conditions import ConditionKind
from baylight.lab.embedded.broker import MosquittoBroker
from baylight.lab.sim.devices import Busylight, Tbms100
from baylight.lab.sim.tts.api import KEY, WEBHOOK, http_api
from baylight.lab.sim.tts.server import FakeTheThingsStack
from baylight.settings import Settings
from baylight.store.pool import Pool
from tests.support import factories
from tests.support.change import by
from tests.support.eventually import eventually, until
from tests.support.servers import Database
from tests.support.stage import RED
from tests.support.tts import running

NAMES = ("garage", "annex", "roof")
SECRET = "a secret of sixteen and more"


@dataclass
class Hall:
    """Application with one bay. `sensor` and `lamp` are its simulated devices."""

    tts: FakeTheThingsStack
    bay: factories.Bay
    sensor: Tbms100
    lamp: Busylight


@pytest.fixture
async def halls(pool: Pool, mosquitto: MosquittoBroker) -> AsyncIterator[dict[str, Hall]]:
    """Three applications. The device ids are the same in each."""
    async with AsyncExitStack() as stack:
        found = {}
        for name in NAMES:
            bay, sensor, lamp = await factories.add_bay(pool, f"{name}-1"), Tbms100(), Busylight()
            tts = FakeTheThingsStack(mosquitto.host, mosquitto.port, application=name)
            tts.add_device(bay.sensor_eui, "eye", model=sensor)
            tts.add_device(bay.display_eui, "lamp", class_c=True, model=lamp)
            await tts.start()
            stack.push_async_callback(tts.stop)
            found[name] = Hall(tts, bay, sensor, lamp)
        yield found


@pytest.fixture
def environment(database: Database, mosquitto: MosquittoBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings as a person types them: one connection without a name, and two with a name."""
    given = {"BAYLIGHT_DATABASE_URL": database.dsn, "BAYLIGHT_MQTT_HOST": "", "BAYLIGHT_HTTP_PORT": "0"}
    for name, prefix in (("garage", "TTS_"), ("annex", "TTS__ANNEX__"), ("roof", "TTS__ROOF__")):
        of = f"BAYLIGHT_{prefix}MQTT_"
        given |= {f"{of}HOST": mosquitto.host, f"{of}PORT": str(mosquitto.port), f"{of}USER": f"{name}@ttn"}
        given |= {f"{of}KEY": "NNSXS.KEY", f"{of}TLS": "false"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)


async def ask(program: Program, path: str, key: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{program.http_port}", headers=headers) as client:
        return await client.get(path)


async def read_key(pool: Pool) -> str:
    async with pool.acquire() as connection:
        return (await keys.create_key(by(connection, actor="test"), "test", ["read"]))[1]


async def alive(pool: Pool, halls: dict[str, Hall]) -> None:
    """Let each lamp send, so that its address is known."""
    for hall in halls.values():
        hall.lamp.report()
    await eventually(pool, "SELECT count(*) FROM display_devices WHERE application_id LIKE '%/lamp'", equals=len(halls))


@pytest.mark.usefixtures("environment")
async def test_b7_each_downlink_goes_to_the_application_of_its_device(pool: Pool, halls: dict[str, Hall]) -> None:
    async with running({}) as program:
        assert list(program.consumers) == ["the_things_stack", "the_things_stack_annex", "the_things_stack_roof"]
        assert len({consumer.client_id for consumer in program.consumers.values()}) == 3
        await alive(pool, halls)
        for name, hall in halls.items():
            hall.sensor.set(True)
            await until(lambda hall=hall: hall.lamp.code == RED, f"the lamp of {name} was not reached")
        await eventually(pool, "SELECT count(*) FROM actuations WHERE status = 'shown'", equals=3)
    rows = await pool.fetch("SELECT application_id FROM display_devices ORDER BY 1")
    assert [row["application_id"] for row in rows] == ["annex/lamp", "garage/lamp", "roof/lamp"]


@pytest.mark.usefixtures("environment")
async def test_b7_a_device_that_moves_to_another_application_is_reached_there(
    pool: Pool, halls: dict[str, Hall]
) -> None:
    async with running({}):
        await alive(pool, halls)
        home, away = halls["garage"], halls["annex"]
        moved = away.tts.add_device(home.bay.display_eui, "moved-lamp", class_c=True)
        away.tts.join(moved)
        away.tts.send_uplink(moved, 15, bytes(24))
        await eventually(
            pool,
            "SELECT application_id FROM display_devices WHERE dev_eui = $1",
            home.bay.display_eui,
            equals="annex/moved-lamp",
        )
        home.sensor.set(True)
        await until(lambda: moved.received)


@pytest.mark.usefixtures("environment")
async def test_b7_a_connection_that_fails_is_named_in_readiness(
    pool: Pool, halls: dict[str, Hall], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv("BAYLIGHT_TTS__ROOF__MQTT_PORT", str(port))
    async with running({}, ready=False) as program:
        away = ConditionKind.BROKER_AWAY
        await until(lambda: program.conditions.find(away, "the_things_stack_roof"))
        await until(lambda: not program.conditions.find(away, "the_things_stack_annex"))
        ready = await ask(program, "/health/ready", await read_key(pool))
        assert list(ready.json()["problems"]) == ["the_things_stack_roof"]
        del halls["roof"]
        await alive(pool, halls)
        halls["annex"].sensor.set(True)
        await until(lambda: halls["annex"].lamp.code == RED)


async def test_b7_webhooks_and_apis_of_several_applications_are_apart(
    database: Database, pool: Pool, halls: dict[str, Hall]
) -> None:
    async with AsyncExitStack() as stack:
        tts: dict[str, Any] = {}
        for name in ("annex", "roof"):
            api = await stack.enter_async_context(http_api(halls[name].tts))
            tts[name] = {
                "api": api,
                "api_key": KEY if name == "annex" else "revoked",
                "api_application": name,
                "api_webhook": WEBHOOK,
                "webhook_secret": f"{SECRET} {name}",
            }
        settings = {"database_url": SecretStr(database.dsn), "mqtt_host": "", "http_port": 0, "tts": tts}
        program = await stack.enter_async_context(running(settings))
        client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{program.http_port}")
        await stack.enter_async_context(client)

        async def deliver(name: str) -> None:
            hall = halls[name]
            for device_id, f_port, data in (("lamp", 15, bytes(24)), ("eye", 102, hall.sensor.frame())):
                body = hall.tts.send_uplink(hall.tts.devices[device_id], f_port, data)
                for path, code in ((f"tts_{name}", 204), ("tts", 404)):
                    headers = {"X-Baylight-Secret": f"{SECRET} {name}"}
                    answer = await client.post(f"/inbound/{path}", content=body, headers=headers)
                    assert answer.status_code == code

        for name in ("annex", "roof"):
            halls[name].sensor.occupied = True
            await deliver(name)
        wrong = await client.post("/inbound/tts_roof", content=b"{}", headers={"X-Baylight-Secret": f"{SECRET} annex"})
        assert wrong.status_code == 401
        await until(lambda: halls["annex"].lamp.code == RED)
        await until(lambda: program.conditions.find(ConditionKind.NETWORK_SERVER_KEY_REFUSED, "tts_roof"))
        assert program.conditions.find(ConditionKind.NETWORK_SERVER_KEY_REFUSED, "tts_annex") is None
    assert not halls["roof"].tts.devices["lamp"].received


@pytest.mark.usefixtures("environment")
def test_b7_a_setting_of_a_connection_that_is_not_known_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(Settings().tts_connections()) == ["", "annex", "roof"]
    monkeypatch.setenv("BAYLIGHT_TTS__ROOF__MQTT_HOTS", "x")
    with pytest.raises(ValueError, match=r"tts\.roof\.mqtt_hots"):
        Settings()
