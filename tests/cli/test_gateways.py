from __future__ import annotations

from tests.support.cli import SENSOR, Cli, data
from tests.support.servers import Database
from tests.support.uplinks import OCCUPIED, receive_now

GATEWAY = "0016c001ff10a235"


def test_i17_gateways_are_listed_and_shown(cli: Cli, database: Database) -> None:
    assert "none" in cli("gateway", "list").stderr
    receive_now(database.dsn, SENSOR, 102, 1, OCCUPIED)
    header, row = cli("gateway", "list").stdout.splitlines()
    assert header.split()[:2] == ["gateway", "id"]
    assert row.split()[0] == GATEWAY
    assert data(cli("gateway", "list", "--json"))[0]["airtime"] == []
    assert "first seen at" in cli("gateway", "show", GATEWAY.upper()).stdout
    assert "no gateway 00000000000000aa" in cli("gateway", "show", "00000000000000aa", code=2).stderr
