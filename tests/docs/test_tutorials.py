"""The first tutorial, then the second, on one fresh database. No relay runs, so no light fails here."""

from __future__ import annotations

import base64
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from baylight.cli.main import app
from baylight.lab.embedded.broker import EmbeddedBroker
from tests.support.servers import Database
from tests.support.uplinks import receive_now

TUTORIALS = Path(__file__).parents[2] / "docs" / "tutorial"
FIRST, SECOND = ((TUTORIALS / name).read_text("utf-8") for name in ("first-car-park.md", "swap-a-device.md"))
OLD, NEW = "58a0cb0000000001", "58a0cb0000000002"


def follow(page: str, dsn: str) -> dict[str, str]:
    """Run each `baylight` command and send each uplink `up …` of a page; return the output of each command."""
    printed = {}
    blocks = re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    for line in re.findall(r"^(?:baylight|up [0-9a-f]{16}) .+$", "".join(blocks), re.MULTILINE):
        program, *words = shlex.split(line, comments=True)
        if program == "up":
            dev_eui, f_port, f_cnt, data = words
            receive_now(dsn, dev_eui, int(f_port), int(f_cnt), base64.b64decode(data))
        elif words != ["serve"]:
            result = CliRunner().invoke(app, words)
            found = words == ["doctor"]  # its page has the reason
            assert result.exit_code == int(found), f"{line}: {result.output}"
            printed[line] = result.stdout
    return printed


def test_the_second_tutorial_works_after_the_first(
    database: Database, broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BAYLIGHT_DATABASE_URL", database.dsn)
    monkeypatch.setenv("BAYLIGHT_MQTT_HOST", broker.host)
    monkeypatch.setenv("BAYLIGHT_MQTT_PORT", str(broker.port))

    first = follow(FIRST, database.dsn)
    assert len(first) == 8
    assert "failed" not in first["baylight why A-13"], "D5: no command fails before one works"
    assert f"```text\n{first['baylight device codes 2020200000000001']}```" in FIRST
    explained = first["baylight why A-13"].splitlines()
    assert explained[0].startswith("A-13 (Market garage/Floor 1) is OCCUPIED")
    for line in explained:
        if line.startswith(("  frame 1, ", "  battery_v ")):
            assert line in FIRST
    assert "ok    devices without uplinks: none" in first["baylight doctor"]

    second = follow(SECOND, database.dsn)
    assert len(second) == 8
    assert f"sensor {OLD} -> {NEW} on A-13" in second[f'baylight device swap {OLD} {NEW} --note "battery empty"']
    assert second[f"baylight device undo {NEW}"].endswith("undone\n")
    past = second["baylight space show A-13 --as-of 2026-05-03T14:00+02:00"]
    assert past.startswith("A-13 at 2026-05-03 14:00:00 CEST: not yet there")
    assert "decommissioned" in CliRunner().invoke(app, ["device", "show", OLD]).stdout
