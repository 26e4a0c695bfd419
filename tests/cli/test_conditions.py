from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from baylight.control.events.ingest import Ingest
from baylight.domain.events import Log
from baylight.domain.ids import DevEui
from baylight.domain.policies import Policies
from baylight.store.pool import open_pool
from tests.support.cli import SENSOR, Cli, data
from tests.support.clock import Clock
from tests.support.servers import Database
from tests.support.uplinks import FREE, receive_now


async def refuse(dsn: str) -> None:
    pool = await open_pool(dsn)
    text = "MIC of join-request is invalid"
    line = Log(DevEui(SENSOR), "ERROR", "UPLINK_MIC", text, None, datetime.now(UTC))
    await Ingest(pool, Clock(datetime.now(UTC)), Policies()).store_batch([line])
    await pool.close()


def test_i2_a_refused_sensor_is_listed_and_explained(garage: Cli, database: Database) -> None:
    assert "none" in garage("condition", "list").stderr
    receive_now(database.dsn, SENSOR, 102, 1, FREE)
    asyncio.run(refuse(database.dsn))
    [found] = data(garage("condition", "list", "--json"))
    assert (found["kind"], found["name"], found["spaces"]) == ("sensor_refused", SENSOR, ["A-13"])
    assert "correct the keys of the device in ChirpStack" in garage("condition", "list", "--subject", "A-13").stdout
    assert data(garage("condition", "list", "--kind", "sensor_silent", "--json")) == []
    assert data(garage("condition", "list", "--after", found["id"], "--json")) == []
    assert "is no kind" in garage("condition", "list", "--kind", "bad", code=2).stderr
    text = garage("why", "A-13").stdout
    assert "unproven since" in text
    assert f"sensor_refused (sensor {SENSOR}) since" in text
    assert "1: A-13: refused" in garage("doctor", code=1).stdout
    assert data(garage("space", "show", "A-13", "--json"))["unproven"]["reason"] == "refused"
    assert "unproven" in garage("space", "show", "A-13").stdout
