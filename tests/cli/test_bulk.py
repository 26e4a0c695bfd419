from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from baylight.cli.main import app
from tests.support.cli import Cli

SPACES = "# baylight spaces v1\ncode,name,location,latitude,longitude,default_state,maintenance,metadata\n"


def test_an_export_is_imported_again(garage: Cli, tmp_path: Path) -> None:
    file = tmp_path / "spaces.csv"
    garage("export", "spaces", "-o", str(file))
    assert file.read_bytes().splitlines()[2] == b"A-13,A-13,Garage/Floor 1,,,UNKNOWN,no,"
    assert garage("export", "spaces").stdout_bytes == file.read_bytes()
    assert "1 spaces: 0 added, 0 changed, 1 unchanged" in garage("import", str(file), "--kind", "spaces").stdout
    assert [path.name for path in tmp_path.iterdir()] == ["spaces.csv"]


def test_a_dry_run_and_wrong_rows_change_nothing(garage: Cli, tmp_path: Path) -> None:
    file = tmp_path / "spaces.csv"
    file.write_text(SPACES + "A-14,,,,,,,\n")
    dry = garage("import", str(file), "--kind", "spaces", "--dry-run").stdout
    assert "1 added, 0 changed, 0 unchanged (dry run: nothing was changed)" in dry
    file.write_text(SPACES + "A-14,,,,,,,\nA-15,,Nowhere,,,,perhaps,\n")
    wrong = garage("import", str(file), "--kind", "spaces", code=2).stdout
    assert wrong.splitlines() == [
        "row 4, maintenance: 'perhaps' is neither yes nor no (bad_word)",
        "nothing was changed: 1 errors in 2 rows (1 bad_word)",
    ]
    assert json.loads(garage("space", "list", "--json").stdout)[0]["code"] == "A-13"
    assert len(json.loads(garage("space", "list", "--json").stdout)) == 1


def test_standard_input_is_read(garage: Cli) -> None:
    result = CliRunner().invoke(app, ["import", "-", "--kind", "spaces", "--json"], input=SPACES + "A-14,,,,,,,\n")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["added"] == 1


def test_a_file_that_cannot_be_used_is_reported_in_a_line(garage: Cli, tmp_path: Path) -> None:
    assert "No such file" in garage("import", str(tmp_path / "none"), "--kind", "spaces", code=2).stderr
    file = tmp_path / "devices.csv"
    file.write_text(SPACES)
    assert "not devices" in garage("import", str(file), "--kind", "devices", code=2).stderr
    assert "No such file" in garage("export", "spaces", "-o", str(tmp_path / "none" / "x.csv"), code=2).stderr


def test_a_list_of_the_things_stack_is_imported(garage: Cli, tmp_path: Path) -> None:
    file = tmp_path / "devices.json"
    file.write_text(json.dumps({"ids": {"dev_eui": "2020000000000009"}, "version_ids": {"model_id": "lamp"}}))
    assert "type_missing" in garage("import-tts", str(file), code=2).stdout
    done = garage("import-tts", str(file), "--map", "lamp=kuando_busylight")
    assert "1 devices: 1 added" in done.stdout
    assert "kuando_busylight" in garage("device", "show", "2020000000000009").stdout
    assert "left out: 1 of lamp" in garage("import-tts", str(file), "--map", "lamp=-").stderr
    garage("import-tts", str(file), "--map", "lamp", code=2)


def test_e7_a_delivery_list_of_a_maker_is_imported(garage: Cli, tmp_path: Path) -> None:
    file = tmp_path / "delivery.csv"
    file.write_text(
        "\ufeffGerät;Device EUI;AppKey;Model\r\n7;58-A0-CB-00-00-00-90-01;00112233;TBMS100\r\n;;;\r\n"
        "8;2020000000000009;44556677;Lamp\r\n"
    )
    command = ("import-delivery", str(file), "--column", "name=Gerät")
    assert "type_missing" in garage(*command, code=2).stdout
    done = garage(*command, "--map", "Lamp=kuando_busylight", "--application", "7d2ee64f-6a0d-4f1c-9d3b-7d8b2c6b3a11")
    assert "2 devices: 2 added" in done.stdout
    shown = garage("device", "show", "58A0CB0000009001", "--json").stdout
    assert "browan_tbms100" in shown
    assert json.loads(shown)["notes"] == "7"
    assert "00112233" not in garage("export", "devices").stdout
    assert "0 changed" in garage(*command).stdout
    for wrong, text in (
        (("--column", "dev_eui=X"), "there is no column 'X'; the columns are 'Gerät', 'Device EUI'"),
        (("--column", "colour=X"), "FIELD=COLUMN"),
        (("--network-server", "none"), "none"),
    ):
        assert text in (refused := garage(*command, *wrong, code=2)).stderr + refused.stdout
    file.write_text("Gerät;Model\n1;2\n")
    assert "no column is known to have DevEUIs" in garage("import-delivery", str(file), code=2).stderr


def test_chirpstack_must_be_named(garage: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    garage("import-chirpstack", code=2)
    assert "BAYLIGHT_CHIRPSTACK_API" in garage("import-chirpstack", "--tenant", "x", code=2).stderr
    monkeypatch.setenv("BAYLIGHT_CHIRPSTACK_API", "127.0.0.1:1")
    monkeypatch.setenv("BAYLIGHT_CHIRPSTACK_API_KEY", "key")
    assert "does not answer" in garage("import-chirpstack", "--tenant", "x", code=3).stderr
