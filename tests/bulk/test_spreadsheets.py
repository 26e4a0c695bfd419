"""Files that spreadsheets have changed."""

from __future__ import annotations

import csv
import io
from decimal import Decimal
from pathlib import Path

import pytest

from baylight.bulk import device_lists, imports
from baylight.bulk.kinds import SHEETS
from baylight.inventory import device_types, locations, spaces
from baylight.store.pool import Connection
from tests.support.change import by

CASES = Path(__file__).parents[3] / "shared" / "cases" / "engine"
DATES = ["01. Jan", "1-Jan", "Mrz 26", "2026-01-01", "01.02.2026", "1/2/26", "Sept. 2026", "1,5E+05"]
NO_DATES = ["Bay-01", "Jan", "A-2026", "2026", "Mar-A", "May-123", "12", "1.2", "E+05"]


async def test_e7_codes_that_a_spreadsheet_made_are_named_when_they_are_new(db: Connection) -> None:
    await put(db, "spaces", "code", ["007"])
    report = await put(db, "spaces", "code", [*DATES, *NO_DATES, "7", "007"])
    assert (report.first, report.applied) == ([], True)
    assert [note.split(" is ")[0] for note in report.notes] == [
        *(f"row {row}: {code}" for row, code in enumerate(DATES, 3)),
        f"row {3 + len(DATES) + len(NO_DATES)}: 7",
    ]
    assert "007" in report.notes[-1]
    assert (await put(db, "spaces", "code", DATES)).notes == []


async def test_e7_a_dev_eui_that_a_spreadsheet_may_have_rounded_is_named(db: Connection) -> None:
    euis = ["2020200000000000", "2020200000000001", "a020200000000000"]
    report = await put(db, "devices", "dev_eui", euis, role="display", device_type="kuando_busylight")
    assert (report.first, len(report.notes)) == ([], 1)
    assert report.notes[0].startswith("row 3: 2020200000000000 ")


@pytest.mark.parametrize("name", ["c31_excel_comma_mangled", "c32_excel_rounded_one"])
async def test_e7_cases_that_spreadsheets_changed_have_notes(db: Connection, name: str) -> None:
    file = CASES / f"{name}.csv"
    if not file.exists():
        pytest.skip("../shared/cases/engine is not there; the tests above have inputs of their own")
    kind = "spaces" if "comma" in name else "devices"
    await locations.create_location(by(db), "Market garage/Floor 1", kinds=["site", "floor"])
    assert (await imports.import_csv(by(db), kind, io.BytesIO(file.read_bytes()))).notes


async def put(db: Connection, kind: str, column: str, values: list[str], **others: str) -> imports.Report:
    """Import a file with these values in one column, and others in each row."""
    names = [c.name for c in SHEETS[kind].columns]
    out = io.StringIO()
    writer = csv.DictWriter(out, names, restval="")
    out.write(SHEETS[kind].title + "\r\n")
    writer.writeheader()
    writer.writerows({column: value} | others for value in values)
    return await imports.import_csv(by(db), kind, io.BytesIO(out.getvalue().encode()))


@pytest.mark.parametrize("separator", [",", ";", "\t"])
async def test_e7_semicolons_and_tabs_separate_columns_and_a_comma_decimals(db: Connection, separator: str) -> None:
    rows = [["A-1", "Bay; one, two", "", '"52,5"' if separator == "," else "52,5", "-13.25", "", "", ""]]
    names = [column.name for column in SHEETS["spaces"].columns]
    title = "\ufeff# baylight spaces v1" + separator * (len(names) - 1)
    rows[0][1] = f'"{rows[0][1]}"'
    text = "\r\n".join([title, separator.join(names), *map(separator.join, rows)])
    report = await imports.import_csv(by(db), "spaces", io.BytesIO(text.encode()))
    assert (report.first, report.added) == ([], 1)
    space = await spaces.get_space(db, "A-1")
    assert (space.name, space.latitude, space.longitude) == ("Bay; one, two", Decimal("52.5"), Decimal("-13.25"))


async def test_e7_the_delivery_list_of_the_cases_is_read(db: Connection) -> None:
    file = CASES / "c34_maker_list.csv"
    if not file.exists():
        pytest.skip("../shared/cases/engine is not there; tests/cli/test_bulk.py has a list of its own")
    await device_types.sync(db)
    listed = device_lists.list_delivery(io.BytesIO(file.read_bytes()), {})
    report = await device_lists.import_list(by(db), listed, network_server="chirpstack", types={})
    assert (report.first, report.added == report.rows > 0) == ([], True)
