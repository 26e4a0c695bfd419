"""ETags of what people edit, and If-Match: a change that does not know the newest settings of its object is refused."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import httpx
import pytest

from baylight.api.app import PREFIX
from tests.api.test_problems import problem_of
from tests.docs.generated import _api
from tests.support.eventually import SOMEONE_WAITS, eventually
from tests.support.factories import add_bay, add_sensor
from tests.support.site import Site
from tests.support.uplinks import OCCUPIED, receive_at, uplink

STRANGER = "0102030405060708"


class Edit(NamedTuple):
    """A change of an object. `at`: its path, if it is not the path of the object."""

    method: str
    body: dict[str, Any] | None = None
    at: str = ""
    query: str = ""


class Edited(NamedTuple):
    """An object of the API. `between`: a change that another person makes. `edits`: changes that are then refused.

    `rivals`: changes that persons make at once.
    """

    path: str
    between: Edit
    rivals: tuple[Edit, ...]
    edits: tuple[Edit, ...]


@pytest.fixture
async def edited(site: Site, client: httpx.AsyncClient) -> dict[str, Edited]:
    """Return an object of each kind that has an ETag."""
    bay = await add_bay(site.pool, "A/1")
    spare = await add_sensor(site.pool)
    now = datetime.now(UTC)
    await receive_at(site.pool, [uplink(STRANGER, now)], now)
    await client.post(f"{PREFIX}/locations", json={"path": "Garage/Floor 1"})
    start, end, later = (str(now + timedelta(hours=hours)) for hours in (1, 2, 3))
    booked = await client.post(f"{PREFIX}/reservations", json={"space": "A/1", "start_at": start, "end_at": end})
    fixed = await client.post(f"{PREFIX}/overrides", json={"space": "A/1", "state": "FREE"})
    space, sensor, display = "spaces/A/1", f"sensors/{bay.sensor_eui}", f"displays/{bay.display_eui}"
    reservation, override = f"reservations/{booked.json()['id']}", f"overrides/{fixed.json()['id']}"
    place = "Garage/Floor 1"
    step = {"state": "installed"}
    return {
        "space": Edited(
            space,
            Edit("PATCH", {"name": "Ann", "latitude": 52.1, "longitude": 13.25}),
            tuple(Edit("PATCH", {"name": name}) for name in "abcd"),
            (
                Edit("PATCH", {"name": "Bob"}),
                Edit("PUT", {"on": True}, f"{space}/maintenance"),
                Edit("PUT", {"state": "FREE"}, f"{space}/default-state"),
                Edit("PUT", {"dev_eui": spare["dev_eui"], "reason": "swap"}, f"{space}/sensor"),
                Edit("DELETE", None, f"{space}/sensor"),
                Edit("DELETE", None, f"{space}/display"),
                Edit("DELETE"),
            ),
        ),
        "sensor": Edited(
            sensor,
            Edit("PATCH", {"notes": "Ann"}),
            tuple(Edit("PATCH", {"notes": note}) for note in "abcd"),
            (
                Edit("PATCH", {"notes": "Bob"}),
                Edit("PUT", {"on": False}, f"{sensor}/enabled"),
                Edit("PUT", step, f"{sensor}/lifecycle"),
            ),
        ),
        "display": Edited(
            display,
            Edit("PATCH", {"f_port": 16}),
            tuple(Edit("PATCH", {"f_port": port}) for port in (20, 21, 22, 23)),
            (
                Edit("PATCH", {"f_port": 17}),
                Edit("PUT", {"display_codes": {"FREE": "0000006400"}}, f"{display}/codes"),
                Edit("PUT", {"rule": "any_free"}, f"{display}/shared"),
                Edit("PUT", {"on": False}, f"{display}/enabled"),
                Edit("PUT", step, f"{display}/lifecycle"),
            ),
        ),
        "location": Edited(
            f"locations/{place}",
            Edit("PUT", {"path": place, "on": True}, "locations/maintenance"),
            tuple(Edit("PUT", {"path": place, "seconds": s}, "locations/change-hold") for s in (1, 2, 3, 4)),
            (
                Edit("PUT", {"path": place, "on": False}, "locations/maintenance"),
                Edit("PUT", {"path": place, "name": "Floor 2"}, "locations/name"),
                Edit("PUT", {"path": place, "seconds": 9}, "locations/change-hold"),
                Edit("DELETE", None, "locations", f"?path={place}"),
            ),
        ),
        "orphan": Edited(
            f"orphans/{STRANGER}",
            Edit("PUT", {"on": True}, f"orphans/{STRANGER}/ignored"),
            (Edit("PUT", {"on": True}, f"orphans/{STRANGER}/ignored"),) * 3,
            (Edit("PUT", {"on": False}, f"orphans/{STRANGER}/ignored"),),
        ),
        "override": Edited(override, Edit("DELETE"), (Edit("DELETE"),) * 3, (Edit("DELETE"),)),
        "reservation": Edited(
            reservation,
            Edit("PATCH", {"end_at": later}),
            (Edit("PATCH", {"end_at": later}), Edit("POST", None, f"{reservation}/cancel")),
            (Edit("PATCH", {"end_at": end}), Edit("POST", None, f"{reservation}/cancel")),
        ),
    }


KINDS = ("reservation", "override", "orphan", "location", "sensor", "display", "space")
"""The space is the last one: the others change with it."""


async def send(client: httpx.AsyncClient, path: str, edit: Edit, **headers: str) -> httpx.Response:
    url = f"{PREFIX}/{edit.at or path}{edit.query}"
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    async with asyncio.timeout(30):
        return await client.request(edit.method, url, json=edit.body, headers=sent)


async def tag_of(client: httpx.AsyncClient, path: str) -> str:
    answer = await client.get(f"{PREFIX}/{path}")
    assert answer.status_code == 200, answer.text
    return answer.headers["etag"]


async def test_e4_a_change_with_an_old_etag_is_refused(client: httpx.AsyncClient, edited: dict[str, Edited]) -> None:
    for kind in KINDS:
        path, between, _, edits = edited[kind]
        old = await tag_of(client, path)
        assert (await send(client, path, between, If_Match=old)).status_code in (200, 204)
        new = await tag_of(client, path)
        assert new != old
        shown = (await client.get(f"{PREFIX}/{path}")).json()
        for edit in edits:
            for given in (old, f"W/{new}", "none"):
                body = problem_of(await send(client, path, edit, If_Match=given), 412, "precondition_failed")
                assert body["facts"] == {"etag": new}
            assert (await client.get(f"{PREFIX}/{path}")).json() == shown
        for given in (f'"other", {new}', "*"):
            answer = await send(client, path, edits[0], If_Match=given)
            assert answer.status_code in (200, 204), answer.text


async def test_e4_each_change_with_the_etag_of_the_object_is_done_once(
    client: httpx.AsyncClient, edited: dict[str, Edited]
) -> None:
    for kind in KINDS:
        path, _, _, edits = edited[kind]
        for edit in edits:
            tag = await tag_of(client, path)
            answer = await send(client, path, edit, If_Match=tag)
            assert answer.status_code < 300, (edit, answer.text)
            if answer.content and "etag" in answer.headers and edit.at != "locations/name":
                assert answer.headers["etag"] == await tag_of(client, path), edit
            if edit.at == "locations/name":
                back = Edit("PUT", {"path": "Garage/Floor 2", "name": "Floor 1"}, edit.at)
                assert (await send(client, path, back)).status_code == 200


async def test_e4_get_with_the_etag_that_the_caller_has_answers_304(
    client: httpx.AsyncClient, edited: dict[str, Edited]
) -> None:
    for kind in KINDS:
        path, between, _, _ = edited[kind]
        url, tag = f"{PREFIX}/{path}", await tag_of(client, path)
        assert tag.startswith('"')
        for given in (tag, f"W/{tag}", f'"other", {tag}', "*"):
            for method in ("GET", "HEAD"):
                answer = await client.request(method, url, headers={"If-None-Match": given})
                assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)
        await send(client, path, between)
        assert (await client.get(url, headers={"If-None-Match": tag})).status_code == 200


async def test_e4_what_devices_report_does_not_change_an_etag(site: Site, client: httpx.AsyncClient) -> None:
    bay = await add_bay(site.pool, "A/1")
    paths = ("spaces/A/1", f"sensors/{bay.sensor_eui}", f"displays/{bay.display_eui}")
    before = [await tag_of(client, path) for path in paths]
    now = datetime.now(UTC)
    await receive_at(site.pool, [uplink(bay.sensor_eui, now, OCCUPIED)], now)
    assert (await client.get(f"{PREFIX}/spaces/A/1")).json()["state"] == "OCCUPIED"
    assert [await tag_of(client, path) for path in paths] == before
    changed = await client.patch(f"{PREFIX}/spaces/A/1", json={"name": "B"}, headers={"If-Match": before[0]})
    assert changed.status_code == 200


async def test_e4_keys_of_all_scopes_see_the_same_etag(
    site: Site, client: httpx.AsyncClient, edited: dict[str, Edited]
) -> None:
    async with site.client(await site.key("read")) as reader:
        for kind in KINDS:
            assert await tag_of(reader, edited[kind].path) == await tag_of(client, edited[kind].path)


async def test_e4_of_changes_at_once_with_one_etag_exactly_one_wins(
    client: httpx.AsyncClient, edited: dict[str, Edited], address: str
) -> None:
    for kind in KINDS:
        path, rivals = edited[kind].path, edited[kind].rivals
        async with httpx.AsyncClient(base_url=address, headers=client.headers, timeout=20) as real:
            tag = await tag_of(real, path)
            answers = await asyncio.gather(*(send(real, path, edit, If_Match=tag) for edit in rivals))
            statuses = sorted(answer.status_code for answer in answers)
            assert statuses == [200] + [412] * (len(rivals) - 1), [answer.text for answer in answers]


async def test_e4_a_change_waits_for_the_row_and_then_compares(site: Site, client: httpx.AsyncClient) -> None:
    await add_bay(site.pool, "A/1")
    tag = await tag_of(client, "spaces/A/1")
    async with site.pool.acquire() as other:
        async with other.transaction():
            await other.execute("UPDATE spaces SET name = 'Ann' WHERE code = 'A/1'")
            waiting = asyncio.create_task(send(client, "spaces/A/1", Edit("PATCH", {"name": "Bob"}), If_Match=tag))
            await eventually(site.pool, SOMEONE_WAITS)
        problem_of(await waiting, 412, "precondition_failed")
    assert (await client.get(f"{PREFIX}/spaces/A/1")).json()["name"] == "Ann"


async def test_e4_a_route_that_checks_no_etag_changes_nothing_with_if_match(
    site: Site, client: httpx.AsyncClient
) -> None:
    await add_bay(site.pool, "A/1")
    for path, body in (
        ("overrides", {"space": "A/1", "state": "FREE"}),
        ("spaces", {"code": "B"}),
        ("spaces/A/1/pair-tests", {}),
    ):
        answer = await client.post(f"{PREFIX}/{path}", json=body, headers={"If-Match": '"x"'})
        problem_of(answer, 412, "precondition_failed")
    assert (await client.get(f"{PREFIX}/overrides")).json() == []
    assert [space["code"] for space in (await client.get(f"{PREFIX}/spaces")).json()["items"]] == ["A/1"]


def test_e4_each_change_of_an_object_with_an_etag_knows_if_match() -> None:
    ways = {"patch": True, "put": True, "delete": True, "get": False, "post": False}
    without = ("keys", "import", "export")
    for path, operations in _api().openapi()["paths"].items():
        for method, operation in operations.items():
            headers = {p["name"] for p in operation.get("parameters", ()) if p["in"] == "header"}
            wanted = ways[method] and not path.startswith(tuple(f"{PREFIX}/{part}" for part in without))
            assert ("If-Match" in headers) == wanted, (method, path)
