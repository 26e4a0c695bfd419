from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

from baylight.control.ingest import Ingest
from baylight.domain.events import Uplink
from baylight.domain.ids import DevEui
from baylight.domain.policies import Policies
from baylight.store.pool import open_pool
from tests.cli.test_cli import SENSOR, Cli, cli, data
from tests.conftest import Database

__all__ = ["cli"]


class Clock:
    def now(self) -> datetime:
        return datetime.now(UTC)


async def hear(dsn: str) -> None:
    pool = await open_pool(dsn)
    now = datetime.now(UTC)
    frame = Uplink(DevEui(SENSOR), str(uuid4()), now, now, "01020304", 1, 102, bytes.fromhex("01fb3a0000280400"))
    await Ingest(pool, Clock(), Policies()).take([frame])
    await pool.close()


def test_orphans_are_listed_ignored_and_claimed(cli: Cli, database: Database) -> None:
    assert "none" in cli("orphan", "list").stderr
    asyncio.run(hear(database.dsn))
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
