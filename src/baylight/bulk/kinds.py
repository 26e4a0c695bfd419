"""All kinds of CSV files, in the order in which a new installation is imported."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from baylight.bulk import assignments, device_types, devices, locations, spaces
from baylight.bulk.sheets import Sheet
from baylight.errors import NotFoundError

SHEETS: Mapping[str, Sheet] = MappingProxyType(
    {module.SHEET.kind: module.SHEET for module in (locations, spaces, device_types, devices, assignments)}
)


def sheet_of(kind: str) -> Sheet:
    """Return the sheet of a kind. Raises NotFoundError `unknown_kind`."""
    if kind not in SHEETS:
        raise NotFoundError("unknown_kind", f"{kind!r} is none of {', '.join(SHEETS)}", kind=kind)
    return SHEETS[kind]
