"""Tests of devices on their places, through the whole loop: decided, sent, reported; and the light comes back."""

from __future__ import annotations

import itertools
from datetime import timedelta
from uuid import UUID

import pytest

from baylight.access.change import Change
from baylight.app.timer import Timer
from baylight.control.downlinks.relay import Relay
from baylight.control.events.ingest import Ingest
from baylight.domain.display_loop.actuation import LoopPolicy
from baylight.domain.downlink import Downlink
from baylight.domain.events import TxAck
from baylight.domain.ids import DevEui
from baylight.domain.policies import Policies
from baylight.domain.radio import smallest_spreading_factor, verdict
from baylight.errors import ConflictError, InputError, NotFoundError
from baylight.insight import signal
from baylight.inventory import device_tests, devices, display_codes, display_commands, spaces
from baylight.store.pool import Connection, Pool
from tests.support.change import by
from tests.support.clock import Clock
from tests.support.network_server import NetworkServer
from tests.support.uplinks import OCCUPIED, uplink

_counters = itertools.count(1)
SENSOR, DISPLAY = "58a0cb00000000a1", "2020000000000001"


class Stage:
    """A bay, the program's parts, and a network server that the test drives."""

    def __init__(self, db: Connection, pool: Pool, clock: Clock) -> None:
        self.db, self.pool, self.clock, self.network = db, pool, clock, NetworkServer(reports_queue=None)
        self.ingest = Ingest(pool, clock, Policies())
        self.relay = Relay(pool, self.network, clock, LoopPolicy())
        self.reconcile = Timer(pool, clock, Policies(), 25, 37)

    @property
    def change(self) -> Change:
        return by(self.db, now=self.clock.tick(1))

    async def deliver(self, *, report: bool = True) -> Downlink:
        """Deliver the next downlink; the display reports the code in it."""
        assert await self.relay.send_due() == 1
        downlink = self.network.accepted[-1]
        at = self.clock.tick(1)
        item = self.network.items[downlink.dev_eui][-1].id
        await self.ingest.store_batch([TxAck(downlink.dev_eui, item, 1, None, "0016c001ff10a235", at)])
        if report:
            await self.report(downlink.data[:5])
        return downlink

    async def report(self, code: bytes) -> None:
        at = self.clock.tick(1)
        data = bytes(8) + b"\x01\0\0\0" * 2 + code + bytes((59, 12, 1))
        await self.ingest.store_batch([uplink(DISPLAY, at, data, f_port=15, f_cnt=next(_counters))])

    async def look(self, test: device_tests.DeviceTest) -> device_tests.DeviceTest:
        return await device_tests.get_test(self.db, test.id, now=self.clock.now())


@pytest.fixture
async def stage(db: Connection, pool: Pool) -> Stage:
    clock = Clock(await db.fetchval("SELECT clock_timestamp()"))
    await devices.register_sensor(by(db), SENSOR)
    await devices.register_display(by(db), DISPLAY, device_type="kuando_busylight")
    await spaces.create_space(by(db, now=clock.now()), "A-13", sensor=SENSOR, display=DISPLAY)
    stage = Stage(db, pool, clock)
    await stage.deliver()
    assert (await devices.get_display(db, DISPLAY)).sync_status == "in_sync"
    return stage


async def test_a_pattern_is_shown_reported_and_gone_after_some_seconds(stage: Stage) -> None:
    before = await devices.get_display(stage.db, DISPLAY)
    test = await device_tests.create_pattern_test(stage.change, DISPLAY)
    assert (test.result, test.kind, test.space) == ("running", "pattern", "A-13")
    light = display_codes.describe_code("kuando_busylight", test.code or "")
    assert light.colour == "flashing white"
    sent = await stage.deliver()
    assert sent.data[:5].hex() == test.code
    done = await stage.look(test)
    assert (done.result, done.detail) == ("passed", "it reports the light")
    assert done.seconds is not None
    assert done.seconds > 0
    display = await devices.get_display(stage.db, DISPLAY)
    assert (display.desired_code, display.lifecycle_state) == (before.desired_code, "active")
    assert await stage.relay.send_due() == 0  # a person has time to see it
    stage.clock.tick(11)
    await stage.reconcile.displays()
    back = await stage.deliver()
    assert back.data[:5].hex() == before.desired_code
    assert (await devices.get_display(stage.db, DISPLAY)).sync_status == "in_sync"
    [listed] = await device_tests.list_tests(stage.db, device=DISPLAY)
    assert listed == done


async def test_a_pattern_without_a_report_fails_and_the_light_comes_back(stage: Stage) -> None:
    test = await device_tests.create_pattern_test(stage.change, DISPLAY, light="purple")
    await stage.deliver(report=False)
    assert (await stage.look(test)).result == "running"
    stage.clock.tick(121)
    failed = await stage.look(test)
    assert (failed.result, failed.seconds) == ("failed", None)
    assert "no proof" in (failed.detail or "")
    await stage.report(bytes.fromhex(test.code or ""))
    assert (await stage.look(test)).result == "failed"
    stage.clock.tick(100)
    await stage.reconcile.displays()
    back = await stage.deliver()
    assert back.data[:5].hex() == (await devices.get_display(stage.db, DISPLAY)).desired_code


async def test_the_running_program_ends_tests_without_a_request(stage: Stage) -> None:
    shown = await device_tests.create_pattern_test(stage.change, DISPLAY)
    await stage.reconcile.tests()
    assert await results(stage.db) == {shown.id: "running"}
    await stage.deliver()
    await stage.reconcile.tests()
    assert await results(stage.db) == {shown.id: "passed"}
    alone = await device_tests.create_pair_test(stage.change, "A-13")
    stage.clock.tick(301)
    await stage.reconcile.tests()
    assert await results(stage.db) == {shown.id: "passed", alone.id: "failed"}


async def test_a_decision_goes_before_a_test(stage: Stage) -> None:
    test = await device_tests.create_pattern_test(stage.change, DISPLAY)
    await stage.ingest.store_batch([uplink(SENSOR, stage.clock.tick(1), OCCUPIED)])
    assert (await stage.deliver()).data[:3] == b"\xff\x00\x00"
    assert (await stage.look(test)).detail == "a newer decision superseded it before it was proven"


async def test_a_test_without_a_display_or_a_space_is_refused(stage: Stage) -> None:
    with pytest.raises(InputError, match="not a light"):
        await device_tests.create_pattern_test(stage.change, DISPLAY, light="mauve")
    with pytest.raises(NotFoundError, match="no display"):
        await device_tests.create_pattern_test(stage.change, SENSOR)
    await spaces.unassign(stage.change, "A-13", "display")
    with pytest.raises(ConflictError, match="serves no space"):
        await device_tests.create_pattern_test(stage.change, DISPLAY)
    with pytest.raises(ConflictError, match="no display"):
        await device_tests.create_pair_test(stage.change, "A-13")
    assert await device_tests.list_tests(stage.db, space="A-13") == []


async def test_a_pair_passes_when_the_light_follows_the_car(stage: Stage) -> None:
    test = await device_tests.create_pair_test(stage.change, "A-13", within=timedelta(seconds=10))
    assert (await stage.look(test)).result == "running"
    await stage.ingest.store_batch([uplink(SENSOR, stage.clock.tick(5), OCCUPIED, f_cnt=next(_counters))])
    assert (await stage.look(test)).result == "running"
    await stage.deliver()
    done = await stage.look(test)
    assert (done.result, done.detail, done.seconds) == ("passed", "OCCUPIED: it reports the light", 2.0)
    assert (await devices.get_sensor(stage.db, SENSOR)).lifecycle_state == "active"
    assert [t.id for t in await device_tests.list_tests(stage.db, device=SENSOR)] == [test.id]


@pytest.mark.parametrize(
    ("car", "delivered_after", "words"),
    [(False, None, "sent no uplink"), (True, None, "no proof of the light"), (True, 30, "only after")],
)
async def test_a_pair_fails_without_a_car_or_a_light_in_time(
    stage: Stage, car: bool, delivered_after: int | None, words: str
) -> None:
    test = await device_tests.create_pair_test(stage.change, "A-13", within=timedelta(seconds=10))
    if car:
        await stage.ingest.store_batch([uplink(SENSOR, stage.clock.tick(5), OCCUPIED, f_cnt=next(_counters))])
    if delivered_after is not None:
        stage.clock.tick(delivered_after)
        await stage.deliver()
    stage.clock.tick(400)
    failed = await stage.look(test)
    assert failed.result == "failed"
    assert words in (failed.detail or "")


@pytest.mark.parametrize("payload", ["aa", "bb", "10" + "00" * 8, "0000ff64"])
async def test_b18_a_payload_outside_the_programme_needs_an_audited_permission(stage: Stage, payload: str) -> None:
    with pytest.raises(InputError, match="brick"):
        await display_commands.send_command(stage.change, DISPLAY, payload, reason="support case 12")
    assert await stage.relay.send_due() == 0
    sent = await display_commands.send_command(
        stage.change, DISPLAY, payload, permit_unsafe=True, f_port=16, reason="support case 12"
    )
    downlink = await stage.deliver(report=False)
    assert (downlink.id, downlink.data.hex(), downlink.f_port) == (sent, payload, 16)
    entry = await stage.db.fetchval("SELECT after FROM audit_log WHERE action = 'display.send'")
    assert entry == {"payload": payload, "f_port": 16, "permitted_unsafe": True, "reason": "support case 12"}
    back = await stage.deliver()  # its effect on the light is unknown: the desired code is sent again
    assert back.data[:5].hex() == (await devices.get_display(stage.db, DISPLAY)).desired_code
    assert (await devices.get_display(stage.db, DISPLAY)).sync_status == "in_sync"
    status = await stage.db.fetchval("SELECT status FROM actuations WHERE id = $1", sent)
    assert status == "superseded"


@pytest.mark.parametrize(("payload", "f_port"), [("x", None), ("", None), ("00" * 243, None), ("aa", 0), ("aa", 224)])
async def test_an_invalid_downlink_is_refused(stage: Stage, payload: str, f_port: int | None) -> None:
    with pytest.raises(InputError):
        await display_commands.send_command(
            by(stage.db), DISPLAY, payload, f_port=f_port, permit_unsafe=True, reason="?"
        )


async def test_the_signal_is_compared_with_the_needs_of_the_device(stage: Stage) -> None:
    assert (await signal.get_signal(stage.db, SENSOR)).verdict == "unknown"
    for n, (f_cnt, snr) in enumerate(((1, -6.0), (2, -7.0), (5, -8.0))):
        frame = uplink(SENSOR, stage.clock.tick(1), OCCUPIED, f_cnt=f_cnt, snr_db=snr, rssi_dbm=-110 - n)
        await stage.ingest.store_batch([frame])
    found = await signal.get_signal(stage.db, SENSOR)
    assert (found.frames, found.lost, found.snr_db, found.rssi_dbm) == (3, 2, -7.0, -111)
    assert (found.spreading_factor, found.margin_db, found.verdict) == (11, 13.0, "weak")
    await stage.db.execute("""UPDATE device_types SET capabilities = capabilities || '{"min_snr_db": -5}'""")
    found = await signal.get_signal(stage.db, SENSOR)
    assert (found.needed_snr_db, found.margin_db, found.verdict) == (-5.0, -2.0, "bad")


@pytest.mark.parametrize(
    ("snr_db", "sf", "word"),
    [
        (9.0, 7, "good"),
        (2.5, 7, "good"),
        (2.4, 8, "good"),
        (-5.0, 10, "good"),
        (-5.1, 11, "weak"),
        (-10.1, None, "bad"),
    ],
)
def test_a_link_is_judged_by_the_fastest_data_rate_that_it_allows(snr_db: float, sf: int | None, word: str) -> None:
    assert smallest_spreading_factor(snr_db) == sf
    assert verdict(snr_db, None) == word


async def test_b3_a_display_that_cannot_report_passes_by_transmission_and_the_result_shows_it(stage: Stage) -> None:
    light = DevEui("2020000000000002")
    await devices.register_display(stage.change, light, device_type="one_byte_light")
    await spaces.create_space(stage.change, "A-14", display=light)
    await stage.deliver(report=False)
    test = await device_tests.create_pattern_test(stage.change, light)
    assert test.code == "07"  # white: no other light of its own is neither FREE nor what it shows
    await stage.deliver(report=False)
    done = await stage.look(test)
    assert (done.result, done.detail) == ("passed", "the command was transmitted; this display cannot report")
    assert await stage.relay.send_due() == 0
    stage.clock.tick(11)
    await stage.reconcile.displays()
    assert (await stage.deliver(report=False)).data == b"\x06"
    assert (await devices.get_display(stage.db, light)).sync_status == "in_sync"


async def results(db: Connection) -> dict[UUID, str]:
    """As they are stored."""
    return {row["id"]: row["result"] for row in await db.fetch("SELECT id, result FROM device_tests")}
