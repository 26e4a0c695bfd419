"""Errors of PostgreSQL as one sentence that says what to do."""

from __future__ import annotations

import asyncpg

_ADVICE: tuple[tuple[type[asyncpg.PostgresError], str], ...] = (
    (asyncpg.InsufficientPrivilegeError, "run it as the owner of V2's tables, and give this account the right"),
    (asyncpg.ObjectNotInPrerequisiteStateError, "see `baylight v2 inspect`, which names publications and their tables"),
    (asyncpg.DependentObjectsStillExistError, "drop or change what depends on it, then run the same command again"),
    (asyncpg.DuplicateObjectError, "rename the thing that has this name, then run the same command again"),
    (asyncpg.DuplicateTableError, "rename the thing that has this name, then run the same command again"),
    (asyncpg.DuplicateFunctionError, "rename the thing that has this name, then run the same command again"),
    (asyncpg.DuplicateSchemaError, "rename the thing that has this name, then run the same command again"),
    (asyncpg.AmbiguousFunctionError, "rename your function of this name, then run the same command again"),
    (asyncpg.NotNullViolationError, "give this column a default, then run the same command again"),
    (asyncpg.IntegrityConstraintViolationError, "correct the rows that it names, then run the same command again"),
    (asyncpg.DataError, "correct the value that it names, then run the same command again"),
)
_OTHERWISE = "correct what it names; the same command goes on where it ended"


def sentence(error: asyncpg.PostgresError) -> str:
    """Return what PostgreSQL reports, where, and what to do."""
    place = [f"{what} {name}" for what in ("table", "column", "constraint") if (name := getattr(error, f"{what}_name"))]
    where = f" ({', '.join(place)})" if place else ""
    advice = next((advice for kind, advice in _ADVICE if isinstance(error, kind)), _OTHERWISE)
    return f"PostgreSQL reports {error.sqlstate}: {error.args[0]}{where}; {advice}"
