"""Steps of docs/how-to/use-a-javascript-codec.md on a fresh database."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from baylight.cli.main import app
from baylight.codecs.ts013.display_mapping import DisplayMapping
from baylight.codecs.ts013.sensor_mapping import OccupancyMapping
from tests.support.servers import Database

PAGE = (Path(__file__).resolve().parents[2] / "docs/how-to/use-a-javascript-codec.md").read_text("utf-8")
FILES = re.findall(r"^`([\w.]+)`:\n\n```\w+\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = [
    line for block in re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL) for line in block.splitlines()
]


def test_a_person_who_follows_the_page_has_a_sensor_that_decodes(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BAYLIGHT_DATABASE_URL", database.dsn)
    monkeypatch.chdir(tmp_path)
    assert [name for name, _ in FILES] == [
        "bay_eye.js", "mapping.json", "examples.json", "signal.js", "states.json", "signal_mapping.json",
        "signal_examples.json",
    ]  # fmt: skip
    for name, text in FILES:
        (tmp_path / name).write_text(text, "utf-8")
    printed = {}
    for line in COMMANDS:
        result = CliRunner().invoke(app, shlex.split(line)[1:])
        assert result.exit_code == 0, f"{line}\n{result.output}"
        printed[line] = result.stdout
    (shown,) = re.findall(r"^```text\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert printed["baylight codec test bay_eye"] == shown
    assert "OCCUPIED" in printed["baylight codec decode bay_eye 4 01b4"]
    assert "1002" in printed["""baylight codec encode signal '{"colour": "red"}'"""]


def test_the_table_has_every_key_of_a_mapping() -> None:
    keys = {
        key
        for line in PAGE.split("| key | meaning |")[1].split("\n\n")[0].splitlines()[2:]
        for key in re.findall(r"`(\w+)`", line.split("|")[1])
    }
    known = OccupancyMapping.parse.__doc__ or ""
    assert keys <= set(re.findall(r"`(\w+)`", known))
    assert set(re.findall(r"`(\w+)`", known)) - {"occupied_below", "free_above", "occupied_above", "free_below",
                                                 "bad_mapping"} == keys  # fmt: skip


def test_the_mappings_of_the_page_are_some() -> None:
    OccupancyMapping.parse(json.loads(dict(FILES)["mapping.json"]))
    DisplayMapping.parse(json.loads(dict(FILES)["signal_mapping.json"]))
