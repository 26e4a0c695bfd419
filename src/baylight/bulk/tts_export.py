"""Exports of The Things Stack, as its console and its command line write them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from itertools import chain
from typing import IO

import msgspec

from baylight.bulk.csv_file import MAX_LINES
from baylight.errors import InputError
from baylight.ports import Listed

MAX_DEVICES = 250_000
MAX_DEVICE_CHARS = 256 * 1024
"""Limits of one list, and of one device in it."""
_CHUNK = 64 * 1024
_BETWEEN = " \t\r\n,]"


def read_tts(source: IO[bytes], application: str = "") -> Iterator[Listed]:
    """Yield the devices of an export of The Things Stack: CSV (separated by `;`, `,` or tab), JSON stream, or array.

    `application`: id of the application of devices for which the file names none, as CSV does. Session keys in the file
    are not read. The file is read step by step. Raises InputError `bad_list`, `not_utf8`, `too_many_devices`.
    """
    text = io.TextIOWrapper(source, "utf-8-sig", newline="")
    try:
        start = ""
        while not start and (chunk := text.read(_CHUNK)):
            start = chunk.lstrip()
        devices = _tts_json if start[:1] in ("{", "[") else _tts_csv
        for number, device in enumerate(devices(start, text, application), 1):
            if number > MAX_DEVICES:
                raise InputError("too_many_devices", f"a list may have at most {MAX_DEVICES} devices: split it")
            yield checked(number, device)
    except UnicodeDecodeError as error:
        raise InputError("not_utf8", "the file is not UTF-8") from error
    finally:
        text.detach()


def checked(number: int, device: Listed) -> Listed:
    """Return the device. Raises InputError if it has half of a surrogate pair, which is no character."""
    try:
        "".join((device.dev_eui, device.name, device.profile, device.application_id)).encode()
    except UnicodeEncodeError as error:
        raise InputError("bad_list", f"device {number} of the file: half of a character", device=number) from error
    return device


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


def _tts_json(start: str, text: IO[str], application: str) -> Iterator[Listed]:
    for number, value in enumerate(_values(start.removeprefix("["), text), 1):
        try:
            device = msgspec.convert(value, _EndDevice)
        except ValueError as error:
            raise InputError("bad_list", f"device {number} of the file: {error}", device=number) from error
        version = device.version_ids or _Version()
        yield Listed(
            device.ids.dev_eui,
            device.name or device.ids.device_id,
            _profile(version.brand_id, version.model_id),
            _tts_address(device.ids.application_ids.get("application_id") or application, device.ids.device_id),
        )


def _values(buffer: str, text: IO[str]) -> Iterator[object]:
    """Yield the JSON values of a stream or an array. Only a part of the text is in memory."""
    decoder = json.JSONDecoder()
    at = number = 0
    while True:
        while at < len(buffer) and buffer[at] in _BETWEEN:
            at += 1
        try:
            value, end = decoder.raw_decode(buffer, at)
        except (ValueError, RecursionError) as error:
            # The value may go on in the next part.
            buffer, at = buffer[at:], 0
            more = text.read(max(_CHUNK, len(buffer)))
            if not more:
                if not buffer:
                    return
                raise InputError("bad_list", f"device {number + 1} of the file: {error}", device=number + 1) from error
            if len(buffer) > MAX_DEVICE_CHARS:
                what = f"device {number + 1} of the file is longer than {MAX_DEVICE_CHARS} characters, or no JSON"
                raise InputError("bad_list", what, device=number + 1) from error
            buffer += more
            continue
        number, at = number + 1, end
        yield value


def _tts_csv(start: str, text: IO[str], application: str) -> Iterator[Listed]:
    header, rows = table(start, text)
    if "dev_eui" not in header:
        raise InputError("bad_list", "this is no device list of The Things Stack: it has no column dev_eui")
    for row in rows:
        device_id = row.get("id") or row.get("device_id") or ""
        yield Listed(
            row["dev_eui"],
            row.get("name") or device_id,
            _profile(row.get("brand_id") or "", row.get("model_id") or ""),
            _tts_address(row.get("application_id") or application, device_id),
        )


def table(start: str, text: IO[str]) -> tuple[list[str], Iterator[dict[str, str]]]:
    """Return the column names of a CSV file, and its rows by column.

    The separator is the most frequent one in the first line. `start`: what was read of the file. Raises InputError
    `bad_list`, `too_many_lines`, also while rows are read.
    """
    lines = _lines(start, text)
    first = next(lines, "")
    delimiter = max(",;\t", key=first.count)
    reader = csv.DictReader(chain([first], lines), delimiter=delimiter, strict=True, restval="")

    def rows() -> Iterator[dict[str, str]]:
        try:
            for row in reader:
                if None in row:
                    raise InputError("bad_list", f"line {reader.line_num} has more cells than the header")
                yield row
        except csv.Error as error:
            raise InputError("bad_list", f"line {reader.line_num}: {error}") from error

    try:
        return list(reader.fieldnames or ()), rows()
    except csv.Error as error:
        raise InputError("bad_list", f"line {reader.line_num}: {error}") from error


def _lines(start: str, text: IO[str]) -> Iterator[str]:
    """Yield the lines of `start` and of the text after it."""
    parts = chain(io.StringIO(start, newline=""), iter(lambda: text.readline(MAX_DEVICE_CHARS), ""))
    for number, line in enumerate(parts, 1):
        whole = line if line.endswith(("\n", "\r")) else line + text.readline(MAX_DEVICE_CHARS)
        if len(whole) >= MAX_DEVICE_CHARS:
            raise InputError("bad_list", f"line {number} is longer than {MAX_DEVICE_CHARS} characters", line=number)
        if number > MAX_LINES:
            raise InputError("too_many_lines", f"a file may have at most {MAX_LINES} lines: split it")
        yield whole


def _tts_address(application: str, device_id: str) -> str:
    """Return `<application>/<device id>`. A device id alone is no address."""
    return f"{application}/{device_id}" if application and device_id else application


def _profile(brand: str, model: str) -> str:
    return f"{brand}/{model}" if brand and model else model
