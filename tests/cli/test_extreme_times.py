"""E8: times and durations at the ends of their range are printed, or refused in a sentence."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from baylight.cli.main import app
from tests.support.cli import DISPLAY, SENSOR, Cli

TIMES = ("0001-01-01T00:00Z", "0001-01-01T00:00+14:00", "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59-14:00")
COMMANDS = (
    "space show A-13 --as-of {}",
    "device where {sensor} --as-of {}",
    "device swap {sensor} 58a0cb00000000a2 --at {}",
    "device install {sensor} A-14 --at {}",
    "device remove A-13 sensor --at {}",
    "reservation add A-13 --until {}",
    "reservation add A-13 --from {} --for 2h",
    "reservation add A-13 --from {} --for 36525d",
    "reservation change 00000000-0000-0000-0000-000000000000 --until {}",
    "override set FREE A-13 --until {}",
    "key add k --until {}",
)


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Niue"])
def test_e8_a_command_accepts_or_refuses_any_time(garage: Cli, zone: str) -> None:
    garage("location", "add", "Edge", "--timezone", zone)
    garage("space", "add", "E-1", "--location", "Edge")
    garage("reservation", "add", "E-1", "--from", "9999-12-31T22:00Z", "--until", "9999-12-31T23:59:59.999999Z")
    garage("reservation", "list")
    for command in COMMANDS:
        for at in TIMES:
            words = command.format(at, sensor=SENSOR, display=DISPLAY).split()
            result = CliRunner().invoke(app, words)
            assert result.exception is None or isinstance(result.exception, SystemExit), (words, result.exception)
