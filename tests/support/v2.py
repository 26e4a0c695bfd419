"""V2 databases, clean and dirty, and connections as the V2 application and as Baylight have them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import asyncpg

from baylight.lab.from_v2.legacy import SCHEMA as BASELINE
from baylight.store.connect import install_codecs
from baylight.store.pool import Connection
from baylight.v2 import run
from baylight.v2.choices import RESOLUTIONS, Choices, proposed_types
from baylight.v2.stages.verify import Verdict, verify
from tests.support.servers import Server

CHOICES = Choices(
    resolve={name: options[0] for name, options in RESOLUTIONS.items()}, types=proposed_types(), legacy_role="parking"
)


def sensor(n: int) -> str:
    return f"58a0cb{n:010x}"


def display(n: int) -> str:
    return f"202020{n:010x}"


@dataclass
class V2Database:
    """`admin`: owner of all; `legacy`: as the V2 application; `baylight`: with Baylight's own search_path."""

    dsn: str
    admin: Connection
    legacy: Connection
    baylight: Connection

    async def apply(self, to: str, **changes: Any) -> None:
        await run.apply(self.dsn, to=to, choices=replace(CHOICES, **changes), patience_s=20)

    async def rollback(self, to: str | None = None) -> list[str]:
        return await run.rollback(self.dsn, to=to, patience_s=20)

    async def verify(self) -> Verdict:
        return await verify(self.admin)

    async def queued(self) -> list[tuple[str, str]]:
        """The rows that wait, the oldest first: table and id."""
        rows = await self.admin.fetch("SELECT source_table, source_id FROM v2_migration.queue ORDER BY id")
        return [(row["source_table"], row["source_id"]) for row in rows]

    async def drain(self) -> None:
        while await self.admin.fetchval("SELECT v2_migration.drain(100)"):
            pass

    async def add(self, code: str, **columns: Any) -> Any:
        """A space, written by V2; its id."""
        return await self.insert("spaces", {"name": f"Bay {code}", "code": code} | columns)

    async def insert(self, table: str, columns: dict[str, Any]) -> Any:
        places = ", ".join(f"${n}" for n in range(1, len(columns) + 1))
        return await self.legacy.fetchval(
            f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places}) RETURNING id", *columns.values()
        )

    async def old(self, space_id: Any) -> asyncpg.Record:
        """The space as V2 sees it."""
        row = await self.legacy.fetchrow("SELECT * FROM spaces WHERE id = $1", space_id)
        assert row is not None
        return row

    async def new(self, space_id: Any) -> asyncpg.Record:
        """The space as Baylight sees it."""
        row = await self.baylight.fetchrow("SELECT * FROM spaces WHERE id = $1", space_id)
        assert row is not None
        return row

    async def quarantine(self) -> set[tuple[str, str]]:
        rows = await self.admin.fetch("SELECT field, reason FROM v2_migration.quarantine")
        return {(row["field"], row["reason"]) for row in rows}


async def connect(dsn: str, *, role: str | None = None, search_path: str | None = None) -> Connection:
    settings = {"search_path": search_path} if search_path else {}
    connection = await asyncpg.connect(dsn, server_settings={"jit": "off", "timezone": "UTC"} | settings)
    await install_codecs(connection)
    if role:
        await connection.execute(f"SET SESSION AUTHORIZATION {role}")
    return connection


@asynccontextmanager
async def v2_database(server: Server) -> AsyncIterator[V2Database]:
    async with server.database(migrated=False) as database, AsyncExitStack() as stack:
        admin = await connect(database.dsn)
        await admin.execute(BASELINE)
        legacy = await connect(database.dsn, role="parking")
        baylight = await connect(database.dsn, search_path="baylight_next, public")
        for connection in (admin, legacy, baylight):
            stack.push_async_callback(connection.close)
        yield V2Database(database.dsn, admin, legacy, baylight)


async def make_dirty(v2: V2Database) -> dict[str, Any]:
    """Every weakness that V2's schema lets in, once or more; ids by a short name."""
    ids = {
        "upper": await v2.add("D01", sensor_eui="58A0CB00000000AA", display_eui="2020200000000ABC"),
        "lower": await v2.add("D02", sensor_eui="58a0cb00000000aa"),
        "empty": await v2.add("D03", sensor_eui="", display_eui=""),
        "short": await v2.add("D04", sensor_eui="acmesensor0001", display_eui="acmedisplay001"),
        "role_a": await v2.add("D05", sensor_eui="2020200000000def"),
        "role_b": await v2.add("D06", display_eui="2020200000000DEF"),
        "shared_a": await v2.add("D07", display_eui=display(7)),
        "shared_b": await v2.add("D08", display_eui=display(7).upper()),
        "half": await v2.add("D09", gps_latitude=47.5),
        "names": await v2.add("D10", building="", floor="2", zone=""),
        "clean": await v2.add(
            "D11", building="Main", floor="1", zone="A", sensor_eui=sensor(11), display_eui=display(11),
            gps_latitude=47.5, gps_longitude=7.5, state="OCCUPIED", metadata={"x": 1},
        ),
    }  # fmt: skip
    ids["gone"] = await v2.add("D12", sensor_eui=sensor(12), display_eui=display(7))
    await v2.legacy.execute("UPDATE spaces SET deleted_at = now() WHERE code = 'D12'")
    for hours, status in ((1, "active"), (2, "active"), (2, "cancelled"), (9, "active")):
        await v2.legacy.execute(
            "INSERT INTO reservations (space_id, start_time, end_time, status, user_email)"
            " VALUES ($1, now() + $2 * interval '1 h', now() + ($2 + 3) * interval '1 h', $3, 'a@b.c')",
            ids["clean"], hours, status,
        )  # fmt: skip
    await v2.legacy.execute(
        "INSERT INTO state_changes (space_id, previous_state, new_state, source)"
        " SELECT id, 'FREE', state, 'uplink' FROM spaces"
    )
    await v2.legacy.execute(
        "INSERT INTO sensor_readings (device_eui, space_id, occupancy_state, rssi)"
        " SELECT sensor_eui, id, state, -90 FROM spaces WHERE sensor_eui IS NOT NULL"
    )
    return ids
