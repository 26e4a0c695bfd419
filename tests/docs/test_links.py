"""What the documentation points at is there: files, headings, commands."""

from __future__ import annotations

import re
import shlex
from functools import cache
from pathlib import Path

import pytest
from typer.testing import CliRunner

from baylight.cli import app
from tests.docs.generated import ROOT, commands

HIDDEN = {"node_modules", "build", "dist"}
PAGES = sorted(
    page
    for page in ROOT.rglob("*.md")
    if not any(part.startswith(".") or part in HIDDEN for part in page.relative_to(ROOT).parts)
)
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_COMMAND = re.compile(r"`baylight ([^`]+)`|^\s*(?:\$ )?(?:\w+=\S+ )*baylight ([^\n|>]+)", re.MULTILINE)


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_relative_link_and_anchor_exists(page: Path) -> None:
    for target in _LINK.findall(_FENCE.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{name(page)} points at {target}"
        if anchor:
            assert anchor in _anchors(file), f"{name(page)} points at {target}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_parses(page: Path) -> None:
    known = set(commands())
    groups = {words[:n] for words in known for n in range(len(words))}
    for found in _COMMAND.findall(page.read_text(encoding="utf-8").replace("\\\n", " ")):
        line = " ".join(found).strip()
        words = tuple(re.split(r"\s", line))
        if not re.fullmatch(r"[a-z-]+", words[0]) or (words[0] in groups and len(words) == 1):
            continue
        command = next((words[:n] for n in (2, 1) if words[:n] in known), None)
        assert command is not None, f"{name(page)}: there is no command baylight {line}"
        _check_options(page, command, line)


def _check_options(page: Path, command: tuple[str, ...], line: str) -> None:
    given = {word.partition("=")[0] for word in shlex.split(line, comments=True) if word.startswith("--")}
    known = set(re.findall(r"--[a-z-]+", _help(command)))
    assert given <= known, f"{name(page)}: baylight {line} has no {given - known}"


@cache
def _help(command: tuple[str, ...]) -> str:
    told = CliRunner().invoke(app, [*command, "--help"])
    assert told.exit_code == 0, command
    return told.output


def _anchors(page: Path) -> set[str]:
    """As GitHub makes them."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
