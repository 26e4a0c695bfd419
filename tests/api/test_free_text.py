"""Free text at every entry point of the API: never an error of the server, and no control character is stored."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.site import Site

STREAMS = ("/api/v1/events", "/api/v1/import", "/inbound")
NO_ENGINE = "urn:baylight:problem:no_engine"
"""Problem of a process without a sandbox, as here."""
HOSTILE = {
    "nul": "A\0",
    "escape": "\x1b[2J", "c1": "\x9b", "del": "\x7f", "per_cent": "%", "underscore": "_", "backslash": "\\",
    "line": "a\nb", "surrogate": "\ud800", "plane_14": "\U000e0001", "large": "x" * 20_000, "1_mb": "x" * 1_000_000,
}  # fmt: skip
REFUSED = {"nul", "escape", "c1", "del", "surrogate", "large", "1_mb"}


def _texts(document: Any, body: Any) -> list[str]:
    """Return the names of the fields of a body that hold text."""
    schema = document["components"]["schemas"][body["$ref"].rsplit("/", 1)[1]] if "$ref" in body else body
    fields = schema.get("properties", {})
    return [n for n, f in fields.items() if any(o.get("type") == "string" for o in [f, *f.get("anyOf", ())])]


@pytest.mark.parametrize("kind", HOSTILE)
async def test_d7_hostile_text_is_answered_with_a_problem_at_every_entry_point(site: Site, kind: str) -> None:
    text, seen = HOSTILE[kind], 0
    part = quote(text.encode("utf-8", "surrogatepass")[:5000], safe="")
    async with site.client(await site.key("admin")) as client:
        document = (await client.get("/api/v1/openapi.json")).json()
        for path, operations in document["paths"].items():
            if path.startswith(STREAMS):
                continue
            for method, operation in operations.items():
                given = operation.get("parameters", [])
                names = [p["name"] for p in given if p["in"] == "query"]
                url = path
                for p in given:
                    url = url.replace("{" + p["name"] + "}", part)
                body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
                fields = _texts(document, body) if body else []
                for name in names:
                    answer = await client.request(method, f"{url}?{name}={part}")
                    assert answer.status_code < 500 or NO_ENGINE in answer.text, (method, path, name, answer.text)
                sent = json.dumps(dict.fromkeys(fields, text)) if body else None
                answer = await client.request(method, url, content=sent, headers={"Content-Type": "application/json"})
                assert answer.status_code < 500 or NO_ENGINE in answer.text, (method, path, answer.text)
                assert answer.status_code >= 400 or not fields or kind not in REFUSED, (method, path, answer.text)
                seen += 1
    assert seen > 50


@pytest.mark.parametrize(("letter", "status"), [("\x1b", 422), ("\x9b", 422), ("\0", 422), ("%", 201), ("ü\t\n", 201)])
async def test_d7_a_reason_with_control_characters_is_refused_and_not_stored(
    site: Site, letter: str, status: int
) -> None:
    async with site.client(await site.key("write")) as client:
        await client.post("/api/v1/spaces", json={"code": "A-1"})
        body = {"space": "A-1", "state": "FREE", "reason": f"crane{letter}"}
        assert (await client.post("/api/v1/overrides", json=body)).status_code == status
        stored = [one["reason"] for one in (await client.get("/api/v1/overrides")).json()]
        assert stored == ([f"crane{letter}"] if status == 201 else [])
