from __future__ import annotations

from tests.cli.test_cli import SENSOR, Cli, cli, data
from tests.conftest import Database
from tests.support.uplinks import receive

__all__ = ["cli"]


def test_orphans_are_listed_ignored_and_claimed(cli: Cli, database: Database) -> None:
    assert "none" in cli("orphan", "list").stderr
    receive(database.dsn, SENSOR, 102, 1, bytes.fromhex("01fb3a0000280400"))
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
