"""The `assignments` file: which devices serve a space now."""

from __future__ import annotations

from baylight.bulk import cells
from baylight.bulk.sheets import Column, Sheet
from baylight.bulk.steps import Step
from baylight.domain.ids import parse_dev_eui

SHEET = Sheet(
    kind="assignments",
    version=1,
    columns=(
        Column("space", cells.space_code, required=True),
        Column("sensor_dev_eui", parse_dev_eui, clearable=True, old_name="sensor_deveui"),
        Column("display_dev_eui", parse_dev_eui, clearable=True, old_name="display_deveui"),
    ),
    key=("space",),
    object_type="space",
    changed=".assign",
    stage=Step("bulk.assignments.stage"),
    stored=Step("bulk.assignments.stored"),
    check=Step("bulk.assignments.check"),
    lock=Step("bulk.assignments.lock"),
    touch=Step("bulk.assignments.touch"),
    note_displays=Step("bulk.assignments.note_displays"),
    apply=Step("bulk.assignments.apply"),
    written=Step("bulk.assignments.analyze"),
)
