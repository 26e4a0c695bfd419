"""The page on the V5 line: its SQL makes files that a new database imports, tenant by tenant."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import asyncpg
import pytest

from baylight.bulk import imports
from baylight.inventory import device_types
from baylight.store.pool import Connection
from tests.support.change import by
from tests.support.servers import Server

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "import-from-v5.md").read_text(encoding="utf-8")
FIXTURE = (ROOT / "tests" / "v2" / "v5.sql").read_text(encoding="utf-8")
ORDER = ("locations", "spaces", "devices", "assignments")


def queries() -> dict[str, str]:
    """Return the SQL of the page by the kind of the file."""
    return dict(re.findall(r"^`(\w+)\.sql`.*?```sql\n(.*?)```", PAGE, re.MULTILINE | re.DOTALL))


async def export(dsn: str, tenant: str) -> dict[str, bytes]:
    """Return the files that the commands of the page write."""
    connection = await asyncpg.connect(dsn)
    files = {}
    try:
        for kind, sql in queries().items():
            rows = await connection.fetch(sql.replace(":'tenant'", f"'{tenant}'"))
            text = io.StringIO()
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(rows[0].keys())
            writer.writerows(rows)
            files[kind] = f"# baylight {kind} v1\n{text.getvalue()}".encode()
    finally:
        await connection.close()
    return files


@pytest.mark.parametrize(
    ("tenant", "spaces"), [("Example Parking", ["North-A1", "North-A2", "South-A1"]), ("Other", ["North-A1"])]
)
async def test_a_tenant_of_v5_is_imported_by_the_files_of_the_page(
    server: Server, db: Connection, tenant: str, spaces: list[str]
) -> None:
    async with server.database(migrated=False) as v5:
        connection = await asyncpg.connect(v5.dsn)
        await connection.execute(FIXTURE)
        await connection.close()
        files = await export(v5.dsn, tenant)
    assert tuple(files) == ORDER
    await device_types.sync(db)
    for kind in ORDER:
        report = await imports.import_csv(by(db), kind, io.BytesIO(files[kind]))
        assert report.first == [], (kind, report)
    assert [row["code"] for row in await db.fetch("SELECT code FROM spaces ORDER BY code")] == spaces
    if tenant == "Example Parking":
        rows = {row["code"]: row for row in await db.fetch("SELECT * FROM spaces")}
        assert (rows["North-A1"]["sensor_deveui"], rows["North-A2"]["display_deveui"]) == (
            "58a0cb0000000001", "2020200000000001",
        )  # fmt: skip
        assert (rows["South-A1"]["maintenance"], rows["South-A1"]["sensor_deveui"]) == (True, None)
        assert (float(rows["North-A1"]["gps_latitude"]), rows["North-A2"]["gps_latitude"]) == (47.5, None)
        assert await db.fetchval("SELECT shared FROM display_devices") is True
        assert (
            await db.fetchval("SELECT count(*) FROM locations WHERE kind = 'site' AND timezone = 'Europe/Berlin'") == 2
        )
