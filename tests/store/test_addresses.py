"""Migration of addresses that no topic can carry."""

from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path

import asyncpg

from baylight.inventory import device_types
from baylight.store import migrate
from baylight.store.connect import connect
from tests.support.servers import Server

BAD = {"chirpstack": ["#", "+", "a/b", "a b", "x" * 101, ""], "tts": ["garage/+", "a/b/c", "garage/"]}
GOOD = {"chirpstack": ["0b7e9d1c-5a0f-4a5d-9d55-0c5d0f6f2a11"], "tts": ["garage", "garage/bay-017"]}


async def test_b2_the_migration_forgets_addresses_that_no_topic_can_carry(server: Server, tmp_path: Path) -> None:
    for file in resources.files("baylight.sql").joinpath("migrations").iterdir():
        if file.name < "0013" and file.name.endswith(".sql"):
            shutil.copy(str(file), tmp_path / file.name)
    given = [
        (server_name, address)
        for addresses in (BAD, GOOD)
        for server_name in addresses
        for address in addresses[server_name]
    ]
    async with server.database(migrated=False) as database:
        await migrate.upgrade(database.dsn, directory=tmp_path)
        connection = await connect(database.dsn)
        await device_types.sync(connection)
        await insert(connection, given)
        await migrate.upgrade(database.dsn)
        for table in ("sensor_devices", "display_devices", "orphans"):
            rows = await connection.fetch(f"SELECT network_server, application_id FROM {table} ORDER BY dev_eui")
            kept = [tuple(row) for row in rows]
            expected = [(name, address if address in GOOD[name] else None) for name, address in given]
            assert kept == expected
        await connection.close()


async def insert(connection: asyncpg.Connection[asyncpg.Record], given: list[tuple[str, str]]) -> None:
    for number, (name, address) in enumerate(given):
        eui = f"{number:016x}"
        await connection.execute(
            "INSERT INTO sensor_devices (dev_eui, device_type, network_server, application_id)"
            " VALUES ($1, 'browan_tbms100', $2, $3)",
            eui,
            name,
            address,
        )
        await connection.execute(
            "INSERT INTO display_devices (dev_eui, device_type, fport, display_codes, network_server, application_id)"
            " VALUES ($1, 'kuando_busylight', 15, '{}', $2, $3)",
            eui,
            name,
            address,
        )
        await connection.execute(
            "INSERT INTO orphans (dev_eui, uplinks, uplinks_in_hour, first_at, last_at, hour_at, network_server,"
            " application_id) VALUES ($1, 1, 1, now(), now(), now(), $2, $3)",
            eui, name, address,
        )  # fmt: skip
