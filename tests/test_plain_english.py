"""The check of docstrings and words refuses what it must, and nothing else."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests import plain_english


@pytest.mark.parametrize(
    "docstring",
    [
        "Return the row.",
        "Lock the row of a space.",
        "Row for `COPY`.",
        "Space as the list shows it.",
        "The newest uplink.",
        "`name`: the query's.",
        "Frames of a device.",
        "Reports that wait.",
        "Answers for people.",
        "JSON of an event.",
        "NOT VALID constraints of a table.",
        "(1) Share of events.",
        "Process in which codecs run.",
        "",
    ],
)
def test_an_imperative_or_a_noun_phrase_may_start_a_docstring(docstring: str) -> None:
    assert plain_english.bad_start(docstring) is None


@pytest.mark.parametrize(
    "docstring",
    [
        "Returns the row.",
        "Raises InputError.",
        "Splits a frame.",
        "Reports what it shows.",
        "It is sent nothing.",
        "What a person sees.",
        "Whether it may.",
        "Of a device type.",
        "As `run`.",
        "None: no limit.",
        "True if it may.",
        "Called once.",
        "\n    Those in force.",
    ],
)
def test_another_word_may_not_start_a_docstring(docstring: str) -> None:
    assert plain_english.bad_start(docstring) == docstring.split()[0].strip(":")


MODULE = '''"""Reads files."""

LIMIT = 3
"""At most."""


class Row:
    """Row of a table."""

    id: int
    """By the database."""

    def name(self) -> str:
        """It is short."""
        return """It is text, not a docstring."""
'''


def test_docstrings_of_modules_constants_fields_and_functions_are_read() -> None:
    assert sorted(plain_english.found("src/a.py", MODULE)) == [
        "src/a.py:11: docstring starts with 'By'",
        "src/a.py:14: docstring starts with 'It'",
        "src/a.py:1: docstring starts with 'Reads'",
        "src/a.py:4: docstring starts with 'At'",
    ]
    assert list(plain_english.found("bench/a.py", MODULE)) == []


@pytest.mark.parametrize(
    "path", ["src/a.py", "src/q.sql", "src/p.js", "src/c.toml", "bench/a.py", "docs/a/b.md", "README.md"]
)
@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("# the relay was told", "told"),
        ("x = sensor_told", "told"),
        ("Tells = 1", "Tells"),
        ("raise UnheardError", "Unheard"),
        ("x = SensorHeard", "Heard"),
        ("# begins anew", "anew"),
        ("BELIEVED = 2", "BELIEVED"),
    ],
)
def test_a_replaced_word_is_found_in_prose_and_identifiers(path: str, line: str, word: str) -> None:
    assert list(plain_english.found(path, f"\n{line}\n")) == [f"{path}:2: {word}"]


@pytest.mark.parametrize("line", ["x = atoldest", "hearse = shears", "renewal = unbelievable"])
def test_a_word_that_holds_a_replaced_one_is_no_finding(line: str) -> None:
    assert list(plain_english.found("src/a.py", line)) == []


def test_applied_migrations_and_tests_are_not_read() -> None:
    for path in ("src/baylight/sql/migrations/0001_foundation.sql", "tests/test_a.py"):
        assert list(plain_english.found(path, "told")) == []


@pytest.mark.parametrize(
    ("path", "text"), [("src/a.sql", "d.heard_network_at"), ("docs/reference/glossary.md", "| a | told |")]
)
def test_exceptions_are_named(path: str, text: str) -> None:
    assert list(plain_english.found(path, text)) == []
    assert list(plain_english.found(path, f"{text} told")) == [f"{path}:1: told"]


def test_the_command_fails_where_a_word_is_planted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    monkeypatch.setattr(plain_english, "ROOT", tmp_path)
    monkeypatch.setattr("tests.secrets_scan.ROOT", tmp_path)
    (tmp_path / "README.md").write_text("The relay reports it.\n")
    assert plain_english.main() == 0
    (tmp_path / "README.md").write_text("The relay tells it.\n")
    assert plain_english.main() == 1
    assert "README.md:1: tells" in capsys.readouterr().out
