"""What devices and callers wrote reaches the terminal as text only; arguments that are no text are refused."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from baylight.cli import output
from baylight.cli.main import app
from baylight.cli.run import print_fields, print_json, print_rows, text
from baylight.errors import escape
from baylight.lab.embedded.broker import EmbeddedBroker
from tests.support.cli import SENSOR, Cli, data
from tests.support.servers import Database
from tests.support.uplinks import OCCUPIED, receive_now

CONTROLS = [chr(n) for n in (*range(0x20), *range(0x7F, 0xA0))]
DIRECTIONS = list("\u200e\u200f\u2028\u2029\u202a\u202e\u2066\u2069")
SURROGATES = [chr(n) for n in range(0xD800, 0xE000)]
CLI = Path(output.__file__).parent


@dataclass(frozen=True)
class Row:
    code: str
    notes: list[str]


@dataclass(frozen=True)
class Part:
    rgb: str
    at: datetime
    nothing: str | None = None


hostile = st.text(st.sampled_from([*CONTROLS, *DIRECTIONS, *SURROGATES, "%", "_", "\\", "a", "ü", "🚗", "["]))


@given(hostile)
def test_d7_no_text_of_a_device_reaches_the_terminal_as_control_characters(given_text: str) -> None:
    line = escape(given_text)
    assert not [c for c in line if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or c in DIRECTIONS]
    assert text(given_text) == line
    assert text({"a": [given_text]}) == f"a {line or '-'}"


@pytest.mark.parametrize("letter", [*CONTROLS, *DIRECTIONS, "\ud800", "%", "_"])
def test_d7_rows_fields_and_json_keep_one_line_a_row(letter: str, capfd: pytest.CaptureFixture[str]) -> None:
    row = Row(f"A{letter}1", [f"x{letter}"])
    print_rows([row, row], "code notes", as_json=False)
    print_fields(row, as_json=False)
    output.say(letter)
    output.say(letter, err=True)
    printed, errors = capfd.readouterr()
    assert (printed.count("\n"), errors.count("\n")) == (6, 1)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", printed + errors)
    if letter < "\ud800" or letter > "\udfff":
        print_json(row)
        printed = capfd.readouterr().out
        assert json.loads(printed)["code"] == row.code
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", printed)


def test_d7_there_is_one_way_to_the_terminal() -> None:
    for module in CLI.glob("*.py"):
        if module.name != "output.py":
            assert not re.search(r"typer\.s?echo|\bprint\(|std(out|err)\.write", module.read_text("utf-8")), module
            assert "say_source" not in module.read_text("utf-8") or module.name == "codecs.py"


def test_d7_characters_that_the_terminal_cannot_show_end_no_command() -> None:
    code = "from baylight.cli.output import say; say('ü 🚗 \\udc80')"
    environment = {"PYTHONPATH": ":".join(sys.path), "PYTHONIOENCODING": "ascii"}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment, check=True)
    assert result.stdout == b"\\xfc \\U0001f697 \\udc80\n"


def test_d7_values_are_shown_in_words_and_never_as_python_writes_them() -> None:
    part = Part("#ff0000", datetime(2026, 11, 24, 9, tzinfo=UTC))
    assert text({"FREE": part}) == "FREE rgb #ff0000, at 2026-11-24 09:00:00 UTC"
    assert text([part, part]).count("2026-11-24 09:00:00 UTC") == 2
    assert text((1, {"a"}, timedelta(seconds=5), b"\x01")) == "1, a, 5 s, 01"
    assert text(datetime.max.replace(tzinfo=UTC)) == "9999-12-31 23:59:59 UTC"


def test_d7_orphan_claim_shows_a_display_as_device_add_does(cli: Cli, database: Database) -> None:
    receive_now(database.dsn, "2020200000000011", 2, 1, bytes.fromhex("a86661"))
    claimed = cli("orphan", "claim", "2020200000000011", "--type", "kuando_busylight").stdout
    assert claimed == cli("device", "show", "2020200000000011").stdout
    assert "OCCUPIED       ff00006400  #ff0000  red\n" in claimed
    receive_now(database.dsn, SENSOR, 102, 1, OCCUPIED)
    assert "(" not in cli("orphan", "claim", SENSOR).stdout


def test_d7_the_version_is_printed() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.stdout) == (0, "baylight 0.1.0\n")


@pytest.mark.parametrize(
    "words", [["space", "list"], ["space", "add"], ["space", "default-state"], ["override", "set"]]
)
def test_d7_help_lists_the_states(words: list[str]) -> None:
    shown = " ".join(CliRunner().invoke(app, [*words, "--help"]).stdout.split())
    assert "FREE, OCCUPIED, RESERVED, MAINTENANCE, OUT_OF_ORDER or UNKNOWN" in shown


def test_d7_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "iotcore", None)  # type: ignore[arg-type]
    with pytest.raises(Exception, match=r"install baylight\[embedded\]"):
        EmbeddedBroker().start()


@pytest.mark.parametrize("word", [*(c for c in CONTROLS if c not in "\t\n\r\0"), "\udcff"])
def test_d7_an_argument_that_is_no_text_is_refused_in_one_line(word: str) -> None:
    result = CliRunner().invoke(app, ["space", "show", f"A{word}"])
    assert result.exit_code == 2
    assert result.stderr.startswith("baylight: argument 3 ")
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", result.stderr)
    assert result.stderr.count("\n") == 1


def test_d4_times_have_the_zone_of_the_site_and_its_name(cli: Cli) -> None:
    cli("location", "add", "Garage/Floor 1", "--timezone", "Europe/Berlin")
    cli("space", "add", "A-1", "--location", "Garage/Floor 1")
    cli("space", "add", "Z-1")
    at = datetime.fromisoformat(data(cli("space", "show", "A-1", "--json"))["state_at"])
    utc, there = f"{at:%Y-%m-%d %H:%M:%S} UTC", f"{at + timedelta(hours=1):%Y-%m-%d %H:%M:%S} CE"
    if not 4 <= at.month <= 9:  # else summer time
        assert there in cli("space", "show", "A-1").stdout
        assert there in cli("why", "A-1").stdout
        assert there in cli("space", "list").stdout
    for words in (("space", "show", "A-1"), ("why", "A-1"), ("space", "list")):
        assert " CE" in cli(*words).stdout
        assert utc in cli("--utc", *words).stdout
        assert utc in cli(*words, "--utc").stdout
        assert " CE" in cli(*words).stdout, "the option is of one command"
        assert data(cli(*words, "--json")) == data(cli(*words, "--json", "--utc")) or words[0] == "why"
    assert data(cli("space", "show", "A-1", "--json"))["state_at"].endswith("Z")
    cli("location", "add", "Lot", "--timezone", "America/New_York")
    assert " CE" in cli("space", "show", "A-1").stdout, "its site has this zone"
    assert " UTC" in cli("space", "show", "Z-1").stdout, "two sites have two zones"
    assert " UTC" in cli("db", "status").stdout
