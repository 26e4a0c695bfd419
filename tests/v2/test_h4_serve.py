"""`baylight serve` lets the rows follow that wait, and a database that never was V2's does not pay for it (H4)."""

from __future__ import annotations

from typing import Any

from pydantic import SecretStr

from baylight.lab.embedded.broker import EmbeddedBroker
from tests.support.eventually import eventually
from tests.support.servers import Database
from tests.support.tts import running
from tests.support.v2 import V2Database


def settings(dsn: str, broker: EmbeddedBroker) -> dict[str, Any]:
    return {"database_url": SecretStr(dsn), "mqtt_host": broker.host, "mqtt_port": broker.port, "http_port": 0}


async def test_h4_serve_drains_the_queue_by_itself(v2: V2Database, broker: EmbeddedBroker) -> None:
    space = await v2.add("P1")
    await v2.apply("verify")
    async with running(settings(v2.dsn, broker), ready=False):
        for stage in ("verify", "switch", "contract"):
            await v2.apply(stage)
            if stage == "contract":
                continue
            async with v2.baylight.transaction():
                await v2.baylight.execute("SELECT FROM spaces FOR UPDATE")
                await v2.legacy.execute("UPDATE spaces SET name = $2 WHERE id = $1", space, f"at {stage}")
            await eventually(v2.admin, "SELECT name = $1 FROM baylight_next.spaces WHERE id = $2", f"at {stage}", space)
            await eventually(v2.admin, "SELECT NOT EXISTS (SELECT FROM v2_migration.queue)")


async def test_h4_serve_on_a_fresh_database_has_no_part_for_the_queue(
    database: Database, broker: EmbeddedBroker
) -> None:
    async with running(settings(database.dsn, broker), ready=False) as program:
        assert program.v2_queue is None
