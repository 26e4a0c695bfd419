"""Parameters of a query: what a route does not know is refused, never ignored."""

from __future__ import annotations

import re

import httpx

from tests.api.test_problems import problem_of
from tests.docs.generated import Route, api_routes
from tests.support.factories import add_bay
from tests.support.site import Site

KEPT_OPEN = "/inbound/"
"""An event that is refused is lost for good, and network servers add parameters of their own."""
ROUTES = [route for route in api_routes() if not route.path.startswith(KEPT_OPEN)]


def path_of(route: Route) -> str:
    values = {"registry": "sensors", "role": "sensor", "kind": "spaces", "dev_eui": "58a0cb0000000001", "version": "1"}
    return re.sub(r"\{(\w+)\}", lambda name: values.get(name[1], name[1]), route.path)


async def test_e1_a_misspelt_filter_is_refused(site: Site, client: httpx.AsyncClient) -> None:
    await add_bay(site.pool, "A-1")
    answer = await client.get("/api/v1/spaces?stat=FREE&limit=5")
    [error] = problem_of(answer, 422, "invalid_request")["errors"]
    assert error["field"] == "query.stat"
    assert "state" in error["message"]


async def test_e1_every_route_refuses_unknown_parameters(site: Site) -> None:
    async with site.client(await site.key("admin")) as admin:
        for route in ROUTES:
            for query in ("x=", "State=FREE", "x=1&y=2&limit=1"):
                answer = await admin.request(route.method, f"{path_of(route)}?{query}", json={})
                fields = {error["field"] for error in problem_of(answer, 422, "invalid_request")["errors"]}
                assert f"query.{query.partition('=')[0]}" in fields, route


async def test_e1_one_value_is_not_given_twice(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/v1/spaces?state=FREE&state=OCCUPIED")
    [error] = problem_of(answer, 422, "invalid_request")["errors"]
    assert error["field"] == "query.state"


async def test_e1_a_parameter_that_may_be_repeated_stays_so(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/v1/import-tts?map=a/b=-&map=c/d=-", content="x")
    problem_of(answer, 422, "bad_list")


async def test_e1_a_caller_without_a_key_learns_no_parameters(site: Site) -> None:
    async with site.client() as stranger:
        problem_of(await stranger.get("/api/v1/spaces?stat=FREE"), 401, "key_missing")
