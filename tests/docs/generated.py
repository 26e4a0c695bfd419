"""The parts of the documentation that follow from the code. `python -m tests.docs.generated` writes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from configparser import ConfigParser
from pathlib import Path
from typing import Any, NamedTuple, cast

import typer
from fastapi import FastAPI, routing
from fastapi.dependencies.models import Dependant
from prometheus_client import CollectorRegistry
from typer.testing import CliRunner

from baylight.api import deps
from baylight.api import problems as answers
from baylight.api.app import create_app
from baylight.cli import app as command_line
from baylight.domain.conditions import KINDS, Subject
from baylight.domain.display_loop.events import EVENTS
from baylight.domain.downlink import TRANSITIONS
from baylight.settings import Settings
from baylight.store import translate
from baylight.store.connect import database_away

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs" / "reference"
ARCHITECTURE = ROOT / "docs" / "explanation" / "architecture.md"


def settings() -> str:
    rows = ["| setting | default | what it does |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "none" if field.default is None else f"`{str(field.default).lower()}`"
        rows.append(f"| `BAYLIGHT_{name.upper()}` | {default} | {field.description} |")
    return "\n".join(rows)


def commands() -> list[tuple[str, ...]]:
    """Return every command that is not hidden, as its words without `baylight`; groups left out."""

    def below(words: tuple[str, ...], command: Any) -> Iterator[tuple[str, ...]]:
        if hasattr(command, "commands"):
            for name, part in command.commands.items():
                if part.hidden:
                    continue
                yield from below((*words, name), part)
        else:
            yield words

    return list(below((), typer.main.get_command(command_line)))


def cli() -> str:
    parts = []
    for words in commands():
        result = CliRunner().invoke(command_line, [*words, "--help"], prog_name="baylight", terminal_width=100)
        text = "\n".join(line for line in result.output.splitlines() if "--help" not in line).strip()
        parts.append(f"## baylight {' '.join(words)}\n\n```text\n{text.removesuffix('Options:').strip()}\n```")
    return "\n\n".join(parts)


def _api() -> FastAPI:
    return create_app(deps.Deps(cast(Any, None), "", cast(Any, None), cast(Any, None), CollectorRegistry(), dict))


def operations() -> Iterator[tuple[str, str]]:
    """Yield operation id and method of each operation of the API."""
    for path in _api().openapi()["paths"].values():
        for method, operation in path.items():
            yield operation["operationId"], method.upper()


class Route(NamedTuple):
    """A route of the API. `summary`: one sentence without a full stop; `text`: the rest of the description."""

    method: str
    path: str
    name: str
    scope: str
    summary: str
    text: str


def api_routes() -> list[Route]:
    """All routes, in the order in which they are matched."""
    app = _api()
    scopes = {deps.read: "read", deps.write: "write", deps.admin: "admin"}
    found = []
    # Later versions of FastAPI keep an included router as one route of its own.
    for place in getattr(routing, "iter_route_contexts", iter)(app.routes):
        route: routing.APIRoute = getattr(place, "route", place)
        needed = [scopes[call] for call in _calls(route.dependant) if call in scopes]
        path = place.path.replace(":path}", "}")
        text = " ".join(route.description.split())
        for method in sorted(place.methods):
            found.append(Route(method, path, route.name, needed[0] if needed else "none", route.summary or "", text))
    return found


def routes() -> str:
    rows = ["| | path | scope | what it does |", "|---|---|---|---|"]
    for route in api_routes():
        does = f"{route.summary}. {route.text}".strip()
        rows.append(f"| {route.method} | `{route.path}` | {route.scope} | {does} |")
    return "\n".join(rows)


def _calls(dependant: Dependant) -> Iterator[Any]:
    for part in dependant.dependencies:
        yield part.call
        yield from _calls(part)


ANSWERING = (
    *("access", "api", "bulk", "codecs", "control", "domain", "insight", "inventory", "js_codecs", "schedule"),
    "lns/chirpstack/devices.py",
)
"""Packages and files whose errors can answer a request."""
COMMANDS_ONLY = ("access/service_users.py",)
"""Files among them that only commands use."""
NEVER_ANSWERS = frozenset({"batch_not_stored", "uplink_stored_meanwhile", "client_failed", "codec_late"})
"""Codes of TransientErrors that stay within ingest and the relay."""


def problems() -> str:
    """List the codes of the errors that can answer a request, with their status."""
    found: dict[str, str] = {}
    statuses = {"InputError": "422", "NotFoundError": "404", "ConflictError": "409"}
    source = ROOT / "src" / "baylight"
    for path in (
        path for part in ANSWERING for path in ((source / part).rglob("*.py") if "." not in part else [source / part])
    ):
        if path.relative_to(source).as_posix() in COMMANDS_ONLY:
            continue
        text = path.read_text(encoding="utf-8")
        for error, code in re.findall(r'\b(InputError|NotFoundError|ConflictError)\(\s*"([a-z0-9_]+)"', text):
            found[code] = statuses[error]
        for code in re.findall(r'\bTransientError\(\s*"([a-z0-9_]+)"', text):
            found |= {} if code in NEVER_ANSWERS else {code: "503"}
        for status, code in re.findall(r'\bRefused\(\s*(\d{3}), "([a-z0-9_]+)"', text):
            found[code] = status
        for status, code in re.findall(r'\bproblem\(\s*request,\s*(\d{3}),\s*"([a-z0-9_]+)"', text):
            found[code] = status
    found[database_away("").code] = "503"
    found |= {code: str(status.value) for status, code in answers.CODES.items()}
    found |= dict.fromkeys((code for code, _ in translate._CONFLICTS.values()), "409")
    found |= dict.fromkeys((code for code, _ in translate._INPUTS.values()), "422")
    rows = ["| code | status |", "|---|---|"]
    return "\n".join(rows + [f"| `{code}` | {status} |" for code, status in sorted(found.items())])


def conditions() -> str:
    """List the kinds of conditions by their subject."""
    parts = []
    for subject in Subject:
        rows = [f"| `{kind}` | {row.meaning} | {row.remedy} |" for kind, row in KINDS.items() if row.subject is subject]
        head = [f"## {subject.capitalize()}", "", "| kind | meaning | remedy |", "|---|---|---|"]
        parts.append("\n".join([*head, *rows]))
    return "\n\n".join(parts)


def transitions() -> str:
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> pending", "    [*] --> failed"]
    lines += [f"    {old} --> {new}" for old, news in TRANSITIONS.items() for new in sorted(news)]
    lines += [f"    {old} --> [*]" for old, news in TRANSITIONS.items() if not news]
    return "\n".join([*lines, "```"])


def layers() -> str:
    """List the packages of `.importlinter`, the highest layer first. Packages in parentheses do not exist yet."""
    contract = ConfigParser()
    contract.read(ROOT / ".importlinter")
    found = []
    for layer in contract["importlinter:contract:layers"]["layers"].split("\n"):
        found.append(" | ".join(package for package in layer.split(" | ") if not package.startswith("(")))
    return "\n".join(["```text", *filter(None, found), "```"])


def events() -> str:
    """List what each event does to the closed loop of a display."""
    rows = ["| event | delivery | light | begins | ends |", "|---|---|---|---|---|"]
    for name, event in EVENTS.items():
        begins, ends = (", ".join(f"`{kind}`" for kind in kinds) for kinds in (event.begins, event.ends))
        rows.append(f"| {name} | {event.delivery} | {event.light} | {begins} | {ends} |")
    return "\n".join(rows)


BLOCKS: dict[str, tuple[Path, Callable[[], str]]] = {
    "settings": (REFERENCE / "settings.md", settings),
    "cli": (REFERENCE / "cli.md", cli),
    "routes": (REFERENCE / "api.md", routes),
    "problems": (REFERENCE / "api.md", problems),
    "conditions": (REFERENCE / "conditions.md", conditions),
    "events": (ROOT / "docs" / "explanation" / "how-a-light-is-proven.md", events),
    "layers": (ARCHITECTURE, layers),
    "transitions": (REFERENCE / "states-and-statuses.md", transitions),
}
"""By name: the page, and what it must hold between `<!-- begin name -->` and `<!-- end name -->`."""


def _between(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<=<!-- begin {name} -->\n).*?(?=<!-- end {name} -->)", re.DOTALL)


def on_page(name: str) -> str:
    page, _ = BLOCKS[name]
    found = _between(name).search(page.read_text(encoding="utf-8"))
    assert found is not None, f"{page} has no block {name}"
    return found[0].rstrip("\n")


def write() -> None:
    for name, (page, made) in BLOCKS.items():
        text = page.read_text(encoding="utf-8")
        new = _between(name).sub((made() + "\n").replace("\\", r"\\"), text)
        page.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    write()
