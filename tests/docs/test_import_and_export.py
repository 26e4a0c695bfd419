"""The pages on CSV list the columns of the code, and their example imports."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest

from baylight.bulk import imports
from baylight.bulk.kinds import SHEETS
from baylight.inventory import device_types
from baylight.store.pool import Pool
from tests.support.change import by

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize("kind", SHEETS)
def test_every_column_is_listed_with_its_rules(kind: str) -> None:
    text = (DOCS / "reference" / "csv.md").read_text(encoding="utf-8")
    section = text.split(f"\n### {kind}\n")[1].split("\n##")[0]
    header, _, *rows = [line for line in section.splitlines() if line.startswith("|")]
    place = [cell.strip() for cell in header.split("|")].index("`-`")
    columns = {}
    for row in rows:
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", row)]
        for name in cells[1].split(", "):
            columns[name.strip("*")] = (name.startswith("**"), cells[place] == "yes")
    sheet = SHEETS[kind]
    assert columns == {column.name: (column.name in sheet.key, column.clearable) for column in sheet.columns}


async def test_the_shortest_file_of_devices_is_imported(pool: Pool) -> None:
    text = (DOCS / "how-to" / "import-and-export.md").read_text(encoding="utf-8")
    (file,) = re.findall(r"```\n(# baylight devices v1\n.*?)```", text, re.DOTALL)
    async with pool.acquire() as connection:
        await device_types.sync(connection)
        report = await imports.import_csv(by(connection), "devices", io.BytesIO(file.encode()))
    assert (report.added, report.first) == (2, [])
