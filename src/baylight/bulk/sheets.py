"""A kind of CSV file as one value: its columns, and the steps that import its rows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from baylight.bulk.cells import Parse
from baylight.bulk.steps import Step
from baylight.store.pool import Connection
from baylight.store.query import Query

CLEAR = "-"
"""Cell that empties the stored value; an empty cell keeps it."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column. `required`: no empty cell. `clearable`: `-` empties it. `exact`: blanks around the text belong to it.

    `old_name`: the former name, which this release still reads.
    """

    name: str
    parse: Parse
    required: bool = False
    clearable: bool = False
    exact: bool = False
    old_name: str | None = None


class Doubt(NamedTuple):
    """A cell of a new object that is allowed, but that a spreadsheet may have made of another one."""

    row: int
    cell: str
    reason: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """One kind of file. `key`: the columns that identify the object of a row.

    The steps of an import, in their order. Each has the rows of the file in the temporary table `bulk_rows`:
    `stage` makes this table; `stored` selects what is stored, in the form of a file; `set_defaults` fills what a new
    object does not name; `prepare` changes rows before they are compared with what is stored; `check` and `inspect`
    write to `bulk_errors`; `doubtful` finds what may be wrong; `lock` locks what changes; `touch` and `note_displays`
    write the spaces and the displays that the import affects to `bulk_touched` and `bulk_displays`, `touch` after
    `apply` if `touch_new`; `apply` writes.
    """

    kind: str
    version: int
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    stage: Step
    stored: Step
    check: Step
    touch: Step
    apply: Step
    written: Step
    """Step that renews the statistics of the tables that `apply` writes."""
    object_type: str | None
    """Kind of object in the audit log; None: the role of the row."""
    added: str = ".create"
    """Verb for an added object in the audit log: the same as for a single change."""
    changed: str = ".change"
    named_by: str = "id"
    """Field that identifies the object in the audit log."""
    set_defaults: Step | None = None
    lock: Step | None = None
    note_displays: Step | None = None
    touch_new: bool = False
    prepare: Callable[[Connection], Awaitable[None]] | None = None
    inspect: Callable[[Connection], Awaitable[None]] | None = None
    doubtful: Query[Doubt] | None = None
    refuse_repeated: Step = field(init=False)
    resolve: Step = field(init=False)
    export: Step = field(init=False)

    def __post_init__(self) -> None:
        kept = [column.name for column in self.columns if column.name not in self.key]
        made = {
            "refuse_repeated": Step("bulk.imports.refuse_repeated", key=", ".join(self.key)),
            "resolve": Step(
                "bulk.imports.resolve",
                stored=self.stored.sql,
                same=" AND ".join(f"o.{name} = n.{name}" for name in self.key),
                kept=", ".join(
                    f"{name} = CASE WHEN '{name}' = ANY (n.kept) THEN o.{name} ELSE n.{name} END" for name in kept
                ),
            ),
            "export": Step(
                "bulk.imports.export",
                columns=", ".join(f"o.{column.name}" for column in self.columns),
                stored=self.stored.sql,
                order=", ".join(f'o.{name} COLLATE "C"' for name in self.key),
            ),
        }
        for name, step in made.items():
            object.__setattr__(self, name, step)

    @property
    def title(self) -> str:
        return f"# baylight {self.kind} v{self.version}"
