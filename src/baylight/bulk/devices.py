"""The `devices` file: sensors and displays."""

from __future__ import annotations

from typing import NamedTuple

from baylight.bulk import cells
from baylight.bulk.sheets import Column, Doubt, Sheet
from baylight.bulk.steps import Pages, Step
from baylight.domain.downlink import NETWORK_SERVERS
from baylight.domain.ids import parse_dev_eui
from baylight.domain.lifecycle import LIFECYCLE
from baylight.errors import InputError
from baylight.inventory.display_codes import check_codes, refuse_alike
from baylight.store.pool import Connection
from baylight.store.query import Query


class NamedCodes(NamedTuple):
    """Display codes of some rows. `of_type`: the codes of the device type. `allowed`: they may look alike."""

    codec: str
    codes: dict[str, str]
    of_type: dict[str, str]
    allowed: bool
    lines: list[int]


DISPLAY_CODES = Pages("bulk.devices.display_codes", NamedCodes)
SET_CODES = Step("bulk.devices.set_codes")
ADD_ERRORS = Step("bulk.imports.add_errors")
CHECK_LIFECYCLE = Step("bulk.devices.check_lifecycle")


async def _encode_codes(connection: Connection) -> None:
    """Replace lights that are named by their colour by the code of each display."""
    async for page in DISPLAY_CODES.pages(connection):
        for row in page:
            try:
                codes = check_codes(row.codec, row.codes, row.of_type)
                refuse_alike(row.codec, codes, allowed=row.allowed)
            except InputError as error:
                await ADD_ERRORS.run(
                    connection, lines=row.lines, column="display_codes", code=_code(error), message=error.message
                )
            else:
                if codes != row.codes:
                    await SET_CODES.run(connection, lines=row.lines, codes=codes)


def _code(error: InputError) -> str:
    return error.code if error.code == "lights_alike" else "bad_display_code"


async def _check_lifecycle(connection: Connection) -> None:
    steps = [(before, after) for before, afters in LIFECYCLE.items() for after in afters]
    await CHECK_LIFECYCLE.run(connection, before=[before for before, _ in steps], after=[after for _, after in steps])


SHEET = Sheet(
    kind="devices",
    version=1,
    columns=(
        Column("role", cells.word("sensor", "display"), required=True),
        Column("dev_eui", parse_dev_eui, required=True),
        Column("device_type", cells.text(50)),
        Column("enabled", cells.boolean),
        Column("lifecycle_state", cells.word(*LIFECYCLE)),
        Column("shared", cells.boolean),
        Column("f_port", cells.integer(1, 223), old_name="fport"),
        Column("confirmed_downlinks", cells.boolean),
        Column("display_codes", cells.display_codes),
        Column("network_server", cells.word(*NETWORK_SERVERS)),
        Column("application_id", cells.address, clearable=True, exact=True),
        Column("notes", cells.text(2000), clearable=True, exact=True),
    ),
    key=("role", "dev_eui"),
    object_type=None,
    added=".register",
    stage=Step("bulk.devices.stage"),
    stored=Step("bulk.devices.stored"),
    set_defaults=Step("bulk.devices.set_defaults"),
    prepare=_encode_codes,
    check=Step("bulk.devices.check"),
    inspect=_check_lifecycle,
    lock=Step("bulk.devices.lock"),
    doubtful=Query("bulk.devices.doubtful", Doubt),
    touch=Step("bulk.devices.touch"),
    note_displays=Step("bulk.devices.note_displays"),
    apply=Step("bulk.devices.apply"),
    written=Step("bulk.devices.analyze"),
)
