from __future__ import annotations

import asyncio
import io
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baylight.bulk import csv_file, imports
from baylight.bulk.cells import unquote, write
from baylight.bulk.imports import Report
from baylight.bulk.kinds import SHEETS
from baylight.errors import InputError
from baylight.inventory import device_settings, devices, locations, spaces
from baylight.js_codecs import versions
from baylight.store.pool import Connection, Pool
from tests.support.change import NOW, by
from tests.support.factories import BUSYLIGHT_CODES

SENSOR_A, SENSOR_B = "58a0cb00000000a1", "58a0cb00000000a2"
LIGHT_A, LIGHT_B = "2020000000000001", "2020000000000002"


def sheet(kind: str, *rows: str, columns: str | None = None) -> bytes:
    names = columns or ",".join(column.name for column in SHEETS[kind].columns)
    return "\r\n".join([f"# baylight {kind} v1", names, *rows, ""]).encode()


async def load(db: Connection, kind: str, *rows: str, **options: Any) -> Report:
    return await imports.import_csv(by(db), kind, io.BytesIO(sheet(kind, *rows)), **options)


async def well(db: Connection, kind: str, *rows: str) -> Report:
    report = await load(db, kind, *rows)
    assert report.first == []
    assert report.applied
    return report


async def export(db: Connection, kind: str) -> bytes:
    return b"".join([part async for part in imports.export(db, kind)])


def errors_of(report: Report) -> list[tuple[int, str | None, str]]:
    return [(error.row, error.column, error.code) for error in report.first]


@pytest.fixture
async def garage(db: Connection) -> Connection:
    """Two bays with devices, all by import."""
    await well(
        db, "locations", "Garage/Floor -1,floor,,,,", "Garage,site,Europe/Berlin,no,5,", 'Ost,site,,yes,,"{""a"": [1]}"'
    )
    await well(
        db, "spaces", "A-1,Bay one,Garage/Floor -1,52.52,-13.405,,,", "A-2,,Garage/Floor -1,,,FREE,,", "=B,-x,Ost,,,,,"
    )
    await well(
        db,
        "devices",
        f"sensor,{SENSOR_A.upper()},,,,,,,,,,'-said he",
        "sensor,58-A0-CB-00-00-00-00-A2,browan_tbms100,yes,active,no,,,,,app-1,",
        f"display,{LIGHT_A},kuando_busylight,,,,,,,,,",
        f"display,{LIGHT_B},kuando_busylight,,,,15,yes,FREE=#00ff00; OCCUPIED=ff00006400,,,",
    )
    await well(db, "assignments", f"A-1,{SENSOR_A},{LIGHT_A}", f"A-2,{SENSOR_B},{LIGHT_B}")
    return db


async def test_an_installation_is_made_by_four_files(garage: Connection) -> None:
    tree = await locations.list_locations(garage)
    assert [(place.path, place.kind, place.timezone, place.maintenance, place.spaces) for place in tree] == [
        ("Garage", "site", "Europe/Berlin", False, 2),
        ("Garage/Floor -1", "floor", None, False, 2),
        ("Ost", "site", None, True, 1),
    ]
    bay = await spaces.get_space(garage, "A-1")
    assert (bay.name, bay.sensor_dev_eui, bay.display_dev_eui) == ("Bay one", SENSOR_A, LIGHT_A)
    assert str(bay.longitude) == "-13.40500000"
    assert bay.state == "UNKNOWN"
    assert bay.state_reason == "sensor_never_heard"
    assert bay.desired_state == "UNKNOWN"
    assert bay.desired_code == BUSYLIGHT_CODES["UNKNOWN"]
    assert (await spaces.get_space(garage, "=B")).state == "MAINTENANCE"
    sensor = await devices.get_sensor(garage, SENSOR_A)
    assert (sensor.device_type, sensor.lifecycle_state, sensor.notes) == ("browan_tbms100", "installed", "-said he")
    light = await devices.get_display(garage, LIGHT_B)
    assert light.display_codes == {"FREE": "0000ff6400", "OCCUPIED": "ff00006400"}
    assert light.confirmed_downlinks


@pytest.mark.parametrize("kind", SHEETS)
async def test_import_of_an_export_changes_nothing(garage: Connection, kind: str) -> None:
    before = await export(garage, kind)
    written = await garage.fetchval("SELECT count(*) FROM audit_log")
    report = await imports.import_csv(by(garage), kind, io.BytesIO(before))
    assert (report.added, report.changed, report.errors) == (0, 0, 0)
    assert report.unchanged == report.rows == len(before.splitlines()) - 2 > 0
    assert await export(garage, kind) == before
    assert await garage.fetchval("SELECT count(*) FROM audit_log") == written


async def test_exports_make_the_same_installation_elsewhere(garage: Connection, any_pool: Pool) -> None:
    async with any_pool.acquire() as other:
        for kind in ("device-types", "locations", "spaces", "devices", "assignments"):
            text = await export(garage, kind)
            report = await imports.import_csv(by(other), kind, io.BytesIO(text))
            assert report.first == []
            assert await export(other, kind) == text


async def test_every_wrong_row_is_reported_and_nothing_is_changed(db: Connection) -> None:
    report = await load(
        db,
        "devices",
        f"sensor,{SENSOR_A},,,,,,,,,,",
        "lamp,58a0cb00,,perhaps,,,,,,,,",
        f"sensor,{SENSOR_A},,,,,,,,,,",
        "sensor,ffffffffffffffff,,,,,,,,,,",
        f"sensor,{SENSOR_B},kuando_busylight,,,,15,,,,,",
        f"display,{LIGHT_A},nonsense,,,,,,,,,",
        f"display,{LIGHT_B},kuando_busylight,,,,,,FREE=00,,,",
        "display,2020000000000003,kuando_busylight,yes,decommissioned,,,,FREE=#00ff00; FREE=#ff0000,,,",
    )
    assert errors_of(report) == [
        (4, "role", "bad_word"),
        (4, "dev_eui", "bad_dev_eui"),
        (4, "enabled", "bad_word"),
        (5, "dev_eui", "row_twice"),
        (6, "device_type", "type_missing"),
        (7, "device_type", "wrong_category"),
        (7, "f_port", "not_for_sensor"),
        (8, "device_type", "unknown_device_type"),
        (9, "display_codes", "bad_display_code"),
        (10, "display_codes", "bad_display_code"),
    ]
    assert report.errors == 10
    assert report.by_code["bad_display_code"] == 2
    assert not report.applied
    assert await db.fetchval("SELECT count(*) FROM sensor_devices") == 0


async def test_errors_beyond_the_first_hundred_are_counted(db: Connection) -> None:
    report = await load(db, "spaces", *(f"A-{n},,Nowhere,,,,," for n in range(150)), *["B,,,north,,,,"] * 50)
    assert (report.errors, len(report.first)) == (200, imports.MAX_SHOWN_ERRORS)
    assert report.by_code == {"unknown_location": 150, "bad_number": 50}
    assert [error.row for error in report.first] == list(range(3, 103))


async def test_a_dry_run_reports_all_and_changes_nothing(garage: Connection) -> None:
    before = await export(garage, "spaces")
    report = await load(garage, "spaces", "A-1,Other,,,,,,", "A-2,,,,,,,", "A-3,,,,,,,", dry_run=True)
    assert (report.added, report.changed, report.unchanged, report.applied) == (1, 1, 1, False)
    assert await export(garage, "spaces") == before


async def test_an_empty_cell_keeps_and_a_dash_empties(garage: Connection) -> None:
    await well(garage, "spaces", "A-1,,-,-,-,,yes,")
    bay = await spaces.get_space(garage, "A-1")
    assert (bay.name, bay.location, bay.latitude, bay.state) == ("Bay one", None, None, "MAINTENANCE")


async def test_two_spaces_exchange_their_devices_in_one_file(garage: Connection) -> None:
    report = await well(garage, "assignments", f"A-1,{SENSOR_B},{LIGHT_B}", f"A-2,{SENSOR_A},-")
    assert report.changed == 2
    one, two = await spaces.get_space(garage, "A-1"), await spaces.get_space(garage, "A-2")
    assert (one.sensor_dev_eui, one.display_dev_eui) == (SENSOR_B, LIGHT_B)
    assert (two.sensor_dev_eui, two.display_dev_eui) == (SENSOR_A, None)
    left = await devices.get_display(garage, LIGHT_A)
    assert (left.spaces, left.desired_state) == ([], None)
    rows = await garage.fetch(
        "SELECT role, upper_inf(valid) AS open, reason, actor FROM device_assignments ORDER BY role, recorded_at"
    )
    assert [tuple(row) for row in rows if row["open"]] == [
        ("display", True, "swap", "ann"),
        ("sensor", True, "swap", "ann"),
        ("sensor", True, "swap", "ann"),
    ]


async def test_devices_that_cannot_come_are_refused(garage: Connection) -> None:
    await device_settings.set_enabled(by(garage), "sensor", SENSOR_B, False)
    report = await load(
        garage,
        "assignments",
        f"=B,{SENSOR_A},ffffffffffffffff",
        f"A-1,,{LIGHT_B}",
        "Z-9,,",
    )
    assert errors_of(report) == [
        (3, "display_dev_eui", "unknown_display"),
        (3, "sensor_dev_eui", "device_in_use"),
        (4, "display_dev_eui", "device_in_use"),
        (5, "space", "unknown_space"),
    ]
    report = await load(garage, "assignments", "A-2,-,", f"=B,{SENSOR_B},")
    assert errors_of(report) == [(4, "sensor_dev_eui", "device_disabled")]


async def test_a_device_in_use_is_not_decommissioned_and_steps_are_kept(garage: Connection) -> None:
    report = await load(
        garage,
        "devices",
        f"sensor,{SENSOR_A},,,decommissioned,yes,,,,,,",
        f"sensor,{SENSOR_B},bosch_tps110,,orphan,,,,,,,",
    )
    assert errors_of(report) == [
        (3, "lifecycle_state", "device_in_use"),
        (3, "shared", "device_in_use"),
        (4, "device_type", "registered_otherwise"),
        (4, "lifecycle_state", "lifecycle_step"),
    ]


async def test_lights_follow_changed_codes_at_once(garage: Connection) -> None:
    await well(garage, "devices", f"display,{LIGHT_A},,,,,,,UNKNOWN=#0000ff,,,")
    assert (await devices.get_display(garage, LIGHT_A)).desired_code == "00ff006400"


async def test_a_disabled_sensor_is_not_trusted(garage: Connection) -> None:
    await garage.execute("UPDATE sensor_devices SET occupancy = 'FREE', occupancy_at = $1", NOW)
    await well(garage, "spaces", "A-1,new name,,,,,,")
    assert (await spaces.get_space(garage, "A-1")).state == "FREE"
    await well(garage, "devices", f"sensor,{SENSOR_A},,no,,,,,,,,")
    assert (await spaces.get_space(garage, "A-1")).state == "UNKNOWN"
    assert (await devices.get_sensor(garage, SENSOR_A)).occupancy is None


async def test_b1_a_reading_from_another_place_frees_no_bay_of_an_assigned_sensor(
    garage: Connection,
) -> None:
    await well(garage, "devices", "sensor,58a0cb00000000a3,,,,,,,,,,")
    await garage.execute("UPDATE sensor_devices SET occupancy = 'FREE', occupancy_at = $1", NOW)
    await well(garage, "assignments", f"A-1,{SENSOR_B},", f"A-2,{SENSOR_A},")  # exchanged
    await well(garage, "spaces", "A-3,,,,,,,")
    await well(garage, "assignments", "A-3,58a0cb00000000a3,")  # from the van
    for code in ("A-1", "A-2", "A-3"):
        space = await spaces.get_space(garage, code)
        assert (space.state, space.state_reason) == ("UNKNOWN", "sensor_never_heard"), code


async def test_json_that_lies_too_deep_is_refused_as_a_cell(garage: Connection) -> None:
    deep = '{""a"":' * 10_000 + "1" + "}" * 10_000
    assert errors_of(await load(garage, "spaces", f'A-1,,,,,,,"{deep}"')) == [(3, "metadata", "bad_json")]


async def test_shipped_types_and_types_in_use_are_kept(garage: Connection) -> None:
    own = "own_sensor,sensor,Own,One,browan_tbms100,AB12 cd,600,,,,"
    await well(garage, "device-types", own)
    await well(garage, "devices", "sensor,ab12000000000001,,,,,,,,,,")
    assert (await devices.get_sensor(garage, "ab12000000000001")).device_type == "own_sensor"
    report = await load(
        garage,
        "device-types",
        "browan_tbms100,,,Better,,,,,,,",
        "own_sensor,,,,bosch_tps110,,,,,,",
        "new_one,,,,nonsense,,,,,,",
        "new_two,sensor,,,,,,,,,",
    )
    assert errors_of(report) == [
        (3, "code", "shipped_type"),
        (4, "codec", "type_in_use"),
        (5, "codec", "unknown_codec"),
        (6, "codec", "missing"),
        (6, "manufacturer", "missing"),
        (6, "model", "missing"),
        (6, "uplink_interval_s", "missing"),
    ]
    await well(garage, "device-types", "bosch_tps110,,,,,,,,,,no")
    assert errors_of(await load(garage, "devices", "sensor,1234567812345678,bosch_tps110,,,,,,,,,")) == [
        (3, "device_type", "type_disabled")
    ]


async def test_a_type_that_its_devices_could_not_use_is_refused(db: Connection) -> None:
    report = await load(
        db,
        "device-types",
        "one,sensor,Own,One,kuando_busylight,,600,,,,",
        'two,display,Own,Two,kuando_busylight,,600,,"{""f_port"": 0}",,',
        'three,display,Own,Three,kuando_busylight,,600,,"{""display_codes"": {""FREE"": ""00""}}",,',
        'four,display,Own,Four,kuando_busylight,,600,,"{""display_codes"": [1]}",,',
        'five,display,Own,Five,kuando_busylight,,600,,"[1]",,',
        'six,display,Own,Six,kuando_busylight,,600,,"{""display_codes"": {""FREE"": ""#00ff00""}}",,',
    )
    assert errors_of(report) == [
        (3, "codec", "unknown_codec"),
        (4, "default_config", "bad_config"),
        (5, "default_config", "bad_display_code"),
        (6, "default_config", "bad_config"),
        (7, "default_config", "bad_json"),
        (8, "default_config", "bad_display_code"),
    ]


async def test_e8_a_type_whose_devices_would_never_be_silent_is_refused(db: Connection) -> None:
    report = await load(
        db,
        "device-types",
        "one,sensor,Own,One,browan_tbms100,,100000000,,,,",
        "two,sensor,Own,Two,browan_tbms100,,600,10000,,,",
        "three,sensor,Own,Three,browan_tbms100,,2592000,1000,,,",
        "four,sensor,Own,Four,browan_tbms100,,2592000,12,,,",
    )
    assert errors_of(report) == [
        (3, "uplink_interval_s", "bad_number"),
        (4, "silent_after_intervals", "bad_number"),
        (5, "silent_after_intervals", "bad_number"),
    ]


async def test_a5_lights_that_look_like_free_are_refused(db: Connection) -> None:
    report = await load(
        db,
        "devices",
        f"display,{LIGHT_A},kuando_busylight,,,,,,FREE=#00ff00; UNKNOWN=#003500,,,",
        f"display,{LIGHT_B},kuando_busylight,,,,,,FREE=#00ff00; OCCUPIED=red,,,",
    )
    assert errors_of(report) == [(3, "display_codes", "lights_alike")]
    alike = '{""display_codes"": {""FREE"": ""0000ff6400"", ""OCCUPIED"": ""0000ff6400""}}'
    kind = f'own,display,Own,One,kuando_busylight,,600,,"{alike}",,'
    assert errors_of(await load(db, "device-types", kind)) == [(3, "default_config", "lights_alike")]
    await well(db, "device-types", kind.replace("}}", '}, ""allow_alike"": true}'))
    await well(db, "devices", f"display,{LIGHT_A},own,,,,,,,,,")
    assert await db.fetchval("SELECT alike_allowed FROM display_devices")
    exported = await export(db, "devices")
    again = await imports.import_csv(by(db), "devices", io.BytesIO(exported))
    assert again.first == []


async def test_memory_does_not_grow_with_the_file(db: Connection) -> None:
    class Endless(io.RawIOBase):
        """A file that is made while it is read; `ahead`: the most rows read between two reports of progress."""

        def __init__(self, rows: int) -> None:
            self.left, self.read_rows, self.reported, self.ahead = rows, 0, 0, 0
            self.start = iter(sheet("spaces").splitlines(keepends=True))

        def readline(self, size: int | None = -1, /) -> bytes:
            if head := next(self.start, b""):
                return head
            if not self.left:
                return b""
            self.left -= 1
            self.read_rows += 1
            self.ahead = max(self.ahead, self.read_rows - self.reported)
            return b"A-%d,,,,,,,\r\n" % self.left

    file = Endless(5000)
    stages: list[str] = []

    def progress(stage: str, done: int, of: int | None) -> None:
        stages.append(stage)
        if stage == "reading":
            file.reported = done

    # `file` is a stand-in that counts its lines; `import_csv` reads nothing else of an IO.
    report = await imports.import_csv(by(db), "spaces", file, progress=progress)  # type: ignore[arg-type]
    assert report.added == 5000
    assert file.ahead <= 1000
    assert list(dict.fromkeys(stages)) == ["reading", "checking", "writing", "deciding"]
    parts = [part async for part in imports.export(db, "spaces")]
    assert max(len(part.splitlines()) for part in parts) <= 1000


async def test_locations_need_what_lies_above_and_keep_their_kind(garage: Connection) -> None:
    report = await load(
        garage,
        "locations",
        "Nord/Floor 1,floor,,,,",
        "Garage,building,,,,",
        "Garage/Deck,,,,,",
        "Sued/A/B/C/D/E,room,,,,",
        "Yard,site,,,61,",
    )
    assert errors_of(report) == [
        (3, "path", "unknown_location"),
        (4, "kind", "kind_differs"),
        (4, "timezone", "timezone_of_site"),
        (5, "kind", "missing"),
        (6, "path", "bad_path"),
        (7, "change_hold_s", "bad_number"),
    ]
    await well(garage, "locations", "Garage,,,yes,,")
    assert (await spaces.get_space(garage, "A-1")).state == "MAINTENANCE"


async def test_every_object_and_the_import_are_in_the_audit_log(garage: Connection) -> None:
    await well(garage, "spaces", "A-1,Other,,,,,,", "A-3,,,,,,,")
    rows = await garage.fetch(
        "SELECT actor, action, object_type, before, after FROM audit_log ORDER BY id DESC LIMIT 3"
    )
    assert [row["action"] for row in rows] == ["import", "space.create", "space.change"]
    assert rows[0]["after"] == {"rows": 2, "added": 1, "changed": 1}
    assert (rows[2]["actor"], rows[2]["before"]["name"], rows[2]["after"]["name"]) == ("ann", "Bay one", "Other")


async def test_the_audit_log_has_one_word_for_an_import_and_a_command(garage: Connection) -> None:
    written = await garage.fetchval("SELECT max(id) FROM audit_log")
    await well(
        garage, "devices", "sensor,58a0cb00000000b1,,,,,,,,,,", "display,2020000000000007,kuando_busylight,,,,,,,,,"
    )
    await well(garage, "assignments", "A-1,58a0cb00000000b1,")
    await devices.register_sensor(by(garage), "58a0cb00000000b2")
    await spaces.assign(by(garage), "A-1", sensor="58a0cb00000000b2", reason="swap")
    rows = await garage.fetch("SELECT action FROM audit_log WHERE id > $1 AND action <> 'import' ORDER BY id", written)
    assert [row["action"] for row in rows] == [
        "sensor.register", "display.register", "space.assign", "sensor.register", "space.assign",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"", "bad_header"),
        (b"code,name\r\nA,B\r\n", "bad_header"),
        (b"# baylight spaces v2\r\ncode\r\n", "wrong_version"),
        (b"# baylight devices v1\r\ncode\r\n", "wrong_kind"),
        (sheet("spaces", columns="code,name,name,colour"), "bad_header"),
        (sheet("spaces", "A-1,\xff,,,,,,").replace("\xff".encode(), b"\xff"), "not_utf8"),
        (sheet("spaces", 'A-1,"open,,,,,,'), "bad_csv"),
        (sheet("spaces", "A-1,too short"), "bad_row"),
        (sheet("spaces", "A" * 2_000_000), "bad_csv"),
    ],
)
async def test_a_file_that_is_no_such_sheet_is_refused_as_a_whole(db: Connection, text: bytes, code: str) -> None:
    with pytest.raises(InputError) as caught:
        await imports.import_csv(by(db), "spaces", io.BytesIO(text))
    assert caught.value.code == code
    if b"colour" in text:
        assert caught.value.facts["unknown"] == ["colour"]
        assert caught.value.facts["twice"] == ["name"]
        # Facts are objects; this one is a list.
        assert "location" in caught.value.facts["missing"]  # type: ignore[operator]
    assert not db.is_in_transaction()


async def test_a_byte_order_mark_any_order_of_columns_and_empty_lines_are_accepted(db: Connection) -> None:
    names = "maintenance,name,code,location,latitude,longitude,default_state,metadata"
    text = b"\xef\xbb\xbf" + sheet("spaces", ",,,,,,,", "", 'TRUE,"Bay, ""one""",A-1,,,,,', columns=names)
    report = await imports.import_csv(by(db), "spaces", io.BytesIO(text))
    assert (report.rows, report.added) == (1, 1)
    assert (await spaces.get_space(db, "A-1")).name == 'Bay, "one"'


async def test_two_imports_at_once_wait_for_each_other(pool: Pool) -> None:
    rows = [f"A-{n},,,,,,," for n in range(300)]

    async def one() -> Report:
        async with pool.acquire() as connection:
            return await load(connection, "spaces", *rows)

    reports = await asyncio.gather(one(), one(), one())
    assert sorted((report.added, report.unchanged) for report in reports) == [(0, 300), (0, 300), (300, 0)]


@given(st.text())
def test_text_that_looks_like_a_formula_comes_back_as_it_was(text: str) -> None:
    cell = write(text)
    assert unquote(cell) == text
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))


def test_an_apostrophe_of_a_name_is_no_quote() -> None:
    assert unquote("'s-Hertogenbosch") == "'s-Hertogenbosch"


@given(st.text(max_size=100).filter(lambda text: text.strip() and "\x00" not in text))
def test_any_text_comes_back_through_a_file(text: str) -> None:
    spaces_sheet = SHEETS["spaces"]
    record = ["A-1", text, "+1/=2", Decimal("-1.50000000"), Decimal(0), "FREE", True, {"a": text}]
    file = io.BytesIO(csv_file.head(spaces_sheet) + csv_file.rows(spaces_sheet, [record]))
    ((row, cells),) = csv_file.read(spaces_sheet, file)
    assert csv_file.parse(spaces_sheet, row, cells) == ((record, []), [])


async def test_a_thousand_assignments_are_written_without_reading_all_of_them_for_each(db: Connection) -> None:
    """The session may have planned while the table was empty."""
    count = 1000
    await db.execute("VACUUM device_assignments")  # now the planner has statistics of an empty table
    await well(db, "spaces", *(f"B{n},,,,,,," for n in range(count)))
    await well(db, "devices", *(f"sensor,58a0cb{n:010x},,,,,,,,,," for n in range(count)))
    await well(db, "assignments", *(f"B{n},58a0cb{n:010x}," for n in range(count)))
    await db.execute("SELECT pg_stat_force_next_flush()")
    read = await db.fetchval(
        "SELECT seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables WHERE relname = 'device_assignments'"
    )
    assert read < 20 * count


async def test_a_type_may_decode_by_a_javascript_codec_that_is_active(db: Connection) -> None:
    row = "acme_eye,sensor,Acme,Eye,js:bay_eye,,3600,3,,,"
    assert errors_of(await load(db, "device-types", row)) == [(3, "codec", "unknown_codec")]
    await versions.create_codec(by(db), "bay_eye", "function decodeUplink() {}", mapping=None, examples=[])
    assert errors_of(await load(db, "device-types", row)) == [(3, "codec", "unknown_codec")]
    await db.execute("UPDATE payload_codecs SET active = true, activated_at = now()")
    await well(db, "device-types", row)
    report = await imports.import_csv(by(db), "device-types", io.BytesIO(await export(db, "device-types")))
    assert (report.added, report.changed, report.errors) == (0, 0, 0)


async def test_the_column_names_of_the_release_before_are_read(garage: Connection) -> None:
    text = sheet("assignments", f"A-1,-,{LIGHT_A}", columns="space,sensor_deveui,display_deveui")
    report = await imports.import_csv(by(garage), "assignments", io.BytesIO(text))
    assert (report.changed, report.first) == (1, [])
    twice = sheet("assignments", columns="space,sensor_deveui,sensor_dev_eui,display_dev_eui")
    with pytest.raises(InputError) as caught:
        await imports.import_csv(by(garage), "assignments", io.BytesIO(twice))
    assert caught.value.facts["twice"] == ["sensor_dev_eui"]
