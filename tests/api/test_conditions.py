"""Conditions and marks by HTTP: the same values as in why, doctor and metrics."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from baylight.control import conditions
from baylight.control.events.ingest import Ingest
from baylight.domain.conditions import KINDS, Cause, Condition, ConditionKind
from baylight.domain.events import Log
from baylight.domain.policies import Policies
from baylight.domain.state import Policy
from baylight.insight import doctor
from tests.support.clock import Clock
from tests.support.factories import Bay, add_bay
from tests.support.site import Site
from tests.support.uplinks import FREE, uplink

K = ConditionKind
NOW = datetime.now(UTC).replace(microsecond=0)
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def bay(site: Site) -> Bay:
    """Bay whose sensor reported FREE 10 minutes ago and is refused since 5 minutes."""
    bay = await add_bay(site.pool, "A-1")
    ingest = Ingest(site.pool, Clock(NOW), Policies())
    await ingest.store_batch([uplink(bay.sensor_eui, NOW - 10 * MINUTE, FREE)])
    for ago in (5, 4):
        text = "DevNonce has already been used"
        await ingest.store_batch([Log(bay.sensor_eui, "ERROR", "OTAA", text, None, NOW - ago * MINUTE)])
    return bay


async def items(client: httpx.AsyncClient, **query: Any) -> list[dict[str, Any]]:
    answer = await client.get("/api/v1/conditions", params=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


async def test_i2_a_refused_sensor_is_the_same_for_all_who_ask(site: Site, client: httpx.AsyncClient, bay: Bay) -> None:
    space = (await client.get("/api/v1/spaces/A-1")).json()
    assert space["state"] == "FREE"
    assert space["unproven"]["reason"] == "refused"
    assert datetime.fromisoformat(space["unproven"]["since"]) == NOW - 5 * MINUTE
    assert datetime.fromisoformat(space["unproven"]["until"]) == NOW + 70 * MINUTE
    assert (await client.get("/api/v1/spaces")).json()["items"][0]["unproven"] == space["unproven"]

    [condition] = await items(client)
    assert (condition["kind"], condition["subject"], condition["name"]) == ("sensor_refused", "sensor", bay.sensor_eui)
    assert (condition["spaces"], condition["cause"]) == (["A-1"], None)
    assert datetime.fromisoformat(condition["since"]) == NOW - 5 * MINUTE
    assert "flush the OTAA device nonces of the device in ChirpStack" in condition["evidence"]
    kind = KINDS[K.SENSOR_REFUSED]
    assert (condition["meaning"], condition["remedy"]) == (kind.meaning, kind.remedy)

    why = (await client.get("/api/v1/spaces/A-1/why")).json()
    assert why["conditions"] == [condition]
    assert why["space"]["unproven"] == space["unproven"]
    assert "the network server refuses the sensor's uplinks" in why["rules"][0]["detail"]
    metrics = (await client.get("/metrics")).text
    assert 'baylight_conditions{kind="sensor_refused"} 1.0' in metrics
    assert 'baylight_spaces_unproven{reason="refused"} 1.0' in metrics
    assert metrics.count("baylight_conditions{") == len(K)
    async with site.pool.acquire() as connection:
        findings = {f.check: f for f in await doctor.examine(connection, now=NOW, policy=Policy())}
    begun = (
        f"1: {bay.sensor_eui} sensor_refused since {NOW - 5 * MINUTE:%Y-%m-%d %H:%M:%S} UTC: {condition['evidence']}"
    )
    assert findings["conditions of sensors"].detail == begun
    assert findings["unproven spaces"].detail == "1: A-1: refused"


async def test_conditions_are_listed_by_page_by_kind_and_by_subject(
    site: Site, client: httpx.AsyncClient, bay: Bay
) -> None:
    display, gateway = str(bay.display_id), "0016c001ff10a235"
    async with site.pool.acquire() as connection:
        await conditions.begin(
            connection,
            [
                Condition(K.GATEWAY_NO_ACK, gateway, NOW, "2 commands"),
                Condition(K.DISPLAY_UNDELIVERABLE, display, NOW, "x", Cause(K.GATEWAY_NO_ACK, gateway)),
                Condition(K.BROKER_AWAY, "broker", NOW + MINUTE, "connection refused"),
            ],
        )
    listed = await items(client)
    assert [c["name"] for c in listed][::3] == [bay.sensor_eui, "broker"]
    by_subject = {c["name"]: c for c in listed}
    assert by_subject[bay.display_eui]["cause"] == {"kind": "gateway_no_ack", "subject_id": gateway}
    assert by_subject[gateway]["spaces"] == []
    assert [c["kind"] for c in await items(client, kind="gateway_no_ack")] == ["gateway_no_ack"]
    for subject, names in {
        "sensor": {bay.sensor_eui}, "service": {"broker"}, gateway: {gateway}, bay.display_eui: {bay.display_eui},
        "A-1": {bay.sensor_eui, bay.display_eui}, "nothing": set(),
    }.items():  # fmt: skip
        assert {c["name"] for c in await items(client, subject=subject)} == names
    assert await items(client, subject="sensor", kind="broker_away") == []
    refused = await client.get("/api/v1/conditions", params={"kind": "bad"})
    assert (refused.status_code, refused.json()["type"].rpartition(":")[2]) == (422, "bad_condition_kind")

    paged, cursor = [], None
    for _ in listed:
        page = (
            await client.get("/api/v1/conditions", params={"limit": 1} | ({"cursor": cursor} if cursor else {}))
        ).json()
        paged += page["items"]
        cursor = page["next"]
    assert (paged, cursor) == (listed, None)
