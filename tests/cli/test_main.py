from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from typer.testing import CliRunner

from baylight.cli.main import app
from baylight.lab.embedded.broker import EmbeddedBroker
from baylight.sandbox.walls import HIDDEN_PARENT, WALLS
from baylight.settings import Settings
from tests.docs.generated import commands
from tests.support.cli import DISPLAY, SENSOR, Cli, data
from tests.support.servers import Database


def test_a_garage_is_set_up_and_explained(garage: Cli) -> None:
    assert data(garage("space", "list", "--json"))[0]["code"] == "A-13"
    shown = garage("space", "show", "A-13").stdout
    assert "Garage/Floor 1" in shown
    assert "sensor_never_heard" in shown
    text = garage("why", "A-13").stdout
    assert text.startswith("A-13 (Garage/Floor 1) is UNKNOWN")
    assert "flashing blue" in text
    assert data(garage("why", "A-13", "--json"))["decided"] == "UNKNOWN"
    listed = garage("location", "list").stdout.splitlines()
    assert [line.split()[0] for line in listed] == ["path", "Garage", "Garage/Floor"]


def test_maintenance_overrides_and_default_states_show_at_once(garage: Cli) -> None:
    assert "MAINTENANCE" in garage("space", "maintenance", "A-13", "on").stdout
    assert "UNKNOWN" in garage("space", "maintenance", "A-13", "off").stdout
    assert "1 spaces" in garage("location", "maintenance", "Garage", "on").stdout
    assert "changes wait 5 s" in garage("location", "change-hold", "Garage", "5").stdout
    assert "as the location above" in garage("location", "change-hold", "Garage").stdout
    assert "0 to 60 s" in garage("location", "change-hold", "Garage", "61", code=2).stderr
    assert "Garage/Level 1" in garage("location", "rename", "Garage/Floor 1", "Level 1").stdout
    assert "contains 1 spaces" in garage("location", "delete", "Garage/Level 1", code=2).stderr
    changed = garage("space", "change", "A-13", "--name", "Ramp", "--latitude", "-52.5", "--longitude", "0", "--json")
    assert (data(changed)["name"], data(changed)["location"]) == ("Ramp", "Garage/Level 1")
    cleared = data(garage("space", "change", "A-13", "--clear", "location", "--clear", "position", "--json"))
    assert (cleared["location"], cleared["latitude"]) == (None, None)
    assert "name what to change" in garage("space", "change", "A-13", code=2).stderr
    garage("space", "change", "A-13", "--location", "Garage/Level 1")
    garage("location", "add", "Hut")
    assert "is deleted" in garage("location", "delete", "Hut").stdout
    garage("override", "set", "OCCUPIED", "A-13", "--for", "2h", "--reason", "crane")
    assert "crane" in garage("override", "list").stdout
    replaced = garage("override", "set", "OCCUPIED", "A-13", "--for", "2h", "--reason", "crane").stdout
    assert "it replaced OCCUPIED by cli:" in replaced, "D3"
    assert data(garage("space", "show", "A-13", "--json"))["state"] == "OCCUPIED"
    assert "is ended" in garage("override", "end", "A-13").stdout
    assert "there was no override" in garage("override", "end", "A-13").stdout
    assert data(garage("space", "show", "A-13", "--json"))["state"] == "MAINTENANCE"


def test_reservations_are_made_listed_and_cancelled(garage: Cli) -> None:
    made = data(garage("reservation", "add", "A-13", "--for", "2h", "--email", "secret@example.org", "--json"))
    refused = garage("reservation", "add", "A-13", "--for", "1h", code=2)
    assert refused.stderr == "baylight: the space is already reserved for part of that time\n"
    listed = garage("reservation", "list").stdout
    assert made["id"] in listed
    assert "secret" not in listed
    garage("reservation", "cancel", made["id"])
    garage("space", "maintenance", "A-13", "on")
    warned = garage("reservation", "add", "A-13", "--for", "1h").stdout
    assert "warnings             A-13 is closed: MAINTENANCE since " in warned, "D6"
    garage("reservation", "cancel", data(garage("reservation", "list", "--status", "active", "--json"))[0]["id"])
    assert data(garage("reservation", "list", "--status", "active", "--json")) == []


def test_devices_are_swapped_disabled_and_decommissioned(garage: Cli) -> None:
    garage("device", "add", "58a0cb00000000a2")
    assert (
        "58a0cb00000000a2"
        in garage("space", "assign", "A-13", "--sensor", "58A0CB00000000A2", "--reason", "swap").stdout
    )
    garage("device", "lifecycle", SENSOR, "decommissioned", "--reason", "battery")
    assert SENSOR not in garage("device", "list").stdout
    assert SENSOR in garage("device", "list", "--all").stdout
    garage("device", "disable", DISPLAY)
    assert data(garage("device", "show", DISPLAY, "--json"))["enabled"] is False
    garage("device", "enable", DISPLAY)
    assert "sensor none" in garage("space", "unassign", "A-13", "sensor").stdout
    garage("space", "delete", "A-13", "--yes")
    assert garage("space", "list").stderr == "none\n"


def test_a12_display_codes_are_shown_as_people_see_them(garage: Cli) -> None:
    assert "pink" in garage("device", "codes", DISPLAY, "MAINTENANCE=FFA5006400").stdout
    assert "orange" in garage("device", "codes", DISPLAY, "maintenance=#ff3200").stdout
    refused = garage("device", "codes", DISPLAY, "FREE=aa00", code=2)
    assert refused.stderr.startswith("baylight: FREE: ")
    garage("device", "codes", DISPLAY, "FREE", code=2)
    assert len(data(garage("device", "codes", DISPLAY, "--json"))) == 6


def test_keys_are_shown_once_and_revoked(cli: Cli) -> None:
    made = cli("key", "add", "sign at the gate", "--scope", "read")
    secret = made.stdout.strip()
    listed = cli("key", "list").stdout
    assert "sign at the gate" in listed
    assert secret not in listed
    prefix = data(cli("key", "list", "--json"))[0]["prefix"]
    assert prefix in cli("key", "revoke", prefix).stdout
    cli("key", "add", "x", "--scope", "all", code=2)


def test_a_key_is_added_until_a_time(cli: Cli) -> None:
    made = data(cli("key", "add", "gate", "--until", "2099-01-01T00:30+01:00", "--json"))
    assert made["key"]["expires_at"] == "2098-12-31T23:30:00Z"
    assert "2098-12-31 23:30:00 UTC" in cli("key", "list").stdout
    assert data(cli("key", "add", "sign", "--json"))["key"]["expires_at"] is None


@pytest.mark.parametrize(
    ("until", "message"),
    [
        ("2020-01-01T00:00Z", "a key expires in the future"),
        ("2099-01-01T00:00", "has no time zone"),
        ("2099-02-30T00:00Z", "is no time such as"),
        ("tomorrow", "is no time such as"),
        ("9999-12-31T23:59-14:00", "is out of range"),
        ("", "is no time such as"),
    ],
)
def test_a_key_with_a_bad_end_is_not_added(cli: Cli, until: str, message: str) -> None:
    assert message in cli("key", "add", "gate", "--until", until, code=2).stderr
    assert data(cli("key", "list", "--json")) == []


def test_the_schema_is_reported_and_checked(cli: Cli) -> None:
    assert "pending" not in cli("db", "status").stdout
    assert all(migration["applied_at"] for migration in data(cli("db", "status", "--json")))
    cli("db", "check")
    assert "0 device types new or changed" in cli("db", "upgrade").stdout
    assert "kuando_busylight" in cli("type", "list").stdout


def test_doctor_finds_what_is_wrong_and_shows_what_to_do(
    garage: Cli, broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BAYLIGHT_MQTT_HOST", broker.host)
    monkeypatch.setenv("BAYLIGHT_MQTT_PORT", str(broker.port))
    result = garage("doctor", code=1)
    assert "ok    broker: answers" in result.stdout
    assert "LOOK  devices without uplinks: 2: A-13" in result.stdout
    assert "check that the network server has their DevEUIs" in result.stdout
    garage("space", "delete", "A-13", "--yes")
    assert all(finding["ok"] for finding in data(garage("doctor", "--json")))


def test_f9_doctor_says_which_walls_around_the_sandbox_hold(garage: Cli) -> None:
    (finding,) = [f for f in data(garage("doctor", "--json", code=1)) if f["check"] == "sandbox"]
    assert finding["detail"].startswith("walls that hold: ")
    named = finding["detail"].replace("(no ", "").replace("; no ", ", ")
    assert all(name in named for name in (*WALLS, HIDDEN_PARENT))
    assert finding["ok"] is ("no seccomp" not in finding["detail"])


def test_doctor_reports_a_broker_that_is_away(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("baylight.cli.reach.PATIENCE_S", 0.5)
    monkeypatch.setenv("BAYLIGHT_MQTT_PORT", "1")
    printed = cli("doctor", code=1).stdout
    assert "LOOK  broker: the MQTT broker does not let us in: 127.0.0.1:1: [Errno 111]" in printed
    monkeypatch.setenv("BAYLIGHT_TTS_MQTT_HOST", "127.0.0.1")
    monkeypatch.setenv("BAYLIGHT_TTS_MQTT_PORT", "2")
    monkeypatch.setenv("BAYLIGHT_TTS_MQTT_USER", "garage@ttn")
    monkeypatch.setenv("BAYLIGHT_TTS_MQTT_KEY", "key")
    monkeypatch.setenv("BAYLIGHT_MQTT_HOST", "")
    printed = cli("doctor", code=1).stdout
    assert "LOOK  the things stack: the MQTT broker does not let us in: 127.0.0.1:2: [Errno 111]" in printed
    assert " broker:" not in printed, "there is none"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["space", "show", "X-9"], "there is no space 'X-9'"),
        (["device", "add", "58a0"], "'58a0' is not a DevEUI: 16 hex digits are needed"),
        (["space", "list", "--state", "GREEN"], "'GREEN' is no state"),
        (["override", "end"], "name either a space or a location"),
        (["space", "add", "A-1", "--location", "Cellar"], "there is no location 'Cellar'"),
    ],
)
def test_an_error_is_one_line_and_exit_code_2(cli: Cli, words: list[str], message: str) -> None:
    result = cli(*words, code=2)
    assert result.stdout == ""
    assert result.stderr.startswith(f"baylight: {message}")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("words", [["reservation", "add", "A-1", "--from", "2026-11-24T09:00", "--for", "1h"],
                                   ["reservation", "add", "A-1", "--from", "0001-01-01T00:00+12:00", "--for", "1h"],
                                   ["override", "set", "FREE", "A-1", "--for", "soon"],
                                   ["override", "set", "FREE", "A-1", "--for", "999999999d"],
                                   ["override", "set", "FREE", "A-1", "--for", "99999999999d"]])  # fmt: skip
def test_b23_a_time_without_zone_and_a_wrong_duration_are_refused(cli: Cli, words: list[str]) -> None:
    assert "Invalid value" in cli(*words, code=2).stderr


@pytest.mark.parametrize(
    "words",
    [["override", "set", "FREE", "A-1", "--for", "0s"], ["reservation", "add", "A-1", "--for", "0s"],
     ["override", "set", "FREE", "A-1", "--for", "1h", "--until", "2099-01-01T00:00Z"]],
)  # fmt: skip
def test_an_end_that_is_missing_or_given_twice_is_refused(cli: Cli, words: list[str]) -> None:
    cli("location", "add", "Garage")
    cli("space", "add", "A-1", "--location", "Garage")
    assert cli(*words, code=2).stderr
    assert data(cli("override", "list", "--json")) == []


@pytest.mark.parametrize("words", [["space", "list"], ["serve"]])
def test_without_a_database_the_error_names_the_setting(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    monkeypatch.delenv("BAYLIGHT_DATABASE_URL", raising=False)
    result = CliRunner().invoke(app, words)
    assert (result.exit_code, "set BAYLIGHT_DATABASE_URL" in result.stderr) == (2, True)


def test_a_database_that_is_away_is_exit_code_3(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAYLIGHT_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    result = CliRunner().invoke(app, ["space", "list"])
    assert (result.exit_code, result.stderr.count("\n")) == (3, 1)
    assert "cannot be reached" in result.stderr


def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAYLIGHT_MQTT_PORT", "many")
    result = CliRunner().invoke(app, ["serve"])
    assert result.exit_code == 2
    assert result.stderr.startswith("baylight: BAYLIGHT_MQTT_PORT: ")


@pytest.mark.parametrize("words", [["space", "list"], ["doctor"], ["serve"]])
def test_a_user_without_rights_gets_an_error_with_what_the_database_needs(
    cli: Cli, database: Database, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    poor = f"{database.dsn}{'&' if '?' in database.dsn else '?'}role=pg_monitor"
    monkeypatch.setenv("BAYLIGHT_DATABASE_URL", poor)
    printed = cli(*words, code=2).stderr
    assert printed.startswith("baylight: permission denied for ")
    assert printed.endswith("which renews the rights of service users\n")


@pytest.mark.parametrize("url", ["mysql://a@b/c", "postgresql://a@127.0.0.1:port/b"])
def test_an_address_of_the_database_that_cannot_be_read_ends_serve(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Nothing will make it right: there is nothing to wait for."""
    monkeypatch.setenv("BAYLIGHT_DATABASE_URL", url)
    result = CliRunner().invoke(app, ["serve"])
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert result.stderr.startswith("baylight: BAYLIGHT_DATABASE_URL: ")


def test_an_empty_setting_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "CHIRPSTACK_API", "TTS_MQTT_HOST", "MQTT_CA", "TTS_WEBHOOK_SECRET", "MQTT_HOST"):
        monkeypatch.setenv(f"BAYLIGHT_{name}", "")
    settings = Settings()
    assert {settings.database_url, settings.chirpstack_api, settings.tts_mqtt_host, settings.mqtt_ca} == {None}
    assert (settings.tts_webhook_secret, settings.mqtt_host) == (None, "")


def test_a_secret_that_is_too_short_is_refused_with_its_minimum_of_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAYLIGHT_TTS_WEBHOOK_SECRET", "short")
    result = CliRunner().invoke(app, ["serve"])
    assert result.stderr == "baylight: BAYLIGHT_TTS_WEBHOOK_SECRET: at least 16 characters are needed\n"


def test_a_misspelt_setting_is_reported(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("baylight.cli.reach.PATIENCE_S", 0.5)
    monkeypatch.setenv("BAYLIGHT_MQTT_PORT", "1")
    assert "ok    settings: each is known" in cli("doctor", code=1).stdout
    monkeypatch.setenv("BAYLIGHT_MQTT_PASSWORT", "secret")
    monkeypatch.setenv("BAYLIGHT_SERVICE_HOST", "10.0.0.1")  # Kubernetes sets it in each pod of a service `baylight`
    printed = cli("doctor", code=1).stdout
    assert "LOOK  settings: BAYLIGHT_MQTT_PASSWORT is not known: is BAYLIGHT_MQTT_PASSWORD meant?" in printed
    assert "SERVICE_HOST" not in printed


async def test_an_empty_database_asks_for_the_upgrade(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async with server.database(migrated=False) as empty:
        words = [sys.executable, "-m", "baylight", "space", "list"]
        result = subprocess.run(  # noqa: ASYNC221  nothing else runs meanwhile
            words, env={"BAYLIGHT_DATABASE_URL": empty.dsn, "PYTHONPATH": ":".join(sys.path)}, capture_output=True
        )
    assert result.returncode == 2
    assert b"baylight db upgrade" in result.stderr


def test_settings_lists_every_variable() -> None:
    result = CliRunner().invoke(app, ["settings"])
    assert result.exit_code == 0
    for name in Settings.model_fields:
        assert f"BAYLIGHT_{name.upper()}  (" in result.stdout
    rows = json.loads(CliRunner().invoke(app, ["settings", "--json"]).stdout)
    assert all(row["description"] for row in rows)


def test_help_needs_none_of_the_heavy_parts() -> None:
    code = (
        "import sys, baylight.cli; print([m for m in ('asyncpg', 'fastapi', 'pydantic', 'grpc') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, env={"PYTHONPATH": ":".join(sys.path)})
    assert result.stdout.strip() == b"[]", result.stderr


@pytest.mark.parametrize(
    "words",
    [[], ["db"], ["space"], ["location"], ["device"], ["codec"], ["orphan"], ["override"], ["reservation"], ["key"]],
)
def test_help_lists_every_command_with_a_whole_line(words: list[str]) -> None:
    lines = CliRunner().invoke(app, [*words, "--help"]).stdout.partition("Commands:")[2].strip().splitlines()
    assert len(lines) >= 3
    assert not [line for line in lines if line.endswith("...") or not line.strip().partition("  ")[2]]


NO_VERBS = {"a", "an", "the", "it", "its", "that", "those", "what", "which", "where", "every", "everything", "of", "by"}


def test_the_help_of_each_command_starts_with_a_verb_in_the_imperative() -> None:
    for words in commands():
        text = CliRunner().invoke(app, [*words, "--help"]).stdout.splitlines()[2].strip()
        first = text.split()[0].lower()
        assert first not in NO_VERBS, text
        assert not first.endswith("s"), text


@pytest.mark.parametrize("words", [["codec", "show", "eye", "--version", "9" * 30], ["space", "show", "x" * 100_000],
                                   ["reservation", "list", "--space", "%_"], ["location", "delete", "a/%/_"],
                                   ["codec", "list", "%"], ["orphan", "list", "--after", "%"]])  # fmt: skip
def test_d7_numbers_out_of_range_and_wildcards_end_no_command_with_a_traceback(cli: Cli, words: list[str]) -> None:
    result = CliRunner().invoke(app, words)
    assert result.exit_code in (0, 2), result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert result.stderr.count("\n") <= 1
