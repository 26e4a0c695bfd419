"""Check of the house's plain English: `python -m tests.plain_english`, part of `make check`.

Two rules, with a line `file:line: word` for each place that breaks one:

1. A docstring in src (module, class, function, and the string under a constant or field) starts with a verb in the
   imperative or with a noun phrase. A parser of English would be needed to prove that, so the check refuses what cannot
   start either: the words of `NO_START`, and a word in "-s" before a determiner ("Splits a frame", but not "Frames of a
   device"). A new docstring that gets past it is rare, and its first word belongs into `NO_START`.
2. The words of `REPLACED` (see the glossary) stand neither in prose nor in identifiers of src, bench and docs.
   `ALLOWED` names the exceptions. Applied migrations never change, so they are not read.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator

from tests.secrets_scan import ROOT, files

NO_START = frozenset(
    re.findall(
        "[a-z]+",
        # pronouns, and words that stand for a whole sentence
        """it its he they their theirs this that these those what which who whom whose whoever everything everybody
        nothing nobody something somebody anything anybody none true false idempotent """
        # prepositions and conjunctions
        """of by as for from in on at to with without within after before between over under outside inside around apart
        beside behind below above through against during since until while when where whether how why if unless because
        but and or than """
        # adverbs, auxiliaries, comparatives
        """only also else once then there here not more less few is are was has can may must """
        # participles
        """called told noted kept sent made given taken shown stored switched deleted dropped removed used ordered """
        # verbs in the third person that are no plural nouns
        """acknowledges adds allows applies asks asserts becomes begins blocks brings builds cancels checks closes
        collects compares completes connects converts creates decides decodes decommissions deletes describes encodes
        ends ensures examines executes fills finds fixes gives goes happens hands holds ignores inserts keeps lets loads
        looks makes needs opens parses picks prepares prints publishes puts raises reads receives refuses registers
        removes renames reserves retires returns runs says sends serves shows skips splits starts stops supersedes swaps
        takes tells transmits trusts turns waits wires wraps writes yields""",
    )
)
DETERMINERS = frozenset(
    re.findall("[a-z]+", "a an the its his their this these what whether how which who all every each one no")
)
REPLACED = frozenset(
    re.findall("[a-z]+", "told tells heard unheard hears believe believes believed nobody whoever anew")
)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
"""A word of prose, or a part of an identifier in snake_case or CamelCase."""
READ = re.compile(
    r"(?!src/baylight/sql/migrations/)(src/.+\.(py|sql|js|toml)|bench/.+\.(py|md)|docs/.+\.md|README\.md|CONTRIBUTING\.md)$"
)
ALLOWED = (
    # path, text on the line, why
    ("", r"heard_network_at", "a column of the database"),
    ("", r"the light on the bay tells the truth", "the product in one line"),
    ("src/", r"sensor_never_heard|SENSOR_NEVER_HEARD", "a reason that is stored, and public in the API"),
    ("docs/", r"sensor_never_heard", "the same"),
    ("docs/reference/glossary.md", r"\|.*\|", "the column of words that are not used"),
    ("src/baylight/lab/embedded/account.py", r'"nobody"', "an account of Unix"),
)


def found(path: str, text: str) -> Iterator[str]:
    """Yield a line for each place that breaks a rule."""
    if not READ.match(path):
        return
    for number, line in enumerate(text.splitlines(), 1):
        for word in _WORD.findall(_without_allowed(path, line)):
            if word.lower() in REPLACED:
                yield f"{path}:{number}: {word}"
    if path.startswith("src/") and path.endswith(".py"):
        for number, docstring in docstrings(text):
            if word := bad_start(docstring):
                yield f"{path}:{number}: docstring starts with {word!r}"


def _without_allowed(path: str, line: str) -> str:
    for place, form, _ in ALLOWED:
        if path.startswith(place):
            line = re.sub(form, "", line, flags=re.IGNORECASE)
    return line


def docstrings(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of each string that stands alone as a statement."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.lineno, node.value.value


def bad_start(docstring: str) -> str | None:
    """Return the first word if no docstring may start with it. Names in backticks and acronyms are nouns."""
    words = re.match(r"\s*([A-Za-z][a-z]*)\b(?:\s+([A-Za-z]+)\b)?", docstring)
    if words is None:
        return None
    first, second = words[1], (words[2] or "").lower()
    is_verb = first.endswith("s") and not first.endswith("ss") and second in DETERMINERS
    return first if first.lower() in NO_START or is_verb else None


def main() -> int:
    lines = [line for name in files() if READ.match(name) for line in found(name, (ROOT / name).read_text("utf-8"))]
    print("\n".join(lines) or "plain English: nothing found")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
