"""Displays with a JavaScript codec, on a real database and in real worker processes."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest

from baylight.access.change import Change
from baylight.control.downlinks.relay import Relay
from baylight.control.events import later
from baylight.control.events.ingest import Ingest
from baylight.domain.display_loop.actuation import LoopPolicy
from baylight.domain.downlink import Downlink
from baylight.domain.events import TxAck
from baylight.domain.ids import DevEui
from baylight.domain.policies import Policies
from baylight.domain.state import Policy
from baylight.errors import BaylightError, ConflictError, InputError
from baylight.insight import doctor
from baylight.inventory import device_settings, device_tests, devices, display_commands, spaces
from baylight.js_codecs import types, versions
from baylight.sandbox.pool import Sandbox
from baylight.store.pool import Connection, Pool
from tests.support.change import by
from tests.support.clock import Clock
from tests.support.network_server import NetworkServer
from tests.support.uplinks import uplink

DISPLAY = DevEui("70b3d50000000001")
POLICY = Policy()
SOURCE = """
var COLOURS = ['off', 'green', 'red', 'blue'];
function encodeDownlink(input) {
  if (input.data.colour === 'loop') for (;;);
  if (input.data.colour === 'nothing') return { bytes: [] };
  if (input.data.colour === 'error') return { errors: ['no such light'] };
  if (input.data.colour === 'elsewhere') return { bytes: [9], fPort: 9 };
  return { bytes: [0x10, COLOURS.indexOf(input.data.colour)], fPort: 7 };
}
function decodeUplink(input) {
  if (input.bytes[0] === 0xee) for (;;);
  return { data: input.bytes[0] === 0x20 ? { light: COLOURS[input.bytes[1]] } : { battery_v: input.bytes[1] / 10 } };
}
"""
MAPPING = {"field": "light", "states": {"FREE": ["green"], "OCCUPIED": ["red"], "UNKNOWN": ["blue"]}}
STATES = {"FREE": {"colour": "green"}, "OCCUPIED": {"colour": "red"}, "UNKNOWN": {"colour": "blue"}}
CODES = {"FREE": "1001", "OCCUPIED": "1002", "UNKNOWN": "1003"}
EXAMPLES: list[dict[str, Any]] = [
    {"type": "downlink-encode", "input": {"data": {"colour": "red"}}, "output": {"bytes": [16, 2], "fPort": 7}},
    {
        "type": "uplink",
        "input": {"bytes": "2001", "fPort": 7},
        "output": {"data": {"light": "green"}},
        "shows": "FREE",
    },
]


@dataclass
class Stage:
    """One bay, A-1, without sensor, that is set FREE or OCCUPIED by its default state."""

    db: Connection
    clock: Clock
    network: NetworkServer
    relay: Relay
    ingest: Ingest
    engine: Sandbox

    @property
    def change(self) -> Change:
        return by(self.db, now=self.clock.now())

    async def deliver(self) -> Downlink:
        assert await self.relay.send_due() == 1
        downlink = self.network.accepted[-1]
        at = self.clock.tick(1)
        item = self.network.items[DISPLAY][-1].id
        await self.ingest.store_batch([TxAck(DISPLAY, item, 1, None, "gw", at)])
        return downlink

    async def report(self, data: str) -> None:
        at = self.clock.tick(6)
        await self.ingest.store_batch([uplink(DISPLAY, at, bytes.fromhex(data), f_port=7, f_cnt=None)])

    async def decode_later(self) -> None:
        await self.ingest.decode_later(await later.list_due(self.db))

    async def status(self) -> str:
        return (await devices.get_display(self.db, DISPLAY)).sync_status


async def add_type(db: Connection, engine: Sandbox, states: Mapping[str, Any] = STATES) -> Any:
    new = types.NewDeviceType("acme_signal", "Acme", "Signal", 3600)
    return await types.create_display_type(by(db), engine, "signal", new, states=states)


@pytest.fixture
async def engine(db: Connection) -> AsyncIterator[Sandbox]:
    sandbox = Sandbox(workers=1)
    yield sandbox
    await sandbox.close()


@pytest.fixture
async def codec(db: Connection, engine: Sandbox) -> versions.Version:
    await versions.create_codec(by(db), "signal", SOURCE, mapping=MAPPING, examples=EXAMPLES)
    await versions.activate_codec(by(db, now=datetime.fromisoformat("2026-11-24T08:00Z")), engine, "signal", 1)
    return await versions.get_codec(db, "signal")


@pytest.fixture
async def stage(db: Connection, pool: Pool, engine: Sandbox, codec: versions.Version) -> Stage:
    await add_type(db, engine)
    clock, network = Clock(await db.fetchval("SELECT clock_timestamp()")), NetworkServer(reports_queue=None)
    loop = LoopPolicy()
    await devices.register_display(by(db), DISPLAY, device_type="acme_signal")
    stage = Stage(
        db, clock, network, Relay(pool, network, clock, loop), Ingest(pool, clock, Policies(loop=loop), engine), engine
    )
    await spaces.create_space(stage.change, "A-1", display=DISPLAY, default_state="FREE")
    return stage


async def test_a_light_receives_the_codes_of_its_codec_and_proves_them_by_decoded_reports(stage: Stage) -> None:
    sent = await stage.deliver()
    assert (sent.data.hex(), sent.f_port) == (CODES["FREE"], 7)
    assert await stage.status() == "pending"
    await stage.report("0a24")  # no light in it: no proof
    assert await stage.status() == "pending"
    await stage.report("2001")
    assert await stage.status() == "in_sync"
    assert await stage.db.fetchval("SELECT status FROM actuations") == "shown"
    findings = {f.check: f.ok for f in await doctor.examine(stage.db, now=stage.clock.now(), policy=POLICY)}
    assert findings["displays in sync"]


async def test_a_light_that_shows_another_code_is_sent_the_desired_code_again(stage: Stage) -> None:
    await stage.deliver()
    await stage.report("2001")
    await stage.report("2000")  # off: the light of no state
    assert await stage.status() == "drifted"
    stage.clock.tick(60)
    assert (await stage.deliver()).data.hex() == CODES["FREE"]
    await stage.report("2001")
    assert await stage.status() == "in_sync"


async def test_a_codec_that_loops_keeps_nothing_but_its_own_uplink(stage: Stage) -> None:
    await stage.deliver()
    await stage.report("ee01")
    await stage.decode_later()
    await stage.report("2001")
    await stage.decode_later()
    assert await stage.status() == "in_sync"
    rows = await stage.db.fetch("SELECT outcome, error FROM uplinks ORDER BY received_at")
    assert [row["outcome"] for row in rows] == ["not_decodable", "display_report"]
    assert rows[0]["error"].startswith("codec_timeout")


async def test_a4_a_report_that_is_decoded_later_proves_the_light(stage: Stage) -> None:
    await stage.deliver()
    for pid in stage.engine.pids:
        os.kill(pid, signal.SIGSTOP)
    await stage.report("2001")
    assert await stage.status() == "pending"
    assert await stage.db.fetchval("SELECT outcome FROM uplinks") == "to_decode"
    await stage.decode_later()
    assert await stage.status() == "in_sync"
    assert await stage.db.fetchval("SELECT outcome FROM uplinks") == "display_report"


async def test_a4_a_report_that_is_decoded_later_does_not_turn_back_a_newer_one(stage: Stage) -> None:
    await stage.deliver()
    for pid in stage.engine.pids:
        os.kill(pid, signal.SIGSTOP)
    await stage.report("2002")  # red
    await stage.report("2001")
    assert await stage.status() == "in_sync"
    await stage.decode_later()
    assert await stage.status() == "in_sync"
    outcomes = await stage.db.fetch("SELECT outcome FROM uplinks ORDER BY received_at")
    assert [row["outcome"] for row in outcomes] == ["stale", "display_report"]


async def test_without_a_mapping_a_transmission_by_a_gateway_is_the_best_proof(
    stage: Stage, db: Connection, engine: Sandbox
) -> None:
    await versions.create_codec(by(db), "mute", SOURCE, mapping=None, examples=EXAMPLES[:1])
    await versions.activate_codec(by(db, now=stage.clock.now()), engine, "mute", 1)
    kind = await types.create_display_type(
        by(db),
        engine,
        "mute",
        types.NewDeviceType("mute_signal", manufacturer="A", model="B", uplink_interval_s=60),
        states=STATES,
    )
    assert kind.default_config["reports"] is False
    await stage.deliver()
    mute = "70b3d50000000002"
    await devices.register_display(by(db), mute, device_type="mute_signal")
    await spaces.assign(stage.change, "A-1", display=mute, reason="swap")
    sent = (await stage.relay.send_due(), stage.network.accepted[-1])[1]
    assert (sent.dev_eui, sent.data.hex()) == (mute, CODES["FREE"])
    item = stage.network.items[DevEui(mute)][-1].id
    await stage.ingest.store_batch([TxAck(DevEui(mute), item, 1, None, "gw", stage.clock.tick(1))])
    assert (await devices.get_display(db, mute)).sync_status == "in_sync"


async def test_only_codes_of_the_type_are_accepted(stage: Stage) -> None:
    with pytest.raises(InputError, match="OCCUPIED: 'ff' is not a code of this display's type: FREE 1001"):
        await device_settings.set_display_codes(stage.change, DISPLAY, {"OCCUPIED": "ff"})
    with pytest.raises(InputError, match="orange"):
        await device_settings.set_display_codes(stage.change, DISPLAY, {"OCCUPIED": "orange"})
    changed = await device_settings.set_display_codes(stage.change, DISPLAY, {"RESERVED": "1002"})
    assert changed.display_codes == {**CODES, "RESERVED": "1002"}
    assert changed.warnings == ["OCCUPIED has the code of RESERVED: they look alike"]
    with pytest.raises(InputError, match="brick"):
        await display_commands.send_command(by(stage.db, now=stage.clock.now()), DISPLAY, "ff", reason="try")


async def test_a_pattern_is_a_light_of_another_state(stage: Stage) -> None:
    await stage.deliver()
    await stage.report("2001")
    test = await device_tests.create_pattern_test(by(stage.db, now=stage.clock.now()), DISPLAY)
    assert test.code == CODES["UNKNOWN"]
    await stage.deliver()
    await stage.report("2003")
    assert (await device_tests.get_test(stage.db, test.id, now=stage.clock.now())).result == "passed"


@pytest.mark.parametrize(
    ("colour", "words"),
    [
        ("loop", "FREE: .*longer"),
        ("nothing", "FREE: .*bytes"),
        ("error", "FREE: no such light"),
        ("elsewhere", "different FPorts"),
    ],
)
async def test_b18_a_state_that_the_codec_cannot_encode_makes_no_type(
    db: Connection, engine: Sandbox, codec: versions.Version, colour: str, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        await add_type(db, engine, states={"FREE": {"colour": colour}, "OCCUPIED": {"colour": "red"}})
    assert await db.fetchval("SELECT count(*) FROM device_types WHERE code = 'acme_signal'") == 0


@pytest.mark.parametrize("states", [{}, {"GREEN": {"colour": "green"}}])
async def test_unknown_states_are_refused(
    db: Connection, engine: Sandbox, codec: versions.Version, states: dict[str, Any]
) -> None:
    with pytest.raises(InputError, match="FREE, OCCUPIED"):
        await add_type(db, engine, states=states)


@pytest.mark.parametrize(
    ("source", "mapping", "words"),
    [
        (SOURCE.replace("'off', 'green', 'red'", "'green', 'off', 'red'"), MAPPING, "other codes"),
        (SOURCE, None, "other reports"),
        (SOURCE.replace("=== 'loop'", "!== 'red'"), MAPPING, "acme_signal: FREE"),
    ],
)
async def test_a_version_that_makes_other_codes_stays_inactive(
    stage: Stage, source: str, mapping: dict[str, Any] | None, words: str
) -> None:
    await versions.create_codec(by(stage.db), "signal", source, mapping=mapping, examples=EXAMPLES[:1])
    with pytest.raises(ConflictError, match=words):
        await versions.activate_codec(by(stage.db, now=stage.clock.now()), stage.engine, "signal", 2)
    assert (await versions.get_codec(stage.db, "signal")).version == 1


async def test_a5_a_state_that_is_encoded_like_free_makes_no_type(
    db: Connection, engine: Sandbox, codec: versions.Version
) -> None:
    states = STATES | {"UNKNOWN": {"colour": "green"}}
    with pytest.raises(InputError, match=r"UNKNOWN has the code of FREE|FREE has the code of UNKNOWN") as raised:
        await add_type(db, engine, states=states)
    assert raised.value.code == "lights_alike"
    new = types.NewDeviceType("acme_signal", "Acme", "Signal", 3600)
    made = await types.create_display_type(by(db), engine, "signal", new, states=states, allow_alike=True)
    assert made.default_config["allow_alike"] is True
    after = await db.fetchval("SELECT after FROM audit_log WHERE action = 'device_type.create'")
    assert after["allow_alike"] is True
    display, _ = await devices.register_display(by(db), DISPLAY, device_type="acme_signal")
    assert display.alike_allowed
    found = await doctor.examine(db, now=datetime.fromisoformat("2026-11-24T08:00Z"), policy=POLICY)
    (finding,) = [f for f in found if f.check == "lights"]
    assert not finding.ok
    assert DISPLAY in finding.detail


async def test_a5_a_report_that_stands_for_free_and_another_state_makes_no_type(
    db: Connection, engine: Sandbox
) -> None:
    mapping = {"field": "light", "states": {"FREE": ["green"], "OCCUPIED": ["red", "GREEN"]}}
    await versions.create_codec(by(db), "signal", SOURCE, mapping=mapping, examples=EXAMPLES[:1])
    await versions.activate_codec(by(db, now=datetime.fromisoformat("2026-11-24T08:00Z")), engine, "signal", 1)
    with pytest.raises(InputError, match="proves no light") as raised:
        await add_type(db, engine)
    assert raised.value.code == "lights_alike"


async def test_an_example_proves_the_mapping_too(db: Connection, engine: Sandbox) -> None:
    wrong = [{**EXAMPLES[1], "shows": "OCCUPIED"}]
    await versions.create_codec(by(db), "signal", SOURCE, mapping=MAPPING, examples=wrong)
    with pytest.raises(InputError, match="the mapping gives FREE, not OCCUPIED"):
        await versions.activate_codec(by(db, now=datetime.fromisoformat("2026-11-24T08:00Z")), engine, "signal", 1)


@pytest.mark.parametrize(
    "mapping",
    [
        {"field": "light", "states": {}},
        {"field": "light", "states": {"GREEN": ["green"]}},
        {"field": "light", "states": {"FREE": []}},
        {"field": "light", "states": {"FREE": ["green"]}, "occupied": [1]},
        {"field": "light", "states": {"FREE": ["green"]}, "f_ports": [0]},
    ],
)
async def test_a_malformed_mapping_is_refused(db: Connection, mapping: dict[str, Any]) -> None:
    with pytest.raises(BaylightError, match="mapping"):
        await versions.create_codec(by(db), "signal", SOURCE, mapping=mapping, examples=[])
