"""Who may do what: each route, each scope."""

from __future__ import annotations

import re
from uuid import uuid4

import pytest
from fastapi import routing

from baylight.access import keys
from tests.support.change import by
from tests.support.site import Site

OPEN = {"/health/live", "/health/ready"}
ADMIN = "/api/v1/keys"


def routes(site: Site) -> list[tuple[str, str]]:
    """Method and a path that fits, of every route of the application that needs a key of ours."""
    found = []
    for path, methods in site.app.openapi()["paths"].items():
        if path.startswith("/inbound/"):
            continue
        found += [(method.upper(), _filled(path)) for method in methods]
    return [*found, ("GET", "/api/v1/openapi.json")]


def _filled(path: str) -> str:
    path = path.replace("{registry}", "sensors").replace("{role}", "sensor")
    path = re.sub(r"\{[a-z_]+_id\}", str(uuid4()), path).replace("{dev_eui}", "0" * 16)
    return re.sub(r"\{\w+\}", "nothing", path)


def scope_of(method: str, path: str) -> str:
    changes_codecs = path.startswith(("/api/v1/codecs", "/api/v1/device-types")) and method != "GET"
    if path.startswith(ADMIN) or path.endswith("/commands") or changes_codecs:
        return "admin"
    return "read" if method == "GET" else "write"


def test_the_schema_names_every_route(site: Site) -> None:
    # Later versions of FastAPI keep an included router as one route of its own.
    flat = getattr(routing, "iter_route_contexts", iter)(site.app.routes)
    known = {(method, route.path.replace(":path}", "}")) for route in flat for method in route.methods}
    named = {(method.upper(), path) for path, ways in site.app.openapi()["paths"].items() for method in ways}
    assert known - named == {("GET", "/api/v1/openapi.json")}
    assert len(named) > 30


async def test_every_route_but_health_refuses_without_a_key(site: Site) -> None:
    async with site.client() as client, site.client("bl_aaaaaaaa_" + "a" * 43) as stranger:
        for method, path in routes(site):
            expected = 200 if path in OPEN else 401
            for who in (client, stranger):
                answer = await who.request(method, path)
                assert answer.status_code == expected, (method, path)
            if expected == 401:
                assert answer.headers["www-authenticate"].startswith("Bearer")
                assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("own", ["read", "write", "admin"])
async def test_each_scope_opens_its_routes_and_no_other(site: Site, own: str) -> None:
    order = ["read", "write", "admin"]
    async with site.client(await site.key(own)) as client:
        for method, path in routes(site):
            needed = scope_of(method, path)
            if path in OPEN or path.endswith("/events"):
                continue
            answer = await client.request(method, path)
            if order.index(own) < order.index(needed):
                assert answer.status_code == 403, (method, path)
                assert answer.json()["facts"] == {"scope": needed}
            else:
                assert answer.status_code not in (401, 403, 405, 500), (method, path, answer.text)


async def test_the_key_may_come_as_x_api_key(site: Site) -> None:
    async with site.client() as client:
        answer = await client.get("/api/v1/summary", headers={"X-API-Key": await site.key("read")})
    assert answer.status_code == 200


async def test_a_revoked_key_is_refused_on_the_next_request(site: Site) -> None:
    text = await site.key("read")
    async with site.client(text) as client:
        assert (await client.get("/api/v1/summary")).status_code == 200
        async with site.pool.acquire() as connection:
            await keys.revoke_key(by(connection, actor="test"), text[:11])
        assert (await client.get("/api/v1/summary")).status_code == 401


async def test_an_administrator_makes_and_revokes_keys(site: Site) -> None:
    async with site.client(await site.key("admin")) as admin:
        made = await admin.post("/api/v1/keys", json={"name": "gate", "scopes": ["write", "read"]})
        assert made.status_code == 201
        text = made.json()["text"]
        async with site.client(text) as gate:
            assert (await gate.get("/api/v1/spaces")).status_code == 200
            listed = (await admin.get("/api/v1/keys")).json()
            assert text not in str(listed)
            assert {key["name"] for key in listed} == {"gate", "test"}
            revoked = await admin.delete(f"/api/v1/keys/{made.json()['key']['id']}")
            assert revoked.json()["revoked_at"] is not None
            assert (await gate.get("/api/v1/spaces")).status_code == 401
    maker = await site.pool.fetchval("SELECT id::text FROM api_keys WHERE key_name = 'test'")
    actors = await site.pool.fetch("SELECT actor FROM audit_log WHERE actor <> 'test'")
    assert {row["actor"] for row in actors} == {maker}


async def test_e5_a_slash_at_the_end_means_the_same_route_and_nothing_redirects(site: Site) -> None:
    async with site.client() as stranger, site.client(await site.key("read")) as reader:
        for method, path in routes(site):
            answer = await stranger.request(method, path + "/")
            assert answer.status_code == (200 if path in OPEN else 401), (method, path)
            assert "location" not in answer.headers
        for path in ("/api/v1/spaces/", "/api/v1/spaces//", "/api/v1/export/spaces/", "/metrics/"):
            assert (await reader.get(path)).status_code == 200
        assert (await reader.post("/inbound/tts/")).json()["type"].endswith("inbound_not_set")


async def test_e5_an_encoded_slash_belongs_to_the_code(site: Site) -> None:
    async with site.client(await site.key("write")) as client:
        assert (await client.post("/api/v1/spaces", json={"code": "A"})).status_code == 201
        assert (await client.get("/api/v1/spaces/A/")).status_code == 200
        assert (await client.get("/api/v1/spaces/A%2F")).status_code == 404
