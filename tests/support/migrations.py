"""Databases of earlier versions."""

from __future__ import annotations

import tempfile
from importlib import resources
from pathlib import Path

from baylight.store import migrate


async def upgrade_before(dsn: str, number: str) -> None:
    """Apply the migrations before the one of a number."""
    with tempfile.TemporaryDirectory() as directory:
        for file in (resources.files("baylight") / "sql" / "migrations").iterdir():
            if file.name.endswith(".sql") and file.name < number:
                (Path(directory) / file.name).write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
        await migrate.upgrade(dsn, directory=Path(directory))
