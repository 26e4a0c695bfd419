"""Gateways: which of them acknowledge, refuse, or are silent, and how much airtime they use."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from baylight.control import conditions, displays, gateways
from baylight.control.downlinks.relay import Relay
from baylight.control.events.ingest import Ingest
from baylight.domain.airtime import Used, time_on_air
from baylight.domain.conditions import Cause, Condition, ConditionKind
from baylight.domain.display_loop import decisions
from baylight.domain.display_loop.actuation import LoopPolicy
from baylight.domain.downlink import TriggerType
from baylight.domain.events import Log, Message, TxAck
from baylight.domain.ids import DevEui
from baylight.domain.policies import Policies
from baylight.domain.state import State
from baylight.lns.chirpstack.events import parse
from baylight.store.pool import Pool
from tests.support import factories
from tests.support.clock import RealClock
from tests.support.factories import Bay
from tests.support.network_server import NetworkServer
from tests.support.uplinks import GREEN_REPORT, RED_REPORT, uplink

GATEWAY, OTHER_GATEWAY = "0016c001ff10a235", "0016c001ff10a236"
RX2_HZ = 869_525_000
POLICY = LoopPolicy()


class Air:
    """A site of one gateway: bays whose displays it received, a relay that hands commands over, and ingest."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.clock = RealClock()
        self.lns = NetworkServer()
        self.relay = Relay(pool, self.lns, self.clock, POLICY)
        self.ingest = Ingest(pool, self.clock, Policies(loop=POLICY))
        self._f_cnt = 0

    async def bay(self, code: str, gateway_id: str = GATEWAY) -> Bay:
        """Add a bay whose display has sent an uplink through a gateway."""
        bay = await factories.add_bay(self.pool, code)
        await self.report(bay, gateway_id)
        return bay

    async def report(self, bay: Bay, gateway_id: str = GATEWAY, report: bytes = GREEN_REPORT) -> None:
        self._f_cnt += 1
        now = self.clock.now()
        await self.receive(uplink(bay.display_eui, now, report, f_port=15, f_cnt=self._f_cnt, gateway_id=gateway_id))

    async def receive(self, *messages: Message) -> None:
        await self.ingest.store_batch(messages)

    async def send(self, bay: Bay, state: State = State.OCCUPIED) -> str:
        """Decide that a bay's display must show a state, and hand the command over; return its queue item."""
        async with self.pool.acquire() as connection, connection.transaction():
            display = (await displays.load(connection, [bay.display_id], POLICY))[bay.display_id]
            trigger, now = TriggerType.SENSOR_UPLINK, self.clock.now()
            decisions.desire(display, bay.space_id, state, previous=None, trigger=trigger, source=None, now=now)
            await displays.save(connection, [display])
        assert await self.relay.send_due() == 1
        return self.lns.items[bay.display_eui][-1].id

    async def tx_ack(self, bay: Bay, queue_id: str, gateway_id: str = GATEWAY, **more: Any) -> TxAck:
        """Receive the tx_ack of a queue item, sent at RX2 with SF12 unless `more` says otherwise; return it."""
        given: dict[str, Any] = {
            "frequency_hz": RX2_HZ,
            "spreading_factor": 12,
            "bandwidth_hz": 125_000,
            "downlink_id": 7,
        }
        event = TxAck(
            dev_eui=bay.display_eui, queue_item_id=queue_id, f_cnt_down=1, gateway_id=gateway_id,
            observed_at=self.clock.now(), **given | more,
        )  # fmt: skip
        await self.receive(event)
        return event

    async def refuse(self, dev_eui: str, reason: str = "TX_POWER") -> Log:
        """Receive the log line of a gateway that refused a downlink; return it."""
        event = Log(DevEui(dev_eui), "ERROR", "DOWNLINK_GATEWAY", reason, None, self.clock.now())
        await self.receive(event)
        return event

    async def review(self, after_s: float = 0) -> list[Condition]:
        """Move the clock, review the gateways, and return the conditions that last."""
        self.clock.tick(timedelta(seconds=after_s))
        async with self.pool.acquire() as connection, connection.transaction():
            await gateways.review(connection, self.clock.now())
        async with self.pool.acquire() as connection:
            return [c for c in await conditions.list_open(connection) if not c.kind.startswith("display")]

    async def kinds(self, after_s: float = 0) -> list[tuple[str, str]]:
        return [(c.kind.value, c.subject_id) for c in await self.review(after_s)]

    async def owing(self) -> list[str]:
        """Return the gateways behind which commands have waited since at least 60 s."""
        rows = await self.pool.fetch("SELECT gateway_id FROM gateways WHERE late_at >= unacked_since + interval '60 s'")
        return [row["gateway_id"] for row in rows]

    async def used(self, gateway_id: str | None = None) -> list[Used]:
        async with self.pool.acquire() as connection:
            return await gateways.list_used(connection, self.clock.now(), gateway_id)


@pytest.fixture
def air(pool: Pool) -> Air:
    return Air(pool)


# Acknowledgements ---------------------------------------------------------------------------------------


async def test_i1_a_gateway_that_acknowledges_nothing_for_60_s_while_a_command_waits_is_silent(air: Air) -> None:
    bay = await air.bay("A-01")
    sent_at = air.clock.now()
    await air.send(bay)
    assert await air.kinds(after_s=11) == []
    assert await air.owing() == []
    (condition,) = await air.review(after_s=50)
    assert (condition.kind, condition.subject_id) == (ConditionKind.GATEWAY_NO_ACK, GATEWAY)
    assert abs(condition.since - sent_at) < timedelta(seconds=5)
    assert (
        "Commands that wait behind it: 1. Its last acknowledgement: never; its last uplink: at 20" in condition.evidence
    )
    assert await air.owing() == [GATEWAY]


async def test_a12_a_gateway_is_not_silent_while_the_tx_acks_of_a_stop_are_not_read(air: Air) -> None:
    bay = await air.bay("A-01")
    queue_id = await air.send(bay)
    assert await air.kinds(after_s=3600) == []
    assert await air.owing() == []
    await air.tx_ack(bay, queue_id)
    assert await air.kinds(after_s=60) == []


async def test_i1_a_gateway_behind_which_no_command_waits_is_not_silent(air: Air) -> None:
    bay = await air.bay("A-01")
    assert await air.kinds() == []
    await air.tx_ack(bay, await air.send(bay))
    assert await air.kinds(after_s=61) == []
    assert await air.owing() == []


async def test_i1_its_next_tx_ack_ends_the_silence_at_once(air: Air) -> None:
    bay = await air.bay("A-01")
    queue_id = await air.send(bay)
    await air.review(after_s=11)
    await air.review(after_s=50)
    assert await air.owing() == [GATEWAY]
    await air.tx_ack(bay, queue_id)
    assert await air.owing() == []
    assert await air.kinds() == []


async def test_i1_a_redelivered_tx_ack_is_no_sign_of_life(air: Air) -> None:
    bay = await air.bay("A-01")
    old = await air.tx_ack(bay, await air.send(bay, State.RESERVED))
    air.clock.tick(timedelta(seconds=30))
    await air.send(bay)
    await air.review(after_s=11)
    await air.receive(old)
    assert await air.kinds(after_s=50) == [("gateway_no_ack", GATEWAY)]


async def test_i1_the_silence_lasts_while_displays_back_off(air: Air) -> None:
    bay = await air.bay("A-01")
    await air.send(bay)
    (first,) = [await air.review(after_s=s) for s in (11, 50)][-1]
    await air.pool.execute("UPDATE actuations SET status = 'expired', next_attempt_at = NULL")
    (again,) = await air.review(after_s=14 * 60)
    assert again.since == first.since
    assert await air.kinds(after_s=21 * 60) == []


async def test_a_gateway_whose_tx_acks_are_lost_is_told_from_one_that_sends_nothing(air: Air) -> None:
    bay = await air.bay("A-01")
    await air.send(bay)
    await air.review(after_s=11)
    await air.report(bay, report=RED_REPORT, gateway_id=OTHER_GATEWAY)
    (condition,) = await air.review(after_s=5)
    assert (condition.kind, condition.subject_id) == (ConditionKind.GATEWAY_NO_ACK, GATEWAY)
    assert "It sends: at 20" in condition.evidence
    assert "a display reported the light of a command without a tx_ack" in condition.evidence

    (again,) = await air.review(after_s=600)
    assert again.since == condition.since, "the condition lasts while no tx_ack comes"
    queue_id = await air.send(bay, State.RESERVED)
    await air.tx_ack(bay, queue_id, gateway_id=GATEWAY)
    assert await air.kinds() == []


async def test_a_command_that_was_sent_before_the_proof_of_its_gateway_is_not_laid_upon_it(air: Air) -> None:
    waiting, other = await air.bay("A-01"), await air.bay("A-02")
    await air.send(waiting)
    await air.send(other)
    air.clock.tick(timedelta(seconds=5))
    await air.report(other, report=RED_REPORT)
    await air.review(after_s=10)
    assert await air.pool.fetchval("SELECT unacked_since FROM gateways WHERE gateway_id = $1", GATEWAY) is None


async def test_a_tx_ack_that_comes_after_its_report_makes_no_condition(air: Air) -> None:
    bay = await air.bay("A-01")
    await air.tx_ack(bay, await air.send(bay, State.RESERVED))
    air.clock.tick(timedelta(seconds=30))
    queue_id = await air.send(bay)
    await air.report(bay, report=RED_REPORT)
    assert await air.kinds(after_s=1) == []
    await air.tx_ack(bay, queue_id)
    assert await air.kinds(after_s=61) == []


async def test_lost_tx_acks_of_a_gateway_that_is_gone_are_forgotten(air: Air) -> None:
    bay = await air.bay("A-01")
    await air.send(bay)
    await air.report(bay, report=RED_REPORT, gateway_id=OTHER_GATEWAY)
    assert await air.kinds(after_s=5) == [("gateway_no_ack", GATEWAY)]
    assert await air.kinds(after_s=21 * 60) == []


async def test_i1_one_command_that_is_late_does_not_make_a_gateway_silent_that_acknowledges_others(air: Air) -> None:
    stuck, other = await air.bay("A-01"), await air.bay("A-02")
    await air.send(stuck)
    air.clock.tick(timedelta(seconds=9))
    await air.tx_ack(other, await air.send(other))
    assert await air.kinds(after_s=11) == []
    assert await air.kinds(after_s=50) == []


async def test_i1_the_other_gateway_that_serves_a_display_is_not_mixed_up_with_its_own(air: Air) -> None:
    bay = await air.bay("A-01")
    await air.tx_ack(bay, await air.send(bay), gateway_id=OTHER_GATEWAY)
    assert await air.kinds(after_s=61) == []


async def test_i11_a_display_that_the_network_server_does_not_serve_is_not_laid_upon_its_gateway(air: Air) -> None:
    bay = await air.bay("A-01")
    disabled = Condition(ConditionKind.DISPLAY_DISABLED, str(bay.display_id), air.clock.now(), "by GetQueue")
    async with air.pool.acquire() as connection:
        await conditions.begin(connection, [disabled])
    await air.send(bay)
    await air.review(after_s=11)
    assert await air.kinds(after_s=50) == []


async def test_i1_a_network_server_that_is_away_is_the_cause_of_the_silence(air: Air) -> None:
    bay = await air.bay("A-01")
    away = Condition(ConditionKind.NETWORK_SERVER_AWAY, "chirpstack", air.clock.now(), "no answer")
    async with air.pool.acquire() as connection:
        await conditions.begin(connection, [away])
    await air.send(bay)
    await air.review(after_s=11)
    found = {c.kind: c for c in await air.review(after_s=50)}
    assert found[ConditionKind.GATEWAY_NO_ACK].cause == Cause(ConditionKind.NETWORK_SERVER_AWAY, "chirpstack")


async def test_displays_of_the_things_stack_do_not_count_for_it_names_no_gateway(air: Air) -> None:
    bay = await air.bay("A-01")
    await air.send(bay)
    await air.pool.execute("UPDATE display_devices SET network_server = 'tts'")
    await air.review(after_s=11)
    assert await air.kinds(after_s=50) == []


async def test_i1_a_class_a_display_waits_for_its_uplink_and_not_for_its_gateway(air: Air) -> None:
    bay = await air.bay("A-01")
    await air.pool.execute(
        "UPDATE device_types SET capabilities = capabilities || '{\"class\": \"A\"}' WHERE code = 'kuando_busylight'"
    )
    await air.send(bay)
    await air.review(after_s=11)
    assert await air.kinds(after_s=50) == []


# Refusals ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["TX_POWER", "DUTY_CYCLE_OVERFLOW", "TOO_LATE", "SOMETHING_NEW"])
async def test_i24_the_word_of_a_gateway_that_refuses_is_its_condition(air: Air, reason: str) -> None:
    bay = await air.bay("A-01")
    await air.send(bay)
    for _ in range(3):
        await air.refuse(bay.display_eui, reason)
        air.clock.tick(timedelta(seconds=2))
    (condition,) = await air.review()
    assert (condition.kind, condition.subject_id) == (ConditionKind.GATEWAY_REFUSES, GATEWAY)
    assert condition.evidence.startswith(f"{reason}: ")
    assert "Refused since its last acknowledgement: 3, " in condition.evidence
    assert f"for {bay.display_eui}. The network server does not name the gateway" in condition.evidence


async def test_i24_its_since_stays_and_its_next_tx_ack_ends_it(air: Air) -> None:
    bay = await air.bay("A-01")
    queue_id = await air.send(bay)
    await air.refuse(bay.display_eui)
    (first,) = await air.review()
    air.clock.tick(timedelta(seconds=30))
    await air.refuse(bay.display_eui)
    (again,) = await air.review()
    assert again.since == first.since
    assert again.evidence != first.evidence
    await air.tx_ack(bay, queue_id)
    assert await air.kinds() == []


async def test_i24_a_gateway_that_answers_with_refusals_is_not_silent_but_holds_commands_back(air: Air) -> None:
    bay = await air.bay("A-01")
    await air.send(bay)
    for _ in range(7):
        await air.refuse(bay.display_eui)
        await air.review(after_s=9)
    assert await air.kinds() == [("gateway_refuses", GATEWAY)]
    assert await air.owing() == [GATEWAY]


async def test_i24_a_refusal_in_the_batch_of_its_tx_ack_ends_with_it(air: Air) -> None:
    bay = await air.bay("A-01")
    queue_id = await air.send(bay)
    now = air.clock.now()
    refusal = Log(bay.display_eui, "ERROR", "DOWNLINK_GATEWAY", "TOO_LATE", None, now)
    tx_ack = TxAck(bay.display_eui, queue_id, 8, 1, GATEWAY, now, RX2_HZ, 12, 125_000)
    await air.receive(refusal, tx_ack)
    assert await air.kinds() == []
    await air.receive(refusal, tx_ack)
    assert await air.kinds() == []


async def test_i24_a_refusal_behind_a_tx_ack_of_the_same_batch_lasts(air: Air) -> None:
    bay = await air.bay("A-01")
    queue_id = await air.send(bay)
    now = air.clock.now()
    refusal = Log(bay.display_eui, "ERROR", "DOWNLINK_GATEWAY", "TOO_LATE", None, now)
    tx_ack = TxAck(bay.display_eui, queue_id, 8, 1, GATEWAY, now, RX2_HZ, 12, 125_000)
    await air.receive(tx_ack, refusal)
    assert await air.kinds() == [("gateway_refuses", GATEWAY)]


async def test_i24_a_redelivered_refusal_counts_once(air: Air) -> None:
    bay = await air.bay("A-01")
    refusal = await air.refuse(bay.display_eui)
    await air.receive(refusal)
    await air.receive(refusal, refusal)
    assert await air.pool.fetchval("SELECT refusals FROM gateways") == 1


async def test_i24_refusals_count_after_the_network_servers_clock_was_set_back(air: Air) -> None:
    bay = await air.bay("A-01")
    refusal = await air.refuse(bay.display_eui)
    await air.receive(replace(refusal, observed_at=refusal.observed_at - timedelta(minutes=30), description="TX_FREQ"))
    row = await air.pool.fetchrow("SELECT refusal, refusals FROM gateways")
    assert row is not None
    assert tuple(row) == ("TX_FREQ", 2)


async def test_i12_a_frame_that_was_ignored_is_no_refusal(air: Air) -> None:
    bay = await air.bay("A-01")
    await air.refuse(bay.display_eui, "IGNORED")
    await air.refuse(bay.sensor_eui, "IGNORED")
    assert await air.kinds() == []


async def test_i12_a_refused_frame_for_a_sensor_or_a_stranger_is_no_condition(air: Air) -> None:
    bay = await air.bay("A-01")
    await air.receive(uplink(bay.sensor_eui, air.clock.now()))
    await air.refuse(bay.sensor_eui, "TOO_LATE")
    await air.refuse("00000000000000aa", "TOO_LATE")
    assert await air.kinds() == []


async def test_i24_a_refusal_for_a_display_that_has_sent_no_uplink_names_no_gateway(air: Air) -> None:
    bay = await factories.add_bay(air.pool, "A-01")
    await air.refuse(bay.display_eui)
    assert await air.kinds() == []


# Airtime ---------------------------------------------------------------------------------------


async def test_i17_a_tx_ack_counts_once_with_the_size_of_its_command(air: Air) -> None:
    bay = await air.bay("A-01")
    event = await air.tx_ack(bay, await air.send(bay))
    await air.receive(event)
    await air.receive(event, event)
    (used,) = await air.used()
    # 6 bytes: the code, and the wish for a report
    assert used == Used(GATEWAY, "P", 1, 0, time_on_air(13 + 6, 12, 125_000) / timedelta(milliseconds=1))


async def test_i17_each_try_of_an_item_counts(air: Air) -> None:
    bay = await air.bay("A-01")
    queue_id = await air.send(bay)
    for downlink_id in (7, 8):
        await air.tx_ack(bay, queue_id, downlink_id=downlink_id)
    (used,) = await air.used()
    assert used.frames == 2


async def test_i17_gateways_and_sub_bands_are_counted_apart(air: Air) -> None:
    bay = await air.bay("A-01")
    queue_id = await air.send(bay)
    await air.tx_ack(bay, queue_id)
    await air.tx_ack(bay, queue_id, downlink_id=8, frequency_hz=868_100_000, spreading_factor=7)
    await air.tx_ack(bay, queue_id, OTHER_GATEWAY, downlink_id=9)
    await air.tx_ack(bay, queue_id, OTHER_GATEWAY, downlink_id=10, frequency_hz=923_300_000, bandwidth_hz=500_000)
    assert [(u.gateway_id, u.sub_band, u.frames) for u in await air.used()] == [
        (GATEWAY, "M", 1), (GATEWAY, "P", 1), (OTHER_GATEWAY, "P", 1), (OTHER_GATEWAY, "other", 1)
    ]  # fmt: skip
    assert [u.sub_band for u in await air.used(OTHER_GATEWAY)] == ["P", "other"]


async def test_i17_foreign_downlinks_count_with_an_assumed_size(air: Air) -> None:
    bay = await air.bay("A-01")
    await air.tx_ack(bay, str(uuid4()))
    await air.receive(
        TxAck(bay.sensor_eui, str(uuid4()), 1, 1, GATEWAY, air.clock.now(), RX2_HZ, 12, 125_000),
        TxAck(DevEui("00000000000000aa"), str(uuid4()), 2, 1, GATEWAY, air.clock.now(), RX2_HZ, 12, 125_000),
    )
    (used,) = await air.used()
    assert (used.frames, used.assumed_frames) == (3, 3)
    assert used.airtime_ms == pytest.approx(3 * 1318.9, abs=1)


async def test_i17_a_tx_ack_without_data_rate_or_frequency_is_counted_and_marked(air: Air) -> None:
    bay = await air.bay("A-01")
    await air.tx_ack(bay, await air.send(bay), frequency_hz=None, spreading_factor=None, bandwidth_hz=None)
    (used,) = await air.used()
    assert (used.sub_band, used.frames, used.assumed_frames, used.share) == ("other", 1, 1, 0.0)


async def test_i17_an_acknowledgement_without_a_gateway_is_not_counted(air: Air) -> None:
    bay = await air.bay("A-01")
    queue_id = await air.send(bay)
    await air.receive(TxAck(bay.display_eui, queue_id, None, 1, None, air.clock.now()))
    assert await air.used() == []


async def test_i17_the_hour_slides(air: Air) -> None:
    bay = await air.bay("A-01")
    await air.tx_ack(bay, await air.send(bay))
    air.clock.tick(timedelta(minutes=59))
    assert len(await air.used()) == 1
    air.clock.tick(timedelta(minutes=3))
    assert await air.used() == []


@pytest.mark.parametrize("off", [timedelta(days=-20_000), timedelta(days=400)])
async def test_i17_a_wrong_clock_of_the_network_server_loses_no_airtime(air: Air, off: timedelta) -> None:
    bay = await air.bay("A-01")
    tx_ack = TxAck(bay.display_eui, await air.send(bay), 7, 1, GATEWAY, air.clock.now() + off, RX2_HZ, 12, 125_000)
    await air.receive(tx_ack)
    assert len(await air.used()) == 1


async def test_i17_80_percent_of_the_limit_is_a_condition_until_less_than_70_are_used(air: Air) -> None:
    bay = await air.bay("A-01")
    queue_id = await air.send(bay)
    commands = [
        TxAck(bay.display_eui, queue_id, n, 1, GATEWAY, air.clock.now(), RX2_HZ, 12, 125_000) for n in range(219)
    ]
    await air.receive(*commands[:218])  # 79.9 % of 360 s
    assert await air.kinds() == []
    await air.receive(commands[218])
    (condition,) = await air.review()
    assert (condition.kind, condition.subject_id) == (ConditionKind.GATEWAY_AIRTIME, GATEWAY)
    assert condition.evidence == "288.8 s in 219 downlinks in an hour, 80% of the 360 s that 869.4-869.65 MHz allows"
    await air.pool.execute("UPDATE gateway_airtime SET airtime_ms = 260000")  # 72 %
    assert await air.kinds(after_s=10) == [("gateway_airtime", GATEWAY)]
    await air.pool.execute("UPDATE gateway_airtime SET airtime_ms = 250000")  # 69 %
    assert await air.kinds() == []


async def test_i17_other_regions_have_no_limit(air: Air) -> None:
    bay = await air.bay("A-01")
    queue_id = await air.send(bay)
    now = air.clock.now()
    await air.receive(
        *[TxAck(bay.display_eui, queue_id, n, 1, GATEWAY, now, 923_300_000, 12, 125_000) for n in range(3000)]
    )
    assert await air.kinds() == []


async def test_i17_facts_that_the_database_could_not_store_are_stored_with_the_next_batch(air: Air) -> None:
    bay = await air.bay("A-01")
    queue_id = await air.send(bay)
    await air.pool.execute(
        """
        CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql
        AS $$ BEGIN RAISE EXCEPTION 'try again' USING ERRCODE = 'serialization_failure'; END $$;
        CREATE TRIGGER fail BEFORE INSERT ON gateway_airtime FOR EACH STATEMENT EXECUTE FUNCTION fail();
        """
    )
    await air.tx_ack(bay, queue_id)
    assert await air.used() == []
    await air.pool.execute("DROP TRIGGER fail ON gateway_airtime")
    await air.report(bay)
    (used,) = await air.used()
    assert used.frames == 1


async def test_a_batch_writes_a_gateway_in_order_at_most_each_5_s(air: Air) -> None:
    bay = await air.bay("A-01")
    queue_id = await air.send(bay)
    await air.tx_ack(bay, queue_id)
    first = await air.pool.fetchval("SELECT last_ack_at FROM gateways")
    await air.tx_ack(bay, queue_id, downlink_id=8)
    assert await air.pool.fetchval("SELECT last_ack_at FROM gateways") == first
    air.clock.tick(timedelta(seconds=5))
    await air.tx_ack(bay, queue_id, downlink_id=9)
    assert await air.pool.fetchval("SELECT last_ack_at FROM gateways") > first


async def test_several_reviews_at_once_do_it_once(air: Air) -> None:
    bay = await air.bay("A-01")
    await air.send(bay)
    await air.refuse(bay.display_eui)
    async with air.pool.acquire() as other, other.transaction():
        assert await gateways.ALONE.one(other)
        assert await air.kinds() == []
    assert await air.kinds() == [("gateway_refuses", GATEWAY)]


RECORDED = "application/29c30d14-b848-4f81-a5ef-473808098a04/device/0102030405060702/event/"
RECORDED_LAMP = '"deviceInfo":{"devEui":"0102030405060702","deviceClassEnabled":"CLASS_C","tags":{"kind":"lamp"}}'
RECORDED_TX_ACK = (
    '{"downlinkId":2697208503,"time":"2026-11-27T19:00:19.774194729+00:00",' + RECORDED_LAMP + ","
    '"queueItemId":"7df94f1d-a855-43aa-bce2-48446063f3c6","fCntDown":3,"gatewayId":"0016c001ff10a235","txInfo":{'
    '"frequency":869525000,"power":29,"modulation":{"lora":{"bandwidth":125000,"spreadingFactor":12,'
    '"codeRate":"CR_4_5","polarizationInversion":true}},"timing":{"immediately":{}},"context":"AQIDBA=="}}'
)
RECORDED_REFUSAL = (
    '{"time":"2026-11-27T19:00:11.649200341+00:00",' + RECORDED_LAMP + ","
    '"level":"ERROR","code":"DOWNLINK_GATEWAY","description":"TOO_LATE","context":{}}'
)
"""Events of a real ChirpStack, without the names of its device."""


async def test_i17_a_recorded_refusal_and_tx_ack_have_their_effects(air: Air) -> None:
    await factories.add_display(air.pool, dev_eui="0102030405060702", gateway_id=GATEWAY)
    refusal = parse(RECORDED + "log", RECORDED_REFUSAL.encode())
    tx_ack = parse(RECORDED + "txack", RECORDED_TX_ACK.encode())
    assert isinstance(refusal, Log)
    assert isinstance(tx_ack, TxAck)
    off = air.clock.now() - datetime(2026, 11, 27, 19, 0, 12, tzinfo=UTC)
    air.clock.tick(-off)
    await air.receive(refusal)
    (condition,) = await air.review()
    assert (condition.kind, condition.subject_id) == (ConditionKind.GATEWAY_REFUSES, GATEWAY)
    assert condition.evidence.startswith("TOO_LATE: ")
    air.clock.tick(timedelta(seconds=8))
    await air.receive(tx_ack)
    assert await air.review() == []
    (used,) = await air.used()
    assert (used.sub_band, used.frames, round(used.airtime_ms)) == ("P", 1, 1319)
