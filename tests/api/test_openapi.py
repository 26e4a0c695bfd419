"""The OpenAPI document: complete, accepted by a linter, and enough for a generated client to work with."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from baylight.api import openapi
from baylight.domain.state import State
from tests.docs.generated import ROOT, _api, api_routes
from tests.support.factories import add_bay
from tests.support.site import Site

BIN = Path(sys.executable).parent
CLIENT_CONFIG = "content_type_overrides:\n  text/csv: application/octet-stream\n"
"""A type of content that the generator does not know."""


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return openapi.describe(_api())


def properties(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for schema, content in document["components"]["schemas"].items():
        for name, property_ in content.get("properties", {}).items():
            yield schema, name, property_


def words(document: dict[str, Any], property_: dict[str, Any]) -> list[str] | None:
    """Return the words of an enum, or of an enum or null."""
    for option in (property_, *property_.get("anyOf", ())):
        if "$ref" in option:
            option = document["components"]["schemas"][option["$ref"].rpartition("/")[2]]
        if "enum" in option:
            found: list[str] = option["enum"]
            return found
    return None


async def run(*command: str, cwd: Path) -> None:
    environment = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}", "REDOCLY_TELEMETRY": "off"}
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()


def test_e2_each_schema_has_a_name_of_its_own_without_modules(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    titles = [schema["title"] for schema in schemas.values()]
    assert sorted(titles) == sorted(set(titles))
    assert not [name for name in schemas if "__" in name or re.search(r"-(Input|Output)$", name)]


def test_e2_each_property_and_parameter_has_a_description(document: dict[str, Any]) -> None:
    assert not [f"{schema}.{name}" for schema, name, found in properties(document) if not found.get("description")]
    for operation in openapi.operations(document):
        assert not [p["name"] for p in operation.get("parameters", ()) if not p.get("description")], operation


def test_e2_each_word_is_of_a_schema_that_exists(document: dict[str, Any]) -> None:
    used = {name for _, name, _ in properties(document)}
    known = {f"{schema}.{name}" for schema, name, _ in properties(document)}
    described = openapi.words()
    assert not described["properties"].keys() - used
    assert not {f"{schema}.{name}" for schema, names in described["schemas"].items() for name in names} - known
    assert not {name for name in openapi.ENUMS if name not in (known if "." in name else used)}


def test_e2_states_are_enums(document: dict[str, Any]) -> None:
    states = 0
    for schema, name, found in properties(document):
        if re.fullmatch(r"(.*_)?state|decided|(.*_)?status", name) and found.get("type") != "integer":
            assert words(document, found), f"{schema}.{name}"
            states += 1
            assert f"{schema}.{name}" != "Space.state" or words(document, found) == [*State]
    assert states > 20


def test_e2_security_stands_at_each_operation_that_needs_a_key(document: dict[str, Any]) -> None:
    schemes = document["components"]["securitySchemes"]
    routes = {route.name: route.scope for route in api_routes()}
    for operation in openapi.operations(document):
        names = {name for one in operation["security"] for name in one}
        assert names <= schemes.keys()
        open_to_all = routes[operation["operationId"]] == "none"
        inbound = operation["operationId"] == "receive_event"
        assert names == ({"secret"} if inbound else set() if open_to_all else {"bearer", "header"}), operation


def test_e2_each_route_stands_in_the_document(document: dict[str, Any]) -> None:
    described = {operation["operationId"] for operation in openapi.operations(document)}
    assert {route.name for route in api_routes()} - described == {"get_openapi"}
    assert document["servers"]


async def test_e2_a_linter_accepts_the_document(document: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(document), "utf-8")
    await run(str(ROOT / "web/node_modules/.bin/redocly"), "lint", str(path), cwd=tmp_path)


async def test_e2_a_generated_client_works(
    site: Site, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bay = await add_bay(site.pool, "A/1")
    key = await site.key("write")
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {key}"}) as http:
        (tmp_path / "openapi.json").write_text((await http.get(f"{address}/api/v1/openapi.json")).text, "utf-8")
    (tmp_path / "config.yaml").write_text(CLIENT_CONFIG, "utf-8")
    await run(
        *(str(BIN / "openapi-python-client"), "generate", "--path", "openapi.json", "--config", "config.yaml"),
        *("--output-path", "made_client", "--meta", "none", "--fail-on-warning"),
        cwd=tmp_path,
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    made = importlib.import_module("made_client")
    client = made.AuthenticatedClient(base_url=address, token=key, raise_on_unexpected_status=True)

    async def call(operation: str, *path: object, **more: object) -> Any:
        return await importlib.import_module(f"made_client.api.{operation}").asyncio(*path, client=client, **more)

    async with client:
        [space] = (await call("spaces.list_spaces")).items
        assert (space.code, space.state.value) == (bay.code, "UNKNOWN")
        models = importlib.import_module("made_client.models")
        override = models.NewOverride(state=models.State.OCCUPIED, space=bay.code)
        await call("reservations_and_overrides.set_override", body=override)
        [actuation] = (await call("history.list_actuations", space=bay.code)).items
        same = await call("history.get_actuation", actuation.id)
        assert (same.new_state.value, same.status.value) == ("OCCUPIED", "pending")
        explanation = await call("spaces.explain_space", bay.code)
        assert explanation.decided.value == "OCCUPIED"
        assert explanation.rules[0].reason == "override"
        assert explanation.actuations[0].actuation.id == actuation.id
        wrong = await call("spaces.get_space", "nowhere")
        assert (wrong.status, wrong.type_) == (404, "urn:baylight:problem:unknown_space")
