"""Addresses at The Things Stack: downlinks reach the real device id, whatever is imported before or after."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import SecretStr

from baylight.bulk import device_lists, imports
from baylight.bulk.imports import Report
from baylight.errors import ConflictError
from baylight.inventory import devices
from baylight.lab.embedded.broker import MosquittoBroker
from baylight.lab.sim.devices import Busylight, Tbms100
from baylight.lab.sim.tts.server import FakeTheThingsStack
from baylight.store.pool import Pool
from tests.support import factories
from tests.support.change import by
from tests.support.eventually import eventually, until
from tests.support.servers import Database
from tests.support.stage import GREEN, RED
from tests.support.tts import running

LAMP = "2020200000000011"
CSV = (
    "id;dev_eui;join_eui;name;frequency_plan_id;lorawan_version;lorawan_phy_version;app_key;brand_id;model_id\n"
    f"lamp-deck-1;{LAMP};0000000000000000;Lamp Deck 1;EU_863_870_TTN;MAC_V1_0_3;;00;plenom;busylight\n"
)


def exported(eui: str = LAMP, device_id: str | None = "lamp-deck-1", application: str | None = "garage") -> str:
    ids: dict[str, Any] = {"dev_eui": eui, "join_eui": "0000000000000000"}
    ids |= {"device_id": device_id} if device_id else {}
    ids |= {"application_ids": {"application_id": application}} if application else {}
    version = {"brand_id": "plenom", "model_id": "busylight"}
    return json.dumps({"ids": ids, "name": "Lamp Deck 1", "version_ids": version, "supports_class_c": True})


@dataclass
class Deck:
    """Bay with a sensor that reports and a lamp at the simulated The Things Stack, whose device id is lamp-deck-1."""

    pool: Pool
    tts: FakeTheThingsStack
    sensor: Tbms100
    lamp: Busylight
    settings: dict[str, Any]

    async def load(self, text: str, application: str = "garage") -> Report:
        async with self.pool.acquire() as connection:
            return await device_lists.import_list(
                by(connection),
                device_lists.list_tts(io.BytesIO(text.encode()), application),
                network_server="tts",
                types={"plenom/busylight": "kuando_busylight"},
            )

    async def load_csv(self, application: str, network_server: str = "tts") -> Report:
        file = (
            "# baylight devices v1\nrole,dev_eui,device_type,enabled,lifecycle_state,shared,f_port,confirmed_downlinks,"
            "display_codes,network_server,application_id,notes\n"
            f"display,{LAMP},,,,,,,,{network_server},{application},\n"
        )
        async with self.pool.acquire() as connection:
            return await imports.import_csv(by(connection), "devices", io.BytesIO(file.encode()))

    async def serve_a_bay(self) -> None:
        """Let the lamp serve a space whose sensor is registered, too."""
        await self.pool.execute(
            "UPDATE spaces SET display_device_id = (SELECT id FROM display_devices WHERE dev_eui = $1)", LAMP
        )
        # Its uplinks came while nothing was connected, so that they have taught nothing but that it is alive.
        await self.pool.execute("UPDATE display_devices SET heard_network_at = now() WHERE dev_eui = $1", LAMP)

    async def address(self) -> tuple[str, str | None]:
        row = await self.pool.fetchrow(
            "SELECT network_server, application_id FROM display_devices WHERE dev_eui = $1", LAMP
        )
        assert row is not None
        return tuple(row)


@pytest.fixture
async def deck(database: Database, pool: Pool, mosquitto: MosquittoBroker) -> AsyncIterator[Deck]:
    sensor = await factories.add_sensor(pool)
    await factories.add_space(pool, "D-01", sensor_device_id=sensor["id"])
    tts = FakeTheThingsStack(mosquitto.host, mosquitto.port)
    eye, lamp = Tbms100(), Busylight()
    tts.add_device(sensor["dev_eui"], "eye", model=eye)
    tts.add_device(LAMP, "lamp-deck-1", class_c=True, model=lamp)
    await tts.start()
    settings = {
        "database_url": SecretStr(database.dsn),
        "mqtt_host": "",
        "tts_mqtt_host": mosquitto.host,
        "tts_mqtt_port": mosquitto.port,
        "tts_mqtt_user": tts.user,
        "tts_mqtt_key": SecretStr("NNSXS.KEY"),
        "tts_mqtt_tls": False,
        "http_port": 0,
        "downlink_ttl_s": 5,
        "report_timeout_s": 5,
    }
    yield Deck(pool, tts, eye, lamp, settings)
    await tts.stop()


@asynccontextmanager
async def served(deck: Deck) -> AsyncIterator[None]:
    """Run the program with the lamp at a bay."""
    await deck.serve_a_bay()
    async with running(deck.settings):
        yield


async def shows(deck: Deck, *, taken: bool) -> None:
    """Let the sensor report, and wait until the lamp at lamp-deck-1 received the command."""
    deck.sensor.set(taken)
    await until(lambda: deck.lamp.code == (RED if taken else GREEN))


@pytest.mark.parametrize(
    "text",
    [exported(), f"[{exported(LAMP.upper())}]", CSV, CSV.replace(LAMP, LAMP.upper()).replace(";", ",")],
    ids=["json", "json array, upper case", "csv", "csv with commas, upper case"],
)
async def test_b1_a_lamp_that_has_never_sent_receives_its_first_command_after_an_import(deck: Deck, text: str) -> None:
    report = await deck.load(text)
    assert (report.added, report.notes) == (1, [])
    assert await deck.address() == ("tts", "garage/lamp-deck-1")
    async with served(deck):
        await shows(deck, taken=True)
    assert deck.tts.devices["lamp-deck-1"].received


async def test_b1_a_later_poorer_import_leaves_the_address_that_uplinks_gave(deck: Deck) -> None:
    await deck.load(exported())
    async with served(deck):
        deck.lamp.report()
        await eventually(
            deck.pool, "SELECT last_seen_at IS NOT NULL FROM display_devices WHERE dev_eui = $1", LAMP, equals=True
        )
        for poorer in (
            exported(device_id=None),
            exported(application=None, device_id=None),
            CSV.replace("\nlamp-deck-1", "\n"),
        ):
            report = await deck.load(poorer)
            assert (report.errors, report.changed, report.notes) == (0, 0, [])
        other = await deck.load(exported(device_id=None, application="annex"))
        assert other.notes == [
            "the list has no device id, so that the known address is kept: 1: "
            f"{LAMP} (tts garage/lamp-deck-1, not annex)"
        ]
        assert (await deck.load_csv("garage")).changed == 0
        for application, server in (("annex", "tts"), ("-", "tts"), ("-", "chirpstack")):
            refused = await deck.load_csv(application, server)
            assert refused.by_code == {"address_without_device_id": 1}, (application, server)
        async with deck.pool.acquire() as connection:
            await devices.register_display(
                by(connection), LAMP, device_type="kuando_busylight", application_id="garage"
            )
            with pytest.raises(ConflictError, match="reached as garage/lamp-deck-1") as caught:
                await devices.register_display(by(connection), LAMP, device_type="kuando_busylight", application_id="a")
        assert caught.value.code == "address_without_device_id"
        assert await deck.address() == ("tts", "garage/lamp-deck-1")
        await shows(deck, taken=True)


async def test_b1_another_device_id_replaces_the_known_one_and_is_reported(deck: Deck) -> None:
    await deck.load(exported(device_id="old-id"))
    report = await deck.load(exported())
    assert report.notes == [
        f"the known address is replaced by the one in the list: 1: {LAMP} (tts garage/old-id by tts garage/lamp-deck-1)"
    ]
    async with served(deck):
        await shows(deck, taken=True)


async def test_b1_a_device_that_moved_from_chirpstack_keeps_its_address_until_the_list_has_a_whole_one(
    deck: Deck,
) -> None:
    await factories.add_display(deck.pool, dev_eui=LAMP, network_server="chirpstack", application_id="app-1")
    report = await deck.load(exported(device_id=None))
    assert "is kept" in report.notes[0]
    assert await deck.address() == ("chirpstack", "app-1")
    await deck.load(exported())
    assert await deck.address() == ("tts", "garage/lamp-deck-1")


async def test_b1_a_csv_of_an_unknown_application_names_what_is_missing(deck: Deck) -> None:
    report = await deck.load(CSV, application="")
    assert report.added == 1
    assert "--application ID" in report.notes[0]
    assert await deck.address() == ("tts", None)
    await deck.load(CSV)
    assert await deck.address() == ("tts", "garage/lamp-deck-1")
