"""Former names of commands, for one release."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from baylight.cli.main import app
from tests.docs.generated import commands
from tests.support.cli import DISPLAY, SENSOR, Cli, data

OTHER_SENSOR, OTHER_DISPLAY, THIRD = "58a0cb00000000a2", "2020000000000009", "58a0cb00000000a3"


@pytest.mark.parametrize(
    ("former", "now"),
    [
        ("sensor list", "device list --role sensor"),
        (f"sensor add {OTHER_SENSOR}", "device add"),
        (f"sensor show {SENSOR}", "device show"),
        (f"sensor disable {SENSOR}", "device disable"),
        (f"sensor enable {SENSOR}", "device enable"),
        (f"sensor lifecycle {SENSOR} testing", "device lifecycle"),
        ("display list", "device list --role display"),
        (f"display add {OTHER_DISPLAY} --type kuando_busylight --shared", "device add"),
        (f"display show {DISPLAY}", "device show"),
        (f"display codes {DISPLAY}", "device codes"),
        (f"display disable {DISPLAY}", "device disable"),
        (f"display enable {DISPLAY}", "device enable"),
        (f"display lifecycle {DISPLAY} testing", "device lifecycle"),
        (f"device register {THIRD}", "device add"),
        ("key create gate", "key add"),
        ("reservation create A-13 --for 2h", "reservation add"),
    ],
)
def test_a_former_command_works_and_names_the_new_one(garage: Cli, former: str, now: str) -> None:
    result = garage(*former.split())
    (line,) = (line for line in result.stderr.splitlines() if "old name" in line)
    assert line.startswith(f"`baylight {' '.join(former.split()[:2])}` is now `baylight {now}`")


def test_a_former_command_acts_on_its_role_only(garage: Cli) -> None:
    garage("device", "add", SENSOR, "--type", "kuando_busylight")
    assert [row["dev_eui"] for row in data(garage("sensor", "list", "--json"))] == [SENSOR]
    assert data(garage("sensor", "show", SENSOR, "--json"))["spaces"] == ["A-13"]
    assert data(garage("display", "show", SENSOR, "--json"))["spaces"] == []
    assert "a sensor" in garage("sensor", "add", OTHER_DISPLAY, "--type", "kuando_busylight", code=2).stderr
    garage("display", "add", OTHER_DISPLAY, "--type", "kuando_busylight", "--shared")
    assert data(garage("device", "show", OTHER_DISPLAY, "--json"))["shared_rule"] == "worst_state"


def test_former_commands_are_not_in_the_help() -> None:
    groups = {words[:-1] for words in commands()}
    assert not groups & {("sensor",), ("display",)}
    for group in ([], ["device"], ["key"], ["reservation"]):
        text = CliRunner().invoke(app, [*group, "--help"]).stdout.partition("Commands:")[2]
        names = {line.split()[0] for line in text.splitlines() if line.strip()}
        assert names
        assert not names & {"sensor", "display", "register", "create"}
