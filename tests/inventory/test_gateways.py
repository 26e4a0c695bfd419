"""Gateways as API, command line, metrics and doctor show them."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import httpx
import pytest

from baylight.control import gateways, retention
from baylight.control.events.ingest import Ingest
from baylight.domain.events import Log, TxAck
from baylight.domain.ids import DevEui
from baylight.domain.policies import Policies
from baylight.domain.state import Policy
from baylight.insight import doctor
from baylight.insight.doctor import Finding
from baylight.store.pool import Pool
from tests.support import factories
from tests.support.clock import RealClock
from tests.support.factories import Bay
from tests.support.servers import Database
from tests.support.site import Site, site_on
from tests.support.uplinks import GREEN_REPORT, uplink

GATEWAY, OTHER_GATEWAY = "0016c001ff10a235", "0016c001ff10a236"
RX2_HZ = 869_525_000


@pytest.fixture
def clock() -> RealClock:
    return RealClock()


@pytest.fixture
async def bay(pool: Pool, clock: RealClock) -> Bay:
    """A bay whose display was received by a gateway."""
    bay = await factories.add_bay(pool, "A-01")
    report = uplink(bay.display_eui, clock.now(), GREEN_REPORT, f_port=15, gateway_id=GATEWAY)
    await Ingest(pool, clock, Policies()).store_batch([report])
    return bay


@pytest.fixture
def site(pool: Pool, database: Database) -> Site:
    return site_on(database, pool)


async def send(pool: Pool, clock: RealClock, dev_eui: DevEui, number: int, gateway_id: str = GATEWAY) -> None:
    """Receive the tx_acks of a number of downlinks at RX2 with SF12."""
    acks = [TxAck(dev_eui, str(uuid4()), 1, 1, gateway_id, clock.now(), RX2_HZ, 12, 125_000) for _ in range(number)]
    await Ingest(pool, clock, Policies()).store_batch(acks)


async def refuse(pool: Pool, clock: RealClock, bay: Bay) -> None:
    """Receive a refusal, and review the gateways."""
    log = Log(bay.display_eui, "ERROR", "DOWNLINK_GATEWAY", "TX_POWER", None, clock.now())
    await Ingest(pool, clock, Policies()).store_batch([log])
    async with pool.acquire() as connection, connection.transaction():
        await gateways.review(connection, clock.now())


async def findings(pool: Pool, clock: RealClock) -> dict[str, Finding]:
    async with pool.acquire() as connection:
        return {f.check: f for f in await doctor.examine(connection, now=clock.now(), policy=Policy())}


async def test_i17_the_api_lists_gateways_with_their_airtime_against_the_limit(
    pool: Pool, site: Site, clock: RealClock, bay: Bay
) -> None:
    await send(pool, clock, bay.display_eui, 30)
    await send(pool, clock, bay.display_eui, 1, OTHER_GATEWAY)
    async with site.client(await site.key("read")) as client:
        first = (await client.get("/api/v1/gateways?limit=1")).json()
        rest = (await client.get("/api/v1/gateways", params={"cursor": first["next"]})).json()
    (gateway,) = first["items"]
    assert (gateway["gateway_id"], gateway["displays"], gateway["conditions"]) == (GATEWAY, 1, [])
    assert gateway["last_ack_at"] is not None
    assert gateway["airtime"] == [
        {
            "sub_band": "P", "low_hz": 869_400_000, "high_hz": 869_650_000, "limit_s": 360.0, "used_s": 39.567,
            "used_pct": 11.0, "frames": 30, "assumed_frames": 30,
        }
    ]  # fmt: skip
    assert [item["gateway_id"] for item in rest["items"]] == [OTHER_GATEWAY]
    assert (rest["items"][0]["displays"], rest["next"]) == (0, None)


async def test_i17_a_gateway_has_its_hours_and_its_conditions(
    pool: Pool, site: Site, clock: RealClock, bay: Bay
) -> None:
    await send(pool, clock, bay.display_eui, 2)
    clock.tick(timedelta(hours=2))
    await send(pool, clock, bay.display_eui, 1)
    clock.tick(timedelta(hours=-2))
    await refuse(pool, clock, bay)
    async with site.client(await site.key("read")) as client:
        gateway = (await client.get(f"/api/v1/gateways/{GATEWAY.upper()}")).json()
        unknown = await client.get("/api/v1/gateways/00000000000000aa")
    assert [(hour["sub_band"], hour["frames"]) for hour in gateway["hours"]] == [("P", 1), ("P", 2)]
    assert (gateway["refusal"], gateway["conditions"][0]["kind"]) == ("TX_POWER", "gateway_refuses")
    assert gateway["conditions"][0]["evidence"].startswith("TX_POWER: ")
    assert gateway["conditions"][0]["remedy"] != ""
    assert (unknown.status_code, unknown.json()["type"]) == (404, "urn:baylight:problem:unknown_gateway")


async def test_i17_the_metrics_have_a_series_for_each_gateway_that_sent_in_the_last_hour(
    pool: Pool, site: Site, clock: RealClock, bay: Bay
) -> None:
    await send(pool, clock, bay.display_eui, 3)

    async def scrape(client: httpx.AsyncClient) -> list[str]:
        lines = (await client.get("/metrics")).text.splitlines()
        return [line for line in lines if line.startswith("baylight_gateway")]

    async with site.client(await site.key("read")) as client:
        labels = f'{{gateway="{GATEWAY}",sub_band="P"}}'
        seconds, limit = await scrape(client)
        assert seconds.startswith(f"baylight_gateway_airtime_seconds{labels} 3.956")
        assert limit == f"baylight_gateway_airtime_limit_seconds{labels} 360.0"
        await pool.execute("UPDATE gateway_airtime SET minute_at = minute_at - interval '2 hours'")
        assert await scrape(client) == []


async def test_i24_doctor_gives_the_word_of_a_gateway_that_refuses(pool: Pool, clock: RealClock, bay: Bay) -> None:
    assert (await findings(pool, clock))["gateways"].ok
    await refuse(pool, clock, bay)
    found = (await findings(pool, clock))["gateways"]
    assert not found.ok
    assert found.detail.startswith(f"1: {GATEWAY} gateway_refuses since 20")
    assert "UTC: TX_POWER: " in found.detail


async def test_i17_doctor_names_the_airtime_and_looks_at_it_from_80_percent_on(
    pool: Pool, clock: RealClock, bay: Bay
) -> None:
    assert (await findings(pool, clock))["airtime"] == Finding("airtime", True, "no downlink in the last hour")
    await send(pool, clock, bay.display_eui, 30)
    detail = f"{GATEWAY} 39.6 s in 30 downlinks in an hour, 11% of the 360 s that 869.4-869.65 MHz allows"
    assert (await findings(pool, clock))["airtime"] == Finding("airtime", True, detail)
    await send(pool, clock, bay.display_eui, 200)
    found = (await findings(pool, clock))["airtime"]
    assert (found.ok, found.what_to_do) == (False, "set a faster RX2 data rate, or add a gateway")


@pytest.mark.parametrize(("wait_s", "advised"), [(0.12, False), (0.55, True), (4.5, True)])
async def test_i26_doctor_names_the_class_c_interval_that_it_sees(
    pool: Pool, clock: RealClock, bay: Bay, wait_s: float, advised: bool
) -> None:
    now = clock.now()
    for n, apart in enumerate((0.5 * wait_s, wait_s, 30 * wait_s)):
        sent_at = now - timedelta(hours=1, seconds=n)
        id = await factories.add_actuation(pool, bay, sent_at)
        await pool.execute(
            "UPDATE actuations SET status = 'sending' WHERE id = $1", id
        )  # one step at a time: a trigger checks them
        await pool.execute(
            "UPDATE actuations SET status = 'transmitted', downlink_sent = true, sent_at = $2, transmitted_at = $3"
            " WHERE id = $1",
            id, sent_at, sent_at + timedelta(seconds=apart),
        )  # fmt: skip
    found = (await findings(pool, clock))["class C"]
    assert found.ok
    assert found.detail == f"a gateway acknowledges a command {wait_s:.2f} s after it is queued (median of 3, last day)"
    advice = 'interval = "100ms", class_c_lock_duration = "2s", class_a_lock_duration = "2s"'
    assert found.what_to_do == (f"set in [network.scheduler] of ChirpStack: {advice}" if advised else "")


async def test_i26_doctor_advises_a_batch_size_by_the_size_of_the_fleet(pool: Pool, clock: RealClock, bay: Bay) -> None:
    assert (await findings(pool, clock))["class C"].what_to_do == ""
    await pool.execute(
        "INSERT INTO display_devices (dev_eui, device_type, fport, display_codes)"
        " SELECT lpad(to_hex(n), 16, '0'), device_type, fport, display_codes"
        " FROM display_devices CROSS JOIN generate_series(1, 1200) AS n"
    )
    found = (await findings(pool, clock))["class C"]
    assert found.detail == "no command was acknowledged by a gateway in the last day; 1201 displays"
    assert found.what_to_do.endswith("batch_size = 2000")


async def test_airtime_and_its_marks_are_kept_for_a_time(pool: Pool, clock: RealClock, bay: Bay) -> None:
    await send(pool, clock, bay.display_eui, 3)

    async def left(after: timedelta) -> tuple[int, int]:
        async with pool.acquire() as connection:
            await retention.run(connection, clock.now() + after, uplink_months=25, actuation_months=37)
        airtime = await pool.fetchval("SELECT count(*) FROM gateway_airtime")
        return airtime, await pool.fetchval("SELECT count(*) FROM counted_tx_acks")

    assert await left(timedelta(hours=5)) == (1, 3)
    assert await left(timedelta(hours=7)) == (1, 0)
    assert await left(timedelta(hours=49)) == (0, 0)
