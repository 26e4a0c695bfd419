"""Exports of The Things Stack, as its console and its command line write them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import IO

import msgspec

from baylight.errors import InputError
from baylight.ports import Listed

MAX_LIST_BYTES = 256 * 1024 * 1024


def read_tts(source: IO[bytes], application: str = "") -> Iterator[Listed]:
    """Yield the devices of an export of The Things Stack: CSV (separated by `;` or `,`), JSON stream, or JSON array.

    `application`: id of the application of devices for which the file names none, as CSV does. Session keys in the file
    are not read. Raises InputError `bad_list`.
    """
    raw = source.read(MAX_LIST_BYTES + 1)
    if len(raw) > MAX_LIST_BYTES:
        raise InputError("bad_list", f"the file is larger than {MAX_LIST_BYTES} bytes: split it")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError("not_utf8", "the file is not UTF-8") from error
    devices = _tts_json if text.lstrip()[:1] in ("{", "[") else _tts_csv
    yield from devices(text, application)


class _Ids(msgspec.Struct):
    dev_eui: str = ""
    device_id: str = ""
    application_ids: dict[str, str] = {}


class _Version(msgspec.Struct):
    brand_id: str = ""
    model_id: str = ""


class _EndDevice(msgspec.Struct):
    ids: _Ids
    name: str = ""
    version_ids: _Version | None = None


def _tts_json(text: str, application: str) -> Iterator[Listed]:
    decoder = json.JSONDecoder()
    number = 0
    at = text.index("[") + 1 if text.lstrip().startswith("[") else 0
    while at < len(text):
        if text[at] in " \t\r\n,]":
            at += 1
            continue
        number += 1
        try:
            value, at = decoder.raw_decode(text, at)
            device = msgspec.convert(value, _EndDevice)
        except (ValueError, RecursionError) as error:
            raise InputError("bad_list", f"device {number} of the file: {error}", device=number) from error
        version = device.version_ids or _Version()
        yield Listed(
            device.ids.dev_eui,
            device.name or device.ids.device_id,
            _profile(version.brand_id, version.model_id),
            _tts_address(device.ids.application_ids.get("application_id") or application, device.ids.device_id),
        )


def _tts_csv(text: str, application: str) -> Iterator[Listed]:
    header = text.partition("\n")[0]
    reader = csv.DictReader(
        io.StringIO(text, newline=""), delimiter=";" if ";" in header else ",", strict=True, restval=""
    )
    if "dev_eui" not in (reader.fieldnames or ()):
        raise InputError("bad_list", "this is no device list of The Things Stack: it has no column dev_eui")
    try:
        for row in reader:
            if None in row:
                raise InputError("bad_list", f"line {reader.line_num} has more cells than the header")
            device_id = row.get("id") or row.get("device_id") or ""
            yield Listed(
                row["dev_eui"],
                row.get("name") or device_id,
                _profile(row.get("brand_id") or "", row.get("model_id") or ""),
                _tts_address(row.get("application_id") or application, device_id),
            )
    except csv.Error as error:
        raise InputError("bad_list", f"line {reader.line_num}: {error}") from error


def _tts_address(application: str, device_id: str) -> str:
    """Return `<application>/<device id>`. A device id alone is no address."""
    return f"{application}/{device_id}" if application and device_id else application


def _profile(brand: str, model: str) -> str:
    return f"{brand}/{model}" if brand and model else model
