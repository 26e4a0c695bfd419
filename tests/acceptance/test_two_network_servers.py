"""The Things Stack beside ChirpStack, with the whole program between real brokers and lights."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from baylight.lab.embedded.broker import MosquittoBroker
from baylight.lab.sim.devices import Busylight, Tbms100
from baylight.lab.sim.tts.api import KEY, WEBHOOK, http_api
from baylight.lab.sim.tts.server import FakeTheThingsStack
from baylight.store.pool import Pool
from tests.support import factories
from tests.support.eventually import eventually, until
from tests.support.servers import Database
from tests.support.stage import GREEN, RED, Stage
from tests.support.tts import running

SECRET = "a secret of sixteen and more"


@dataclass
class Garage:
    """Bay at The Things Stack alone. `sensor` and `light` are its simulated devices."""

    tts: FakeTheThingsStack
    bay: factories.Bay
    sensor: Tbms100
    light: Busylight
    settings: dict[str, Any]


@pytest.fixture
async def garage(database: Database, pool: Pool, mosquitto: MosquittoBroker) -> AsyncIterator[Garage]:
    bay = await factories.add_bay(pool, "T-01")
    tts = FakeTheThingsStack(mosquitto.host, mosquitto.port)
    sensor, light = Tbms100(), Busylight()
    tts.add_device(bay.sensor_eui, "bay-017", model=sensor)
    tts.add_device(bay.display_eui, "light-017", class_c=True, model=light)
    await tts.start()
    settings = {
        "database_url": SecretStr(database.dsn),
        "mqtt_host": "",
        "tts_mqtt_host": mosquitto.host,
        "tts_mqtt_port": mosquitto.port,
        "tts_mqtt_user": tts.user,
        "tts_mqtt_key": SecretStr("NNSXS.KEY"),
        "tts_mqtt_tls": False,
        "tts_webhook_secret": SecretStr(SECRET),
        "http_port": 0,
        "downlink_ttl_s": 5,
        "report_timeout_s": 5,
    }
    yield Garage(tts, bay, sensor, light, settings)
    await tts.stop()


async def in_sync(pool: Pool, garage: Garage) -> None:
    sql = "SELECT sync_status FROM display_devices WHERE dev_eui = $1"
    await eventually(pool, sql, garage.bay.display_eui, equals="in_sync")


async def test_a_bay_at_the_things_stack_alone_shows_and_reports_the_true_state(pool: Pool, garage: Garage) -> None:
    async with running(garage.settings):
        garage.light.report()
        garage.sensor.heartbeat()
        await until(lambda: garage.light.code == GREEN)
        await in_sync(pool, garage)
        garage.sensor.set(True)
        await until(lambda: garage.light.code == RED)
        await in_sync(pool, garage)
        await eventually(pool, "SELECT current_state FROM spaces", equals="OCCUPIED")
    way = await pool.fetchrow("SELECT network_server, application_id FROM display_devices")
    assert way == ("tts", "garage/light-017")
    last = await pool.fetchrow("SELECT * FROM actuations ORDER BY id DESC LIMIT 1")
    assert last is not None
    assert last["status"] == "shown"
    assert last["transmitted_at"] is not None  # down/sent was matched by our correlation id
    assert await pool.fetchval("SELECT count(*) FROM rejected_messages") == 0


async def test_a_site_with_only_webhooks_receives_its_downlinks_by_http(pool: Pool, garage: Garage) -> None:
    posts: asyncio.Queue[bytes] = asyncio.Queue()
    garage.tts.webhook = posts.put_nowait

    async def deliver(client: httpx.AsyncClient) -> None:
        while True:
            answer = await client.post("/inbound/tts", content=await posts.get(), headers={"X-Baylight-Secret": SECRET})
            assert answer.status_code == 204

    async with http_api(garage.tts) as base:
        api = {
            "tts_mqtt_host": None,
            "tts_api": base,
            "tts_api_key": SecretStr(KEY),
            "tts_api_application": garage.tts.application,
            "tts_api_webhook": WEBHOOK,
        }
        async with (
            running(garage.settings | api) as program,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{program.http_port}") as client,
        ):
            webhook = asyncio.create_task(deliver(client))
            garage.light.report()
            garage.tts.away = True
            garage.sensor.set(True)
            await eventually(pool, "SELECT count(*) > 0 FROM actuations WHERE downlink_error LIKE '%503%'")
            garage.tts.away = False
            await until(lambda: garage.light.code == RED)
            await in_sync(pool, garage)
            webhook.cancel()
    assert await pool.fetchval("SELECT status FROM actuations ORDER BY id DESC LIMIT 1") == "shown"


async def test_a_light_that_rejoins_there_receives_its_command_again(pool: Pool, garage: Garage) -> None:
    async with running(garage.settings):
        garage.light.first_report_s = 0.2
        garage.light.report()
        garage.sensor.set(True)
        await until(lambda: garage.light.code == RED)
        await in_sync(pool, garage)
        garage.light.power_cut()
        await until(lambda: garage.light.code != RED)
        await until(lambda: garage.light.code == RED)
        await in_sync(pool, garage)


async def test_a_downlink_that_fails_there_is_tried_again(pool: Pool, garage: Garage) -> None:
    async with running(garage.settings):
        garage.light.report()
        garage.tts.refuses = "no_downlink_path"
        garage.sensor.set(True)
        sql = "SELECT count(*) > 0 FROM actuations WHERE downlink_error LIKE '%no_downlink_path%'"
        await eventually(pool, sql)
        garage.tts.refuses = None
        await until(lambda: garage.light.code == RED)
        await in_sync(pool, garage)


async def test_an_event_that_comes_by_mqtt_and_by_the_webhook_counts_once(pool: Pool, garage: Garage) -> None:
    posts: list[bytes] = []
    garage.tts.webhook = posts.append
    async with running(garage.settings) as program:
        garage.light.report()
        garage.sensor.set(True)
        await until(lambda: garage.light.code == RED)
        await in_sync(pool, garage)
        before = await pool.fetchrow("SELECT (SELECT count(*) FROM uplinks), (SELECT count(*) FROM actuation_events)")
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{program.http_port}") as client:
            for post in list(posts):
                answer = await client.post("/inbound/tts", content=post, headers={"X-Baylight-Secret": SECRET})
                assert answer.status_code == 204
        after = await pool.fetchrow("SELECT (SELECT count(*) FROM uplinks), (SELECT count(*) FROM actuation_events)")
    assert before == after
    assert any("uplink_message" in json.loads(post) for post in posts)


async def test_a_frame_that_both_servers_receive_makes_one_uplink_one_change_one_downlink(
    stage: Stage, mosquitto: MosquittoBroker
) -> None:
    """The sensor is registered in both servers with the same session, so both decrypt each of its frames."""
    bay = stage.bays[0]
    tts = FakeTheThingsStack(mosquitto.host, mosquitto.port)
    twin = tts.add_device(bay.sensor_eui, "bay-017")
    await tts.start()
    more = {
        "tts_mqtt_host": mosquitto.host,
        "tts_mqtt_port": mosquitto.port,
        "tts_mqtt_user": tts.user,
        "tts_mqtt_key": SecretStr("NNSXS.KEY"),
        "tts_mqtt_tls": False,
    }
    try:
        async with stage.program(**more) as program:
            await until(lambda: program.consumers["the_things_stack"].connected)
            await stage.begin()
            counts = """
                SELECT (SELECT count(*) FROM uplinks WHERE dev_eui = $1),
                       (SELECT count(*) FROM state_changes), (SELECT count(*) FROM actuations)
            """
            before = await stage.pool.fetchrow(counts, bay.sensor_eui)
            device = stage.fake.devices[bay.sensor_eui]
            bay.sensor.set(not bay.sensor.occupied)
            twin.dev_addr, twin.f_cnt_up = device.dev_addr, device.f_cnt_up - 2  # the frame that was just sent
            frame = bay.sensor.frame() if isinstance(bay.sensor, Tbms100) else bytes([bay.sensor.occupied])
            tts.send_uplink(twin, 102 if isinstance(bay.sensor, Tbms100) else 1, frame)
            await until(lambda: program.ingest.counts["uplink", "redelivered"] == 1, "the second copy was not noticed")
            await stage.all_proven()
            after = await stage.pool.fetchrow(counts, bay.sensor_eui)
    finally:
        await tts.stop()
    assert before is not None
    assert after == tuple(count + 1 for count in before)
