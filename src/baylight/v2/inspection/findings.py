"""Findings that stand in the way of a migration, on a database at work: what `inspect`, `plan` and `apply` ask.

`recognize` says what the database is, `rows` reads V2's rows in one snapshot, `obstacles` reads the catalogue, and
`rehearsal` runs all stages on a copy.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from baylight.errors import InputError
from baylight.store.pool import Connection
from baylight.store.query import Query
from baylight.v2.choices import Choices, proposed_types, render
from baylight.v2.inspection.finding import Finding
from baylight.v2.inspection.obstacles import obstacles, obstacles_to_contract
from baylight.v2.inspection.recognize import require_v2
from baylight.v2.inspection.rehearsal import OUR_NAMES, rehearse
from baylight.v2.inspection.rows import COUNT_DISPLAYS, alike_lights, findings_of_rows
from baylight.v2.migration_run import recorded_steps
from baylight.v2.schema import NEXT, SCHEMA_EXISTS
from baylight.v2.stages.contract import role_of_v2

_US_PER_ROW = {
    "contested": ("spaces", 2.5),
    "spaces": ("spaces", 55.0),
    "reservations": ("reservations", 40.0),
    "state_changes": ("state_changes", 6.0),
    "api_keys": ("api_keys", 1000.0),
    "indexes": ("spaces", 4.0),
    "assignments": ("spaces", 32.0),
    "foreign keys": ("spaces", 2.0),
    "verify": ("spaces", 9.0),
    "catch_up": ("spaces", 5.0),
    "redecide": ("spaces", 2.5),
}
"""Steps whose time grows with the rows of a table of V2's: µs per row, on two cores with a live load beside."""


@dataclass(frozen=True, slots=True)
class Size:
    """Size of a table of V2."""

    table: str
    rows: int
    bytes: int


_HIDING = ("privilege", "row_security", "wrong_account")
"""Findings with which V2's rows may not be read, or not all of them."""

SIZES = Query("v2.rows.sizes", Size)


@dataclass(frozen=True, slots=True)
class Report:
    """Report of all findings. `proposal`: text of a choices file.

    `seconds`: estimated time by step. A step without an estimate needs less than 1 s.
    """

    findings: list[Finding]
    sizes: list[Size]
    seconds: dict[str, float]
    proposal: str

    def warnings(self) -> list[str]:
        """Return the findings that need no choice, but that a person must see again before the migration."""
        alike = [f for f in self.findings if f.kind == "lights_alike"]
        return [f"{f.kind}: {f.meaning}: {type_}: {detail}" for f in alike for type_, detail in f.examples]


async def inspect(connection: Connection, choices: Choices | None = None) -> Report:
    """Return all findings. `choices`: those of the operator, if there are some. Raises InputError `not_v2`.

    V2's tables are only read. The rehearsal lasts some seconds.
    """
    await require_v2(connection)
    known = choices or Choices()
    begun = bool(await recorded_steps(connection))
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        role = await role_of_v2(connection)
        findings = [] if begun else await obstacles(connection, known)
        if any(f.blocks and f.kind in _HIDING for f in findings):
            return Report(findings, [], {}, render([], role, proposed_types()))
        findings = await findings_of_rows(connection) + findings
        sizes = await SIZES.all(connection)
    findings += await later_obstacles(connection, known) if begun else await _rehearsed(connection, known, findings)
    return Report(findings, sizes, _seconds(sizes), render([f.kind for f in findings], role, proposed_types()))


async def seconds_of_steps(connection: Connection) -> dict[str, float]:
    """Return about how long each step takes, as a Report does."""
    return _seconds(await SIZES.all(connection))


def _seconds(sizes: list[Size]) -> dict[str, float]:
    rows_of = {size.table: size.rows for size in sizes}
    return {step: rows_of.get(table, 0) * each / 1e6 for step, (table, each) in _US_PER_ROW.items()}


async def _rehearsed(connection: Connection, choices: Choices, known: list[Finding]) -> list[Finding]:
    """Return what the rehearsal shows. It is left out while something is known that would end it."""
    if blocking := [f.kind for f in known if f.blocks]:
        meaning = "the rehearsal of all stages needs a database without the findings that are named here"
        return [Finding("not_rehearsed", meaning, 1, [(", ".join(blocking), "correct these, then run inspect again")])]
    rehearsal = await rehearse(connection, choices)
    found = await obstacles_to_contract(connection, choices, rehearsal.names)
    if rehearsal.failure and not found:
        meaning = "the rehearsal of all stages ends in an error"
        found.append(
            Finding("cannot_run", meaning, 1, [(rehearsal.failure.where, rehearsal.failure.reason)], blocks=True)
        )
    return found


async def later_obstacles(connection: Connection, choices: Choices) -> list[Finding]:
    """Return what has come into the way of the contract stage since the migration began."""
    if not await SCHEMA_EXISTS.one(connection, schema=NEXT):
        return []
    return await obstacles_to_contract(connection, choices, await OUR_NAMES.all(connection))


def require_no_obstacle(findings: list[Finding]) -> None:
    """Raise InputError `blocked` with all findings that block."""
    if blocking := [f for f in findings if f.blocks]:
        sentences = "; ".join(f.sentence() for f in blocking)
        raise InputError("blocked", f"first correct this: {sentences}", findings=[f.kind for f in blocking])


async def check_choices(connection: Connection, choices: Choices) -> Report:
    """Return the report if the operator has decided on every finding, and nothing is in the way.

    Raises InputError `not_v2`, `blocked`, or `needs_choices` with the undecided findings.
    """
    report = await inspect(connection, choices)
    require_no_obstacle(report.findings)
    alike = alike_lights(choices, await COUNT_DISPLAYS.one(connection))
    report = replace(report, findings=[*report.findings, *alike])
    open_ = [f for f in report.findings if f.choice and f.choice not in choices.resolve]
    if open_:
        raise InputError(
            "needs_choices",
            "decide on these in a choices file (`baylight v2 inspect --write-choices FILE` proposes one): "
            + "; ".join(f"{f.choice} ({f.count})" for f in open_),
            findings=[f.kind for f in open_],
        )
    return report
