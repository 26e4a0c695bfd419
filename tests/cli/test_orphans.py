from __future__ import annotations

from tests.support.cli import SENSOR, Cli, data
from tests.support.servers import Database
from tests.support.uplinks import OCCUPIED, receive_now


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
