"""Is everything there, and the same? In one snapshot, so that it is never wrong about live data."""

from __future__ import annotations

from dataclasses import dataclass

from baylight.store.pool import Connection
from baylight.store.query import queries
from baylight.v2.schema import OWN, require_both_schemas


@dataclass(frozen=True, slots=True)
class Difference:
    """`check` names the rule that does not hold; `id` the row."""

    check: str
    id: str
    detail: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """`counts`: table -> (rows of V2, rows of Baylight). Each check lists at most 20 differences."""

    differences: list[Difference]
    counts: dict[str, tuple[int, int]]
    quarantined: int

    @property
    def green(self) -> bool:
        return not self.differences


async def verify(connection: Connection) -> Verdict:
    """Reads only. Both sides are compared as they are at one instant, whatever is written meanwhile.

    Raises InputError `not_beside`.
    """
    await require_both_schemas(connection)
    sql = queries("v2.verify")
    differences: list[Difference] = []
    counts: dict[str, tuple[int, int]] = {}
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.execute("SET LOCAL work_mem = '64MB'")
        # A LIMIT makes the planner hope for an early end, which there is not when all is well.
        await connection.execute("SET LOCAL enable_nestloop = off")
        for check, query in sql.items():
            if check == "counts":
                continue
            rows = await connection.fetch(query)
            differences += [Difference(check, row["id"], row["detail"] or "") for row in rows]
        await connection.execute("SET LOCAL enable_nestloop = on")
        for row in await connection.fetch(sql["counts"]):
            counts[row["name"]] = row["v2_rows"], row["rows"]
            if row["v2_checksum"] != row["checksum"]:
                differences.append(Difference("checksum", row["name"], "the rows that both sides have differ"))
        quarantined = await connection.fetchval(f"SELECT count(*) FROM {OWN}.quarantine")
    return Verdict(differences, counts, quarantined)
