"""Ways to a wrong light that were found with a real ChirpStack, on a real database. Each is named after its fault."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from itertools import count

import pytest

from baylight.app.timer import Timer
from baylight.control.downlinks.relay import Relay
from baylight.control.events.ingest import Ingest
from baylight.domain.display_loop.actuation import LoopPolicy
from baylight.domain.downlink import DeviceFacts, Downlink, QueueItem
from baylight.domain.events import Ack, Event, Join, Log, TxAck
from baylight.domain.ids import DevEui
from baylight.domain.policies import Policies
from baylight.insight import why
from baylight.store.pool import Pool
from tests.support import factories
from tests.support.clock import Clock
from tests.support.factories import Bay
from tests.support.network_server import AWAY, NetworkServer
from tests.support.uplinks import FREE, OCCUPIED, uplink

RED, GREEN, BLUE = bytes.fromhex("ff00006400"), bytes.fromhex("0000ff6400"), bytes.fromhex("00ff006400")
DIM_GREEN = bytes.fromhex("000035ff00")
POLICIES = Policies(loop=LoopPolicy())
GATEWAY = "0016c001ff10a235"


class Site:
    """A bay with its network server, its gateway and its lamp, which do what the test says."""

    def __init__(self, pool: Pool, bay: Bay) -> None:
        self.pool, self.bay, self.clock = pool, bay, Clock(datetime.now(UTC))
        self.lns = NetworkServer()
        self.ingest = Ingest(pool, self.clock, POLICIES)
        self.relay = Relay(pool, self.lns, self.clock, POLICIES.loop)
        self.timer = Timer(pool, self.clock, POLICIES, 25, 37)
        self.f_cnt, self.frames = count(1), count(1)

    @property
    def lamp(self) -> DevEui:
        return DevEui(self.bay.display_eui)

    async def store(self, *events: Event) -> None:
        await self.ingest.store_batch(list(events))

    async def car(self, data: bytes) -> Downlink:
        """Let the sensor report, and the relay send; return the command."""
        await self.store(uplink(self.bay.sensor_eui, self.clock.tick(1), data, f_cnt=next(self.frames)))
        return await self.sends()

    async def sends(self) -> Downlink:
        before = len(self.lns.accepted)
        await self.relay.send_due()
        assert len(self.lns.accepted) == before + 1, "one command is sent"
        return self.lns.accepted[-1]

    def item(self, downlink: Downlink) -> str:
        return next(i.id for i in self.lns.items[self.lamp] if i.expires_at == downlink.expires_at)

    async def transmits(self, downlink: Downlink, f_cnt: int) -> None:
        """Let a gateway send the command, and the network server forget it."""
        item = self.item(downlink)
        self.lns.items[self.lamp] = []
        await self.store(TxAck(self.lamp, item, 1, f_cnt, GATEWAY, self.clock.tick(1)))

    async def reports(self, code: bytes, **more: object) -> None:
        frame = struct.pack("<iiII", -81, 9, 1, 1) + code + bytes([61, 15, 0])
        at = self.clock.tick(0.5)
        await self.store(uplink(self.lamp, at, frame, f_port=15, f_cnt=next(self.f_cnt), **more))

    async def shows(self, data: bytes, code: bytes, f_cnt: int) -> None:
        """Let a car come or go, the light follow, and the lamp report it."""
        command = await self.car(data)
        assert command.data[:5] == code
        await self.transmits(command, f_cnt)
        await self.reports(code)
        assert await self.status() == "in_sync"

    async def status(self) -> str:
        return str(await self.pool.fetchval("SELECT sync_status FROM display_devices WHERE dev_eui = $1", self.lamp))

    async def conditions(self) -> list[str]:
        """Return the kinds of the conditions that `why` gives for the bay."""
        async with self.pool.acquire() as connection:
            explanation = await why.explain(connection, self.bay.code, self.clock.now(), POLICIES.decision)
        return [c.kind for c in explanation.conditions]

    async def later(self, seconds: float) -> None:
        self.clock.tick(seconds)
        await self.timer.displays()
        await self.relay.recovery.recover()


@pytest.fixture
async def site(pool: Pool) -> Site:
    made = Site(pool, await factories.add_bay(pool, "A-01"))
    await made.reports(GREEN)
    await made.shows(OCCUPIED, RED, 1)
    return made


async def test_a11_an_old_report_of_the_desired_light_does_not_prove_it_after_another_command(site: Site) -> None:
    green = await site.car(FREE)
    await site.transmits(green, 2)  # the lamp turns green, and its report is lost
    red = await site.car(OCCUPIED)
    at = site.clock.tick(9)
    await site.store(Log(site.lamp, "ERROR", "EXPIRED", "expired", site.item(red), at, {}))
    site.lns.items[site.lamp] = []
    assert await site.status() != "in_sync"
    again = await site.sends()
    assert again.data[:5] == RED


async def test_a7_a_retry_does_not_reset_the_condition_of_a_dead_lamp(site: Site) -> None:
    await site.transmits(await site.car(FREE), 2)
    for n in range(3, 7):
        await site.later(35)
        if await site.pool.fetchval("SELECT EXISTS (SELECT FROM actuations WHERE status = 'pending')"):
            await site.transmits(await site.sends(), n)
    since = await site.pool.fetchval("SELECT since FROM conditions WHERE kind = 'display_silent'")
    assert (await site.status(), await site.conditions()) == ("unreachable", ["display_silent"])
    await site.later(40)
    await site.sends()
    assert (await site.status(), await site.conditions()) == ("unreachable", ["display_silent"])
    assert await site.pool.fetchval("SELECT since FROM conditions WHERE ended_at IS NULL") == since
    await site.reports(GREEN)
    assert "display_silent" not in await site.conditions()


async def test_a9_a_lamp_that_answers_with_another_light_is_wrong_and_not_silent(site: Site) -> None:
    command = await site.car(FREE)
    await site.transmits(command, 2)
    site.clock.tick(3)
    await site.reports(BLUE)
    assert (await site.status(), await site.conditions()) == ("drifted", ["display_wrong"])


async def test_i1_nothing_is_queued_for_a_lamp_whose_first_uplink_has_not_come(pool: Pool) -> None:
    site = Site(pool, await factories.add_bay(pool, "A-01"))
    site.lns.facts = DeviceFacts(enabled=True, class_c=None, last_seen_at=None)
    for data in (OCCUPIED, FREE, OCCUPIED):
        await site.store(uplink(site.bay.sensor_eui, site.clock.tick(1), data, f_cnt=next(site.frames)))
        await site.relay.send_due()
    assert site.lns.accepted == []
    assert await site.conditions() == ["display_waits_for_uplink"]
    await site.reports(DIM_GREEN)
    assert (await site.sends()).data[:5] == RED
    assert await site.conditions() == []


async def test_i1_a_command_that_is_still_queued_is_never_followed_by_another(site: Site) -> None:
    await site.car(FREE)
    for _ in range(20):
        await site.later(40)
        await site.relay.send_due()
    assert len(site.lns.items[site.lamp]) == 1
    assert await site.conditions() == ["display_undeliverable"]


async def test_i2_a_lamp_whose_join_is_refused_is_not_in_sync(site: Site) -> None:
    await site.store(Log(site.lamp, "ERROR", "OTAA", "DevNonce has already been used", None, site.clock.tick(60), {}))
    assert (await site.status(), await site.conditions()) == ("unreachable", ["display_refused"])


async def test_i5_a_lamp_that_is_served_as_class_a_says_so_and_its_command_waits_for_its_uplink(site: Site) -> None:
    await site.reports(RED, device_class="A")
    assert "display_not_class_c" in await site.conditions()
    command = await site.car(FREE)
    assert (command.expires_at - site.clock.now()).total_seconds() >= 5400
    await site.reports(RED, device_class="C")
    assert "display_not_class_c" not in await site.conditions()


async def test_i6_a_confirmed_command_is_proven_by_the_ack_that_was_asked_for(pool: Pool) -> None:
    site = Site(pool, await factories.add_bay(pool, "A-01"))
    await pool.execute("UPDATE display_devices SET confirmed_downlinks = true")
    await pool.execute("UPDATE device_types SET codec = 'none' WHERE code = 'kuando_busylight'")  # it cannot report
    command = await site.car(OCCUPIED)
    item = site.item(command)
    await site.transmits(command, 1)
    assert await site.status() == "pending"
    await site.store(Ack(site.lamp, item, True, 1, site.clock.tick(1)))
    assert await site.status() == "in_sync"


async def test_i11_a_lamp_that_is_disabled_in_the_network_server_says_so(site: Site) -> None:
    await site.car(FREE)
    site.lns.facts = DeviceFacts(enabled=False, class_c=True, last_seen_at=site.clock.now())
    await site.later(6)
    assert (await site.status(), await site.conditions()) == ("unreachable", ["display_disabled"])


async def test_i12_a_refusal_after_the_transmission_is_not_written_under_the_command(site: Site) -> None:
    command = await site.car(FREE)
    await site.transmits(command, 2)
    refusal = Log(site.lamp, "ERROR", "DOWNLINK_GATEWAY", "TX_POWER", None, site.clock.tick(1), {})
    await site.store(refusal)
    row = await site.pool.fetchrow("SELECT status, downlink_error FROM actuations WHERE id = $1", command.id)
    assert row is not None
    assert tuple(row) == ("transmitted", None)


async def test_i19_the_command_of_another_makes_the_report_unproven_and_the_light_is_sent_again(site: Site) -> None:
    site.clock.tick(60)
    await site.store(TxAck(site.lamp, "of-an-operator", 9, 2, GATEWAY, site.clock.now()))
    assert (await site.status(), await site.conditions()) == ("drifted", ["display_commanded_by_other"])
    await site.later(0.1)
    assert (await site.sends()).data[:5] == RED


async def test_i19_the_condition_of_another_controller_ends_though_the_light_was_not_proven_when_it_began(
    site: Site,
) -> None:
    command = await site.car(FREE)  # the light is not proven now
    await site.store(TxAck(site.lamp, "of-an-operator", 9, 2, GATEWAY, site.clock.tick(1)))
    assert await site.conditions() == ["display_commanded_by_other"]
    site.clock.tick(3)
    await site.transmits(command, 3)
    await site.reports(GREEN)
    assert (await site.status(), await site.conditions()) == ("in_sync", ["display_commanded_by_other"])
    await site.later(POLICIES.loop.calm_after.total_seconds())
    assert (await site.status(), await site.conditions()) == ("in_sync", [])


async def test_i3_two_controllers_do_not_fight_each_second(site: Site) -> None:
    sent = len(site.lns.accepted)
    f_cnt = count(2)
    for n in range(60):
        await site.store(TxAck(site.lamp, f"of-another-{n}", 9, next(f_cnt), GATEWAY, site.clock.tick(1)))
        await site.timer.displays()
        await site.relay.send_due()
        if site.lns.items[site.lamp]:
            await site.transmits(site.lns.accepted[-1], next(f_cnt))
            await site.later(2.5)
            await site.reports(RED)
    assert len(site.lns.accepted) - sent <= 5, "in 60 rounds"


async def test_i20_the_wait_for_a_report_follows_the_answers_of_the_lamp(site: Site) -> None:
    await site.shows(FREE, GREEN, 2)
    await site.transmits(await site.car(OCCUPIED), 3)  # lost in the air
    await site.later(2)
    assert await site.status() == "pending"
    await site.later(1.5)
    assert (await site.sends()).data[:5] == RED


async def test_i22_a_command_that_vanished_from_the_queue_is_sent_again_within_seconds(site: Site) -> None:
    await site.car(FREE)
    site.lns.items[site.lamp] = []  # an operator flushed it
    await site.later(5.5)
    assert (await site.sends()).data[:5] == GREEN


async def test_i22_the_newest_light_follows_a_command_that_vanished(site: Site) -> None:
    await site.car(FREE)
    await site.store(uplink(site.bay.sensor_eui, site.clock.tick(1), OCCUPIED, f_cnt=next(site.frames)))
    site.lns.items[site.lamp] = []
    await site.later(5.5)
    assert (await site.sends()).data[:5] == RED


async def test_i23_the_end_of_a_common_cause_ends_the_back_offs(site: Site) -> None:
    await site.transmits(await site.car(FREE), 2)
    for n in range(3, 6):
        await site.later(35)
        await site.transmits(await site.sends(), n)
    await site.later(35)
    assert await site.relay.send_due() == 0
    await site.relay.end_backoffs()
    assert (await site.sends()).data[:5] == GREEN


async def test_i23_the_end_of_a_common_cause_ends_the_back_offs_of_commands_that_were_not_accepted(site: Site) -> None:
    site.lns.fails = lambda _: AWAY
    await site.store(uplink(site.bay.sensor_eui, site.clock.tick(1), FREE, f_cnt=next(site.frames)))
    for _ in range(4):
        assert await site.relay.send_due() == 1
        await site.later(60)
    await site.relay.send_due()
    await site.later(1)
    site.lns.fails = lambda _: None
    assert await site.relay.send_due() == 0
    await site.relay.end_backoffs()
    assert (await site.sends()).data[:5] == GREEN


async def test_i25_a_counter_that_was_used_before_fails_the_command_at_once(site: Site) -> None:
    await site.transmits(await site.car(FREE), 1)  # the counter of the command before
    assert (await site.sends()).data[:5] == GREEN
    errors = await site.pool.fetch("SELECT downlink_error FROM actuations WHERE status = 'failed'")
    assert [row["downlink_error"] for row in errors] == ["the network server used the downlink counter 1 twice"]


async def test_i25_counters_begin_again_with_a_join(site: Site) -> None:
    site.clock.tick(10)
    await site.store(Join(site.lamp, "5f0c2b0a-7e3b-4b8e-9a55-0f1f5b3e7c99", site.clock.now(), "0a0b0c0d"))
    site.f_cnt = count(0)
    await site.reports(DIM_GREEN, dev_addr="0a0b0c0d")
    await site.transmits(await site.sends(), 0)
    assert not await site.pool.fetchval("SELECT EXISTS (SELECT FROM actuations WHERE downlink_error LIKE '%twice')")


async def test_a12_a_command_whose_tx_ack_is_late_is_recorded_as_sent(site: Site) -> None:
    command = await site.car(FREE)
    item = site.item(command)
    sent_at = site.clock.tick(1)
    site.lns.items[site.lamp] = []
    await site.later(120)  # the event waits in the broker
    await site.store(TxAck(site.lamp, item, 1, 2, GATEWAY, sent_at))
    row = await site.pool.fetchrow(
        "SELECT kind, actuation_id FROM actuation_events WHERE kind = 'tx_ack' ORDER BY id DESC"
    )
    assert row is not None
    assert row["actuation_id"] == command.id
    assert "display_commanded_by_other" not in await site.conditions()


async def test_an_item_that_is_tried_names_the_missing_acknowledgement(site: Site) -> None:
    command = await site.car(FREE)
    site.lns.items[site.lamp] = [
        QueueItem(site.item(command), 15, command.data, False, command.expires_at, f_cnt_down=7)
    ]
    await site.later(6)
    evidence = await site.pool.fetchval("SELECT evidence FROM conditions WHERE kind = 'display_undeliverable'")
    assert evidence == "the network server sent the command to a gateway, and has no acknowledgement of it"


async def test_why_names_the_state_of_the_last_report_though_it_no_longer_proves_the_light(site: Site) -> None:
    await site.store(TxAck(site.lamp, "of-an-operator", 9, 2, GATEWAY, site.clock.tick(60)))
    async with site.pool.acquire() as connection:
        explanation = await why.explain(connection, site.bay.code, site.clock.now(), POLICIES.decision)
    assert explanation.display is not None
    assert explanation.display.reported is not None
    assert (explanation.display.reported.state, explanation.display.sync_status) == ("OCCUPIED", "drifted")
