"""SQL by name. `sql/queries/<group>.sql` holds queries, each headed by `-- name: <name>` and a line of description."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

_HEAD = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


@cache
def queries(group: str) -> dict[str, str]:
    """The named queries of a group. Raises ValueError for a file without or with a doubled name."""
    text = (resources.files("baylight") / "sql" / "queries" / f"{group}.sql").read_text(encoding="utf-8")
    parts = _HEAD.split(text)
    names, bodies = parts[1::2], parts[2::2]
    if not names or len(set(names)) != len(names):
        raise ValueError(f"queries/{group}.sql: no name, or a name twice")
    return {name: body.strip().rstrip(";") for name, body in zip(names, bodies, strict=True)}
