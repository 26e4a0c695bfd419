from __future__ import annotations

import asyncio
import json
from typing import Any

from baylight.lns.chirpstack import events as chirpstack
from baylight.lns.tts import events as tts
from tests.support.cli import SENSOR, Cli, data
from tests.support.servers import Database
from tests.support.uplinks import OCCUPIED, receive_events, receive_now

LAMP, MOTION = "2020200000000011", "58a0cb0000001252"


def test_orphans_are_listed_ignored_and_claimed(cli: Cli, database: Database) -> None:
    assert "none" in cli("orphan", "list").stderr
    receive_now(database.dsn, SENSOR, 102, 1, OCCUPIED)
    assert cli("orphan", "list").stdout.splitlines()[1].split()[0] == SENSOR
    assert " browan_tbms100 (dev_eui, payload)" in cli("orphan", "show", SENSOR.upper()).stdout
    cli("orphan", "ignore", SENSOR)
    assert data(cli("orphan", "list", "--json")) == []
    assert data(cli("orphan", "list", "--ignored", "--json"))[0]["uplinks"] == 1
    cli("orphan", "ignore", SENSOR, "--undo")
    claimed = data(cli("orphan", "claim", SENSOR, "--notes", "by the door", "--json"))
    assert (claimed["device_type"], claimed["notes"]) == ("browan_tbms100", "by the door")
    assert "no unregistered device" in cli("orphan", "claim", SENSOR, code=2).stderr
    assert SENSOR in cli("device", "list", "--role", "sensor").stdout


def test_b8_the_list_shows_names_joins_and_the_basis_of_a_guess(cli: Cli, database: Database) -> None:
    """The events are those of the network servers; the device joins and never sends."""
    info = {
        "applicationId": "app-1",
        "deviceName": "Hall lamp",
        "deviceProfileName": "Kuando Busylight",
        "devEui": LAMP,
    }
    joined: dict[str, Any] = {
        "deduplicationId": "8b6b7a4c-6a0e-4d7c-9a0e-1f0a5b1c2d3e",
        "time": "2026-11-24T08:00:00Z",
        "deviceInfo": info,
        "devAddr": "01020304",
    }
    ids = {"device_id": "tabs-motion", "application_ids": {"application_id": "garage"}, "dev_eui": MOTION.upper()}
    accepted = {"end_device_ids": ids, "join_accept": {"session_key_id": "k", "received_at": "2026-11-24T08:00:00Z"}}
    events = [
        chirpstack.parse(f"application/app-1/device/{LAMP}/event/join", json.dumps(joined).encode()),
        tts.parse("v3/garage@ttn/devices/tabs-motion/join", json.dumps(accepted).encode()),
    ]
    asyncio.run(receive_events(database.dsn, events))
    listed = {row["dev_eui"]: row for row in data(cli("orphan", "list", "--json"))}
    assert (listed[LAMP]["joins"], listed[LAMP]["uplinks"], listed[LAMP]["device_name"]) == (1, 0, "Hall lamp")
    assert listed[LAMP]["certain_type"] == "kuando_busylight"
    assert listed[MOTION]["application_id"] == "garage/tabs-motion"
    heading, *lines = cli("orphan", "list").stdout.splitlines()
    for column in ("device name", "profile name", "application id", "joins", "guess"):
        assert column in heading
    assert "Hall lamp" in lines[0]
    assert "Kuando Busylight" in lines[0]
    assert "app-1" in lines[0]
    assert lines[0].endswith("kuando_busylight (profile)")
    assert "joins                1" in cli("orphan", "show", LAMP).stdout
    cli("orphan", "claim", LAMP)


def test_b8_a_claim_without_a_certain_type_lists_the_possible_ones(cli: Cli, database: Database) -> None:
    receive_now(database.dsn, LAMP, 2, 1, bytes.fromhex("a86661"))
    assert "possible nwave_nps405 (payload)" in cli("orphan", "list").stdout
    refused = cli("orphan", "claim", LAMP, code=2).stderr
    assert "possible nwave_nps405 (payload)" in refused
    assert "possible nwave_nps405 (payload)" in cli("orphan", "show", LAMP).stdout
    cli("orphan", "claim", LAMP, "--type", "nwave_nps405")
