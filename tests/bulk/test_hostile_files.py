"""Hostile files: an import of any of them leaves the event loop free, and is refused with an error for people."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from baylight.bulk import device_lists, imports
from baylight.bulk.imports import Report
from baylight.bulk.kinds import SHEETS
from baylight.errors import InputError
from baylight.store.pool import Connection
from tests.support.change import by
from tests.support.loop_lag import loop_stays_free

SENSOR = "58a0cb00000000a1"


async def outcome(importing: Any) -> str:
    """Return the code of the error, the first code of the report, or nothing."""
    try:
        report: Report = await importing
    except InputError as error:
        return error.code
    return report.first[0].code if report.first else ""


def head(kind: str) -> bytes:
    return f"# baylight {kind} v1\n{','.join(column.name for column in SHEETS[kind].columns)}\n".encode()


@pytest.mark.parametrize("kind", sorted(SHEETS))
async def test_f2_blank_lines_are_counted_and_leave_the_loop_free(db: Connection, kind: str) -> None:
    file = io.BytesIO(head(kind) + b"\n" * 50_000_000)
    with loop_stays_free():
        assert await outcome(imports.import_csv(by(db), kind, file)) == "too_many_lines"


@pytest.mark.parametrize("kind", sorted(SHEETS))
async def test_f2_many_wrong_rows_and_large_cells_leave_the_loop_free(db: Connection, kind: str) -> None:
    cells = ",".join("x" for _ in SHEETS[kind].columns).encode()
    large = ",".join("y" * 100_000 for _ in SHEETS[kind].columns).encode()
    for row, count in ((cells, 30_000), (large, 20)):
        with loop_stays_free():
            assert await outcome(imports.import_csv(by(db), kind, io.BytesIO(head(kind) + (row + b"\n") * count)))


async def test_f2_types_with_large_settings_leave_the_loop_free(db: Connection) -> None:
    settings = json.dumps({"display_codes": {"FREE": "00" * 30_000}, "more": list(range(10_000))}).replace('"', '""')
    rows = [f'type_{n},display,a,b,kuando_busylight,,,,"{settings}",,' for n in range(100)]
    file = io.BytesIO(head("device-types") + "\n".join(rows).encode())
    with loop_stays_free():
        assert await outcome(imports.import_csv(by(db), "device-types", file)) == "json_too_big"


TTS_DEVICE = json.dumps({"ids": {"dev_eui": SENSOR, "device_id": "a"}, "version_ids": {"model_id": "x"}})


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"\n" * 50_000_000, "bad_list"),
        (b"dev_eui\n" + b"\n" * 50_000_000, "too_many_lines"),
        (b"dev_eui;model_id\n" + b"1;2\n" * 300_000, "too_many_devices"),
        (b"[" * 50_000_000, "bad_list"),
        (b'{"ids": "' + b"x" * 50_000_000, "bad_list"),
        (b"[" + b"1," * 10_000_000, "bad_list"),
        (b"\xff" * 50_000_000, "not_utf8"),
        (b'"' * 50_000_000, "bad_list"),
    ],
)
async def test_f2_lists_of_the_things_stack_leave_the_loop_free(db: Connection, text: bytes, code: str) -> None:
    with loop_stays_free():
        devices = device_lists.list_tts(io.BytesIO(text))
        found = device_lists.import_list(by(db), devices, network_server="tts", types={})
        assert await outcome(found) == code


async def test_f2_a_list_of_many_devices_and_profiles_leaves_the_loop_free(db: Connection) -> None:
    text = "\n".join(
        TTS_DEVICE.replace(SENSOR, f"{n:016x}").replace('"x"', f'"{n} {"x" * 100}"') for n in range(20_000)
    )
    for only_known in (False, True):
        with loop_stays_free():
            devices = device_lists.list_tts(io.BytesIO(text.encode()))
            report = await device_lists.import_list(
                by(db), devices, network_server="tts", types={}, only_known=only_known
            )
        assert len(report.left_out) == (device_lists.MAX_LEFT_OUT if only_known else 0)


async def test_f2_a_device_longer_than_a_part_of_the_file_is_read() -> None:
    devices = [TTS_DEVICE.replace('"x"', json.dumps("é" * size)) for size in (10, 15_000, 40_000, 3)]
    for text in ("\n".join(devices), f"[{', '.join(devices)}]"):
        found = [device async for device in device_lists.list_tts(io.BytesIO(f"\n {text}".encode()))]
        assert [len(device.profile) for device in found] == [10, 15_000, 40_000, 3]


@pytest.mark.parametrize(
    "text",
    [
        b"x" * 140_000 + b"\n1\n",
        b'"a"b\n1\n',
        b'dev_eui,"' + b"x" * 140_000,
        json.dumps({"ids": {"dev_eui": SENSOR}, "name": "\ud800"}).encode(),
        json.dumps({"ids": {"dev_eui": "\udfff"}}).encode(),
        json.dumps({"ids": {"dev_eui": SENSOR, "application_ids": {"application_id": "\ud800"}}}).encode(),
        json.dumps({"ids": {"dev_eui": SENSOR}, "version_ids": {"model_id": "\ud800"}}).encode(),
    ],
)
async def test_f11_what_is_no_list_is_an_input_error(db: Connection, text: bytes) -> None:
    devices = device_lists.list_tts(io.BytesIO(text))
    assert await outcome(device_lists.import_list(by(db), devices, network_server="tts", types={})) == "bad_list"


@pytest.mark.parametrize("cell", ['{"a": "\\ud800"}', '{"a": "\\u0000"}', '{"\\u0000": 1}'])
async def test_f11_a_json_cell_with_what_cannot_be_stored_is_an_error_of_its_row(db: Connection, cell: str) -> None:
    quoted = cell.replace('"', '""')
    file = head("spaces") + f'A-1,,,,,,,"{quoted}"\n'.encode()
    assert await outcome(imports.import_csv(by(db), "spaces", io.BytesIO(file))) == "bad_json"


async def test_e7_a_device_without_a_dev_eui_is_named(db: Connection) -> None:
    text = json.dumps({"ids": {"device_id": "tabs-motion"}, "version_ids": {"model_id": "TBMS100"}})
    report = await device_lists.import_list(
        by(db), device_lists.list_tts(io.BytesIO(text.encode())), network_server="tts", types={}
    )
    assert report.first[0].message.startswith("tabs-motion (TBMS100): ")
