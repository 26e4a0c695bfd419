"""`baylight codec …` on a fresh database."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from baylight.cli.main import app
from tests.support.servers import Database

SOURCE = "function decodeUplink(i) { return { data: { taken: i.bytes[0] } }; }"


@pytest.fixture
def files(tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BAYLIGHT_DATABASE_URL", database.dsn)
    (tmp_path / "eye.js").write_text(SOURCE)
    (tmp_path / "mapping.json").write_text('{"field": "taken", "occupied": [1], "free": [0]}')
    example = {"description": "a car", "input": {"bytes": "01"}, "output": {"data": {"taken": 1}}}
    empty = {"description": "no car", "input": {"bytes": "00"}, "output": {"data": {"taken": 0}}}
    (tmp_path / "examples.json").write_text(json.dumps([example, empty]))
    return tmp_path


def cli(*words: object, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["codec", *map(str, words)])
    assert result.exit_code == code, result.output
    return result


def add(files: Path, *, code: int = 0) -> Result:
    rules, proofs = files / "mapping.json", files / "examples.json"
    return cli("add", "eye", files / "eye.js", "--mapping", rules, "--examples", proofs, code=code)


def test_a_codec_is_added_proven_activated_and_tried_out(files: Path) -> None:
    assert "eye version 1, not active" in add(files).stdout
    assert "ok    a car (OCCUPIED)" in cli("test", "eye").stdout
    assert "version 1 of eye is active" in cli("activate", "eye", 1).stdout
    assert json.loads(cli("list", "--json").stdout)[0]["active"] is True
    assert cli("show", "eye", "--source").stdout.strip() == SOURCE
    assert "FREE" in cli("decode", "eye", 1, "00").stdout
    assert "no version of eye is active" in cli("deactivate", "eye").stdout


def test_a_codec_that_fails_its_examples_is_reported_and_stays_inactive(files: Path) -> None:
    (files / "eye.js").write_text("function decodeUplink(i) { for (;;); }")
    add(files)
    assert "it runs longer than 100 ms" in cli("test", "eye", code=1).stdout
    assert "2 of 2 examples" in cli("activate", "eye", 1, code=2).output
    assert "not active" in cli("show", "eye").stdout


def test_a6_an_activation_names_what_no_example_proves(files: Path) -> None:
    empty = {"input": {"bytes": "00", "fPort": 1}, "output": {"data": {"taken": 0}}}
    (files / "examples.json").write_text(json.dumps([empty]))
    (files / "mapping.json").write_text('{"field": "taken", "occupied": [1], "free": [0], "f_ports": [1, 7]}')
    add(files)
    assert "not covered by an example: FPort 7" in cli("test", "eye").stdout
    assert "no example of eye version 1 maps to OCCUPIED" in cli("activate", "eye", 1, code=2).output


def test_a5_states_that_look_like_free_need_the_flag(files: Path) -> None:
    (files / "eye.js").write_text("function encodeDownlink(i) { return { bytes: [i.data.led === 'on' ? 1 : 0] }; }")
    (files / "examples.json").write_text(
        json.dumps([{"type": "downlink-encode", "input": {"data": {"led": "on"}}, "output": {"bytes": [1]}}])
    )
    off = {"ledState": "off"}
    (files / "states.json").write_text(json.dumps({"FREE": off, "OCCUPIED": off, "UNKNOWN": off}))
    cli("add", "eye", files / "eye.js", "--examples", files / "examples.json")
    cli("activate", "eye", 1)
    made = ("add-display-type", "eye", "eye_light", "--states", files / "states.json", "--manufacturer", "A")
    made = (*made, "--model", "B", "--every", "1h")
    assert "they look alike" in cli(*made, code=2).output
    assert "allow_alike" in cli(*made, "--allow-alike", "--json").stdout


def test_a_codec_that_is_no_text_is_refused(files: Path) -> None:
    (files / "eye.js").write_bytes(b"\x00\xff")
    assert "eye.js is not UTF-8 text" in add(files, code=2).output


def test_the_exit_code_shows_what_a_codec_cannot_do(files: Path) -> None:
    (files / "eye.js").write_text("function decodeUplink(i) { throw new Error('boo'); }")
    add(files)
    assert "boo" in cli("decode", "eye", 1, "00", code=1).stdout
    assert "encodeDownlink" in cli("encode", "eye", "{}", code=1).stdout


def test_a_device_type_is_made_of_a_codec(files: Path) -> None:
    add(files)
    made = ("add-type", "eye", "acme_eye", "--manufacturer", "Acme", "--model", "Bay Eye", "--every", "6h")
    assert "js:eye" in cli(*made).stdout
    assert "exists already" in cli(*made, code=2).output


def test_c8_a_type_is_shown_changed_and_deleted(files: Path) -> None:
    def kind(*words: object, code: int = 0) -> str:
        result = CliRunner().invoke(app, ["type", *map(str, words)])
        assert result.exit_code == code, result.output
        return result.output

    add(files)
    cli("add-type", "eye", "acme_eye", "--manufacturer", "Acme", "--model", "Bay Eye", "--every", "6h")
    changed = json.loads(kind("change", "acme_eye", "--every", "1h", "--model", "Eye", "--prefix", "AB", "--json"))
    assert (changed["uplink_interval_s"], changed["model"], changed["dev_eui_prefixes"]) == (3600, "Eye", ["ab"])
    assert json.loads(kind("change", "acme_eye", "--no-prefix", "--json"))["dev_eui_prefixes"] == []
    assert "3600" in kind("show", "acme_eye")
    assert "name what to change" in kind("change", "acme_eye", code=2)
    assert "no codes that a JavaScript codec makes" in kind("change", "acme_eye", "--f-port", 4, code=2)
    device = CliRunner().invoke(app, ["device", "add", "70b3d57ed0000001", "--type", "acme_eye"])
    assert device.exit_code == 0
    assert "1 sensor has the type acme_eye" in kind("delete", "acme_eye", code=2)
    cli("add-type", "eye", "acme_other", "--manufacturer", "Acme", "--model", "Bay Eye", "--every", "6h")
    assert "the type acme_other is deleted" in kind("delete", "acme_other")
    assert "the catalogue has no device type" in kind("show", "acme_other", code=2)


def test_bad_files_are_refused(files: Path) -> None:
    (files / "mapping.json").write_text("{")
    assert "mapping.json" in add(files, code=2).output
    (files / "mapping.json").write_text("[]")
    assert "JSON object" in add(files, code=2).output
    (files / "mapping.json").write_text('{"field": "taken"}')
    assert "mapping:" in add(files, code=2).output
    cli("show", "eye", code=2)
    assert "not hex" in cli("decode", "eye", 1, "0g", code=2).output
