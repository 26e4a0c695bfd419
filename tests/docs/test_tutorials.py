"""The tutorial is followed, command by command."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from baylight.cli.main import app
from tests.conftest import Database

PAGE = Path(__file__).parents[2] / "docs" / "tutorial" / "swap-a-device.md"


def test_every_command_of_the_tutorial_does_what_it_says(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAYLIGHT_DATABASE_URL", database.dsn)
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    said = {}
    for line in ["baylight db upgrade", *"".join(blocks).splitlines()]:
        program, *words = shlex.split(line)
        assert program == "baylight"
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, f"{line}: {result.output}"
        said[line] = result.stdout
    assert len(said) > 10
    assert "undone" in said["baylight device undo 58a0cb00000000a2"]
    past = said["baylight space show A-13 --as-of 2026-05-03T14:00+02:00"]
    assert past.startswith("A-13 at 2026-05-03 12:00:00: not yet there")
    retired = CliRunner().invoke(app, ["device", "show", "58a0cb00000000a1"]).stdout
    assert "decommissioned" in retired
