"""The `spaces` file."""

from __future__ import annotations

from baylight.bulk import cells, locations
from baylight.bulk.sheets import Column, Doubt, Sheet
from baylight.bulk.steps import Step
from baylight.store.query import Query

SHEET = Sheet(
    kind="spaces",
    version=1,
    columns=(
        Column("code", cells.space_code, required=True),
        Column("name", cells.text(100), exact=True),
        Column("location", cells.path, clearable=True),
        Column("latitude", cells.degrees(90), clearable=True),
        Column("longitude", cells.degrees(180), clearable=True),
        Column("default_state", cells.state),
        Column("maintenance", cells.boolean),
        Column("metadata", cells.json_object, clearable=True),
    ),
    key=("code",),
    object_type="space",
    stage=Step("bulk.spaces.stage"),
    stored=Step("bulk.spaces.stored", locations=locations.STORED.sql),
    set_defaults=Step("bulk.spaces.set_defaults", locations=locations.STORED.sql),
    check=Step("bulk.spaces.check"),
    doubtful=Query("bulk.spaces.doubtful", Doubt),
    touch=Step("bulk.spaces.touch"),
    touch_new=True,
    apply=Step("bulk.spaces.apply"),
    written=Step("bulk.spaces.analyze"),
)
