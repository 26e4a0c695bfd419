"""Delivery lists of makers: CSV files with a DevEUI in each row, and columns that each maker names differently."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import IO

from baylight.bulk.tts_export import MAX_DEVICES, checked, table
from baylight.errors import InputError, shorten
from baylight.ports import Listed

NAMES = {
    "dev_eui": ("deveui", "deviceeui", "devicedeveui", "lorawandeveui", "eui64", "eui"),
    "model": ("model", "devicemodel", "product", "productname", "devicetype", "type", "article", "partnumber", "sku"),
    "name": ("name", "devicename", "label", "serialnumber", "serial", "serialno", "sn"),
}
"""Names of the columns that are read, without blanks, signs and capitals; the first that a list has counts."""


def parse_columns(pairs: Iterable[str]) -> dict[str, str]:
    """Parse texts FIELD=COLUMN. Raises InputError `bad_column`."""
    columns = {}
    for pair in pairs:
        name, _, column = pair.partition("=")
        if name not in NAMES or not column:
            text = f"{pair!r} is not FIELD=COLUMN with a field of {', '.join(NAMES)}, e.g. 'dev_eui=Device number'"
            raise InputError("bad_column", text)
        columns[name] = column
    return columns


def read_delivery(source: IO[bytes], columns: Mapping[str, str], application: str = "") -> Iterator[Listed]:
    """Yield the devices of a delivery list: CSV separated by `,`, `;` or tab, with column names in the first line.

    `columns`: name of the column for each field of NAMES that has another name. `application`: id of the application of
    all devices. Rows without a cell are left out. Other columns, such as keys, are not read. The file is read step by
    step. Raises InputError `bad_list`, `not_utf8`, `too_many_devices`.
    """
    text = io.TextIOWrapper(source, "utf-8-sig", newline="")
    try:
        header, rows = table("", text)
        found = _columns(header, columns)
        for number, row in enumerate(rows, 1):
            if number > MAX_DEVICES:
                raise InputError("too_many_devices", f"a list may have at most {MAX_DEVICES} devices: split it")
            if any(cell.strip() for cell in row.values()):
                cells = {name: row[column].strip() for name, column in found.items()}
                listed = Listed(cells["dev_eui"], cells.get("name", ""), cells.get("model", ""), application)
                yield checked(number, listed)
    except UnicodeDecodeError as error:
        raise InputError("not_utf8", "the file is not UTF-8") from error
    finally:
        text.detach()


def _columns(header: list[str], named: Mapping[str, str]) -> dict[str, str]:
    """Return the column of each field that the list has. Raises InputError `bad_list`."""
    plain: dict[str, str] = {}
    for column in header:
        plain.setdefault(re.sub(r"[^a-z0-9]", "", column.lower()), column)
    found = {name: plain[word] for name, words in reversed(NAMES.items()) for word in reversed(words) if word in plain}
    for name, column in named.items():
        if column not in header:
            raise InputError("bad_list", f"there is no column {column!r}; the columns are {_shown(header)}")
        found[name] = column
    if "dev_eui" not in found:
        text = (
            f"no column is known to have DevEUIs; the columns are {_shown(header)}: name it (--column dev_eui=COLUMN)"
        )
        raise InputError("bad_list", text)
    return found


def _shown(header: list[str]) -> str:
    return ", ".join(repr(shorten(column, 40)) for column in header[:20])
