"""The tables of verbs in CONTRIBUTING.md name functions, operations and commands that exist."""

from __future__ import annotations

import re

from tests.docs.generated import ROOT, commands, operations

_ROW = re.compile(r"^\|([^|]+)\|([^|]+)\|([^|]+)\|([^|]+)\|$", re.MULTILINE)
_WORDS = re.compile(r"`([^`]+)`")
PACKAGES = ("access", "inventory", "schedule", "js_codecs", "insight")


def rows() -> list[tuple[list[str], list[str], str, list[str]]]:
    """Return service functions, operation ids, method and commands of each row for one act of the domain."""
    section = (ROOT / "CONTRIBUTING.md").read_text("utf-8").split("\n## One verb per act\n")[1].split("\n## ")[0]
    found = []
    for _, functions, operation, words in _ROW.findall(section.split("\nThe verbs of the domain ")[1])[2:]:
        method = operation.split()[0]
        found.append((_WORDS.findall(functions), _WORDS.findall(operation), method, _WORDS.findall(words)))
    return found


def test_each_verb_is_a_function_an_operation_and_a_command() -> None:
    source = "".join(
        path.read_text("utf-8") for part in PACKAGES for path in (ROOT / "src/baylight" / part).glob("*.py")
    )
    functions = set(re.findall(r"^(?:async )?def (\w+)", source, re.MULTILINE))
    methods = dict(operations())
    lines = {" ".join(words) for words in commands()}
    assert len(rows()) > 20
    for names, ids, method, words in rows():
        assert set(names) <= functions
        assert {methods.get(id_) for id_ in ids} == {method}, ids
        assert set(words) <= lines
