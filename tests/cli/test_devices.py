"""`baylight device …` on a real database."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from baylight.bulk.kinds import SHEETS
from tests.support.cli import DISPLAY, SENSOR, Cli, data
from tests.support.servers import Database
from tests.support.uplinks import OCCUPIED, receive_now

NEW = "58a0cb00000000a2"


def test_a_device_is_registered_by_its_type_swapped_and_the_swap_undone(garage: Cli) -> None:
    garage("device", "add", NEW.upper())
    assert NEW in garage("device", "list").stdout
    swapped = garage("device", "swap", SENSOR, NEW, "--note", "battery").stdout
    assert f"sensor {SENSOR} -> {NEW} on A-13" in swapped
    assert data(garage("space", "show", "A-13", "--json"))["sensor_dev_eui"] == NEW
    assert data(garage("device", "swaps", NEW, "--json"))[0]["note"] == "battery"
    assert "undone" in garage("device", "undo", NEW).stdout
    assert data(garage("device", "show", SENSOR, "--json"))["spaces"] == ["A-13"]
    refused = garage("device", "undo", NEW, code=2)
    assert "no swap" in refused.stderr


def test_i18_missing_frames_are_shown_at_the_device(garage: Cli, database: Database) -> None:
    for f_cnt in (1, 5):
        receive_now(database.dsn, SENSOR, 102, f_cnt, OCCUPIED)
    assert data(garage("device", "show", SENSOR, "--json"))["frames_missing"] == 3
    assert "frames missing" in garage("device", "show", SENSOR).stdout


def test_attributes_of_a_device_are_changed(garage: Cli) -> None:
    assert data(garage("device", "change", SENSOR, "--notes", "wet", "--json"))["notes"] == "wet"
    changed = data(garage("device", "change", DISPLAY, "--f-port", "16", "--confirmed", "--json"))
    assert (changed["f_port"], changed["confirmed_downlinks"]) == (16, True)
    assert "serves A-13" in garage("device", "change", SENSOR, "--mobile", code=2).stderr
    assert "of displays" in garage("device", "change", SENSOR, "--f-port", "16", code=2).stderr
    assert "of sensors" in garage("device", "change", DISPLAY, "--mobile", code=2).stderr
    garage("device", "change", DISPLAY, "--f-port", "224", code=2)


def test_options_of_the_other_role_are_refused(garage: Cli) -> None:
    assert "of displays" in garage("device", "add", NEW, "--code", "FREE=green", code=2).stderr
    assert "of displays" in garage("device", "add", NEW, "--shared", "count", code=2).stderr
    light = ("device", "add", "2020000000000009", "--type", "kuando_busylight")
    assert "of sensors" in garage(*light, "--mobile", code=2).stderr


def test_a_page_of_devices_is_by_dev_eui_and_never_parts_two_of_one_dev_eui(garage: Cli) -> None:
    garage("device", "add", SENSOR, "--type", "kuando_busylight")
    assert [row["dev_eui"] for row in data(garage("device", "list", "--json"))] == [DISPLAY, SENSOR, SENSOR]
    first = garage("device", "list", "--limit", "2")
    assert len(first.stdout.splitlines()) == 4
    assert f"--after {SENSOR}" in first.stderr
    assert data(garage("device", "list", "--limit", "1", "--json"))[0]["dev_eui"] == DISPLAY
    assert len(data(garage("device", "list", "--after", DISPLAY, "--json"))) == 2
    assert "desired state" in garage("device", "list", "--role", "display").stdout


def test_where_a_device_was_and_what_a_space_was_are_shown_as_of_a_time(garage: Cli) -> None:
    assert data(garage("device", "where", SENSOR, "--json"))[0]["space"] == "A-13"
    assert "none" in garage("device", "where", SENSOR, "--as-of", "2026-05-03T14:00Z").stderr
    assert DISPLAY in garage("space", "history", "A-13").stdout
    then = garage("space", "show", "A-13", "--as-of", "2126-05-03T14:00Z").stdout
    assert then.startswith("A-13 at 2126-05-03 14:00:00 UTC: UNKNOWN")
    assert SENSOR in then
    assert "not yet there" in garage("space", "show", "A-13", "--as-of", "2026-05-03T14:00Z").stdout
    garage("space", "show", "A-13", "--as-of", "2026-05-03T14:00", code=2)


def test_where_a_sensor_and_a_display_have_one_dev_eui_the_role_decides(garage: Cli) -> None:
    garage("device", "add", NEW)
    garage("device", "add", NEW, "--type", "kuando_busylight")
    garage("device", "add", "2020000000000009", "--type", "kuando_busylight")
    garage("space", "add", "A-14")
    install = ("device", "install", NEW, "A-14", "--at", "2026-03-02T08:00Z")
    assert "give the role" in garage(*install, code=2).stderr
    assert "give the role" in garage("device", "disable", NEW, code=2).stderr
    garage("device", "disable", NEW, "--role", "sensor")
    assert data(garage("device", "show", NEW, "--role", "sensor", "--json"))["enabled"] is False
    assert data(garage("device", "show", NEW, "--role", "display", "--json"))["enabled"] is True
    garage(*install, "--role", "display")
    assert garage("device", "where", NEW, "--role", "sensor").stderr == "none\n"
    assert data(garage("device", "where", NEW, "--role", "display", "--json"))[0]["space"] == "A-14"
    assert "on A-14" in garage("device", "swap", NEW, "2020000000000009", "--role", "display").stdout
    assert len(data(garage("device", "swaps", NEW, "--role", "display", "--json"))) == 1
    assert "no swap" in garage("device", "undo", NEW, "--role", "sensor", code=2).stderr
    assert "undone" in garage("device", "undo", NEW, "--role", "display").stdout
    assert data(garage("device", "tests", NEW, "--role", "display", "--json")) == []


def test_an_installation_and_a_removal_are_recorded_after_the_fact(garage: Cli) -> None:
    garage("device", "add", NEW)
    garage("space", "add", "A-14")
    garage("device", "install", NEW, "A-14", "--at", "2026-03-02T08:00Z")
    assert data(garage("device", "where", NEW, "--json"))[0]["from_at"] == "2026-03-02T08:00:00Z"
    garage("device", "remove", "A-14", "sensor", "--at", "2026-04-02T08:00Z")
    assert data(garage("device", "where", NEW, "--as-of", "2026-04-02T08:00Z", "--json")) == []
    garage("device", "retire", NEW, "--reason", "wet")
    assert data(garage("device", "show", NEW, "--json"))["lifecycle_state"] == "decommissioned"


def test_a_display_is_shared_named_in_colours_tested_and_measured(garage: Cli) -> None:
    sign = "2020000000000009"
    made = garage(
        "device", "add", sign, "--type", "kuando_busylight", "--shared", "any_free",
        "--code", "RESERVED=orange", "--code", "MAINTENANCE=#ff3300",
    ).stdout  # fmt: skip
    assert "looks like" in made
    assert "all_free" in garage("device", "share", sign, "all_free").stdout
    test = data(garage("device", "test", DISPLAY, "--json", code=1))  # the first decision is not sent yet
    assert (test["result"], test["kind"]) == ("failed", "pattern")
    assert "a decision waits" in test["detail"]
    pair = data(garage("device", "pair-test", "A-13", "--no-wait", "--json"))
    assert pair["result"] == "running"
    failed = garage("device", "pair-test", "A-13", "--wait", "1s", code=1)
    assert "the sensor sent no uplink" in failed.stdout
    assert len(data(garage("device", "tests", DISPLAY, "--json"))) == 3
    assert "unknown" in garage("device", "signal", SENSOR).stdout


def test_b18_unsafe_bytes_are_sent_only_with_permission(garage: Cli) -> None:
    refused = garage("device", "send", DISPLAY, "aa", "--reason", "support", code=2)
    assert "brick" in refused.stderr


def test_a_prefix_decides_for_a_display_too_and_the_network_server_is_stored(garage: Cli, tmp_path: Path) -> None:
    row = "own_light,display,Acme,Light,one_byte_light,70b3d5,3600,3,,,"
    text = f"# baylight device-types v1\n{','.join(c.name for c in SHEETS['device-types'].columns)}\n{row}\n"
    (tmp_path / "types.csv").write_text(text, "utf-8")
    garage("import", str(tmp_path / "types.csv"), "--kind", "device-types")
    garage("device", "add", "70B3D5-0000000001", "--network-server", "tts", "--application", "garage/light-1")
    light = data(garage("device", "show", "70b3d50000000001", "--json"))
    assert (light["device_type"], light["enabled"]) == ("own_light", True)
    assert "70b3d50000000001" in garage("export", "devices").stdout
    assert ",tts,garage/light-1," in garage("export", "devices").stdout
    assert "chirpstack, tts" in garage("device", "add", NEW, "--network-server", "ttn", code=2).stderr


def test_d5_a_pair_test_shows_for_how_long_it_waits_and_that_it_waits(
    garage: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("baylight.cli.device_tests.SAY_EVERY", timedelta(milliseconds=600))
    shown = garage("device", "pair-test", "A-13", "--within", "5s", "--wait", "3s", code=1)
    first, *signs = shown.stderr.splitlines()
    assert "onto A-13 or off it now, within 3 s: the light must follow within 5 s" in first
    assert signs
    assert all(sign.startswith("A-13: waiting, at most ") for sign in signs)


def test_adding_a_known_device_again_keeps_its_notes_or_replaces_them(garage: Cli) -> None:
    for dev_eui in (SENSOR, DISPLAY):
        words = ("device", "add", dev_eui, *(("--type", "kuando_busylight") if dev_eui == DISPLAY else ()), "--json")
        assert data(garage(*words, "--notes", "by the door"))["notes"] == "by the door"
        assert data(garage(*words))["notes"] == "by the door"
        assert data(garage(*words, "--notes", "100 % _ \\ \n at the ramp"))["notes"] == "100 % _ \\ \n at the ramp"
        assert "2000 characters" in garage(*words, "--notes", "x" * 100_000, code=2).stderr


def test_deleting_a_space_asks_first(garage: Cli) -> None:
    asked = garage("space", "delete", "A-13", code=1)
    assert "Deleting A-13 cancels its reservations" in asked.stderr
    assert data(garage("space", "show", "A-13", "--json"))["code"] == "A-13"
    assert "is deleted" in garage("space", "delete", "A-13", "--yes").stdout
