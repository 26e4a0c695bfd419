"""The page on the migration from V2 is followed word by word, with life between its commands, and back after a week."""

from __future__ import annotations

import asyncio
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from baylight.cli.v2 import app
from tests.support.v2 import V2Database, display, make_dirty, sensor

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "migrate-from-v2.md"
FAILS = {"baylight v2 observe": "Nothing was observed", "baylight v2 colours": "the catalogue has"}
"""Commands that end with 1 here, as the page says: no uplink came, and a colour of V2 is wrong."""
LIFE = {
    "baylight v2 apply --to verify": "UPDATE spaces SET sensor_eui = '58a0cb00000000f1' WHERE code = 'W1'",
    "baylight v2 apply --to switch": "UPDATE spaces SET name = 'Renamed' WHERE code = 'W2'",
}
"""What V2's application writes after a command."""
WEEK = """
UPDATE spaces SET deleted_at = now(), sensor_device_id = NULL, display_device_id = NULL WHERE code = 'W3';
INSERT INTO spaces (name, code) VALUES ('again', 'W3');
UPDATE spaces SET code = '~' WHERE code = 'W1'; UPDATE spaces SET code = 'W1' WHERE code = 'W2';
UPDATE spaces SET code = 'W2' WHERE code = '~';
"""
"""What people do in Baylight in the week after the contract."""


def commands() -> list[str]:
    """Return the commands of the page in its order."""
    text = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    found = [line.strip() for block in blocks for line in block.splitlines() if line.strip().startswith("baylight ")]
    # The ways back stand in the sentences, too.
    backs = re.findall(r"\*\*Go back\*\* with `(baylight v2 rollback [^`]+)`", text)
    at = next(n for n, command in enumerate(found) if command.endswith("--to start"))
    return [*found[:at], *backs, *found[at:]]


async def test_the_runbook_is_followed_word_by_word(
    v2: V2Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    await make_dirty(v2)
    for n in range(1, 4):
        await v2.add(f"W{n}", sensor_eui=sensor(200 + n), display_eui=display(200 + n), building="Main")
    monkeypatch.setenv("BAYLIGHT_DATABASE_URL", v2.dsn)
    monkeypatch.chdir(tmp_path)
    cli = CliRunner()
    ran = []
    for command in commands():
        words = shlex.split(command)
        assert words[:2] == ["baylight", "v2"], command
        yes = ["--yes"] if words[-2:] == ["--to", "start"] else []
        if "--write-choices" not in words and "apply" in words and "--choices" in words:
            name_the_role(tmp_path / "choices.toml")
        result = await asyncio.to_thread(cli.invoke, app, [*words[2:], *yes])
        expected = FAILS.get(command)
        assert result.exit_code == (1 if expected else 0), (command, result.output)
        assert (expected or "") in result.output, command
        ran.append(command)
        for begin, statement in LIFE.items():
            if command.startswith(begin):
                await v2.legacy.execute(statement)
        if command == "baylight v2 apply --to contract":
            await v2.baylight.execute(WEEK)
    assert ran[0].startswith("baylight v2 inspect")
    assert ran[-2:] == ["baylight v2 rollback --to switch", "baylight v2 rollback --to start"]
    rows = {row["code"]: row for row in await v2.legacy.fetch("SELECT code, name, sensor_eui, deleted_at FROM spaces")}
    assert (rows["W1"]["name"], rows["W2"]["sensor_eui"]) == ("Renamed", "58a0cb00000000f1")
    assert rows["W3"]["name"] == "again"
    assert await v2.admin.fetchval("SELECT to_regnamespace('v2_migration')") is None


def name_the_role(file: Path) -> None:
    """Check what the page asks the operator to read: the role of V2, and the kinds of sensors."""
    text = file.read_text(encoding="utf-8")
    assert 'legacy_role = "parking"' in text
    assert '"58a0cb" = "browan_tbms100"' in text
