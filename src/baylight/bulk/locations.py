"""The `locations` file: the tree of places."""

from __future__ import annotations

from baylight.bulk import cells
from baylight.bulk.sheets import Column, Sheet
from baylight.bulk.steps import Step
from baylight.inventory.locations import KINDS, MAX_CHANGE_HOLD_S

STORED = Step("bulk.locations.stored")
SHEET = Sheet(
    kind="locations",
    version=1,
    columns=(
        Column("path", cells.path, required=True),
        Column("kind", cells.word(*KINDS)),
        Column("timezone", cells.timezone, clearable=True),
        Column("maintenance", cells.boolean),
        Column("change_hold_s", cells.integer(0, MAX_CHANGE_HOLD_S), clearable=True),
        Column("metadata", cells.json_object),
    ),
    key=("path",),
    object_type="location",
    stage=Step("bulk.locations.stage"),
    stored=STORED,
    set_defaults=Step("bulk.locations.set_defaults"),
    check=Step("bulk.locations.check", stored=STORED.sql),
    lock=Step("bulk.locations.lock"),
    touch=Step("bulk.locations.touch"),
    apply=Step("bulk.locations.apply"),
    written=Step("bulk.locations.analyze"),
)
