"""Refusals of ChirpStack's API: an absent device and each fault of a key are told apart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from baylight.domain.downlink import Downlink
from baylight.domain.ids import DevEui
from baylight.errors import BaylightError, PermanentError, TransientError
from baylight.lab.embedded.broker import EmbeddedBroker
from baylight.lab.sim.api import Key as FakeKey
from baylight.lab.sim.chirpstack import FakeChirpStack
from baylight.lns.chirpstack.downlinks import ChirpStackGrpc
from tests.support.chirpstack_api import OURS, THEIRS, Key, KeyedServer, serving

LAMP, OTHER_LAMP, ABSENT, FOREIGN = (DevEui(f"202000000000000{n}") for n in range(1, 5))
FAULTS = {
    Key.DELETED: "deleted",
    Key.READ_ONLY: "read_only",
    Key.OTHER_TENANT: "other_tenant",
    Key.GARBAGE: "unreadable",
}


@pytest.fixture
async def server() -> AsyncIterator[KeyedServer]:
    async with serving(KeyedServer({LAMP: OURS, OTHER_LAMP: OURS, FOREIGN: THEIRS})) as server:
        yield server


@pytest.fixture
async def chirpstack(server: KeyedServer) -> AsyncIterator[ChirpStackGrpc]:
    client = ChirpStackGrpc(server.target, "the-key", timeout_s=2)
    yield client
    await client.close()


def downlink(dev_eui: DevEui, *, reported: bool = True) -> Downlink:
    expires_at = datetime(2026, 11, 24, 10, tzinfo=UTC)
    return Downlink(uuid4(), dev_eui, 15, b"\1", False, expires_at, OURS, reported=reported)


async def ping(chirpstack: ChirpStackGrpc, reported: dict[DevEui, str]) -> None:
    chirpstack.reported.clear()
    chirpstack.reported.update(reported)
    await chirpstack.ping()


async def refused(chirpstack: ChirpStackGrpc, dev_eui: DevEui, *, reported: bool = True) -> BaylightError:
    with pytest.raises(BaylightError) as caught:
        await chirpstack.enqueue(downlink(dev_eui, reported=reported))
    return caught.value


@pytest.mark.parametrize("key", FAULTS)
async def test_i4_a_fault_of_the_key_is_no_fault_of_the_only_lamp(
    server: KeyedServer, chirpstack: ChirpStackGrpc, key: Key
) -> None:
    server.key = key
    error = await refused(chirpstack, LAMP)
    assert isinstance(error, TransientError)
    assert (error.code, error.facts["cause"]) == ("network_server_key_refused", FAULTS[key])
    assert "BAYLIGHT_CHIRPSTACK_API_KEY" in error.message


@pytest.mark.parametrize("key", FAULTS)
async def test_i4_a_key_that_loses_its_rights_while_it_is_used_is_recognized(
    server: KeyedServer, chirpstack: ChirpStackGrpc, key: Key
) -> None:
    await chirpstack.enqueue(downlink(LAMP))
    await chirpstack.enqueue(downlink(OTHER_LAMP))
    server.key = key
    assert (await refused(chirpstack, LAMP)).facts["cause"] == FAULTS[key]


@pytest.mark.parametrize("key", [Key.TENANT, Key.ADMIN])
async def test_i4_a_single_lamp_that_is_refused_while_others_work_is_absent_there(
    server: KeyedServer, chirpstack: ChirpStackGrpc, key: Key
) -> None:
    server.key = key
    await chirpstack.enqueue(downlink(LAMP))
    for gone in (ABSENT, FOREIGN) if key is Key.TENANT else (ABSENT,):
        error = await refused(chirpstack, gone)
        assert (type(error), error.code) == (PermanentError, "device_not_known")
    await chirpstack.enqueue(downlink(OTHER_LAMP))


async def test_i4_two_lamps_that_were_deleted_there_do_not_accuse_the_key(
    server: KeyedServer, chirpstack: ChirpStackGrpc
) -> None:
    server.devices = {OTHER_LAMP: OURS}
    assert [(await refused(chirpstack, lamp)).code for lamp in (LAMP, ABSENT)] == ["device_not_known"] * 2


async def test_i4_a_lamp_that_chirpstack_never_reported_does_not_accuse_the_key(
    server: KeyedServer, chirpstack: ChirpStackGrpc
) -> None:
    server.key = Key.OTHER_TENANT
    for lamp in (LAMP, OTHER_LAMP):
        assert (await refused(chirpstack, lamp, reported=False)).code == "device_not_known"


async def test_i4_where_nothing_can_be_asked_two_reported_lamps_accuse_the_key(
    server: KeyedServer, chirpstack: ChirpStackGrpc
) -> None:
    server.old, server.key = True, Key.DELETED
    assert (await refused(chirpstack, LAMP)).code == "device_not_known"
    error = await refused(chirpstack, OTHER_LAMP)
    assert (error.code, error.facts["cause"]) == ("network_server_key_refused", "deleted_or_other_tenant")


async def test_i4_a_known_fault_is_not_asked_for_again_by_each_lamp(
    server: KeyedServer, chirpstack: ChirpStackGrpc
) -> None:
    server.key = Key.DELETED
    await refused(chirpstack, LAMP)
    before = len(server.calls)
    for _ in range(50):
        await refused(chirpstack, OTHER_LAMP)
    assert len(server.calls) == before


async def test_i4_a_ping_ends_the_fault_once_the_key_is_repaired(
    server: KeyedServer, chirpstack: ChirpStackGrpc
) -> None:
    server.key = Key.READ_ONLY
    await refused(chirpstack, LAMP)
    server.key = Key.TENANT
    await ping(chirpstack, {LAMP: OURS})
    await chirpstack.enqueue(downlink(LAMP))


@pytest.mark.parametrize("key", FAULTS)
async def test_i4_a_ping_finds_a_fault_of_the_key_though_nothing_is_to_be_sent(
    server: KeyedServer, chirpstack: ChirpStackGrpc, key: Key
) -> None:
    server.key = key
    with pytest.raises(TransientError) as caught:
        await ping(chirpstack, {LAMP: OURS})
    assert caught.value.facts["cause"] == FAULTS[key]
    assert server.accepted == []


@pytest.mark.parametrize("key", [Key.TENANT, Key.ADMIN])
async def test_i4_a_ping_accepts_a_good_key_even_if_displays_were_deleted_there(
    server: KeyedServer, chirpstack: ChirpStackGrpc, key: Key
) -> None:
    server.key = key
    await chirpstack.ping()
    await ping(chirpstack, {LAMP: OURS})
    await ping(chirpstack, {ABSENT: OURS, LAMP: OURS})
    await ping(chirpstack, {ABSENT: OURS})
    assert server.accepted == []


async def test_i4_without_reported_displays_a_ping_still_finds_a_deleted_key(
    server: KeyedServer, chirpstack: ChirpStackGrpc
) -> None:
    server.key = Key.DELETED
    with pytest.raises(TransientError, match="deleted"):
        await chirpstack.ping()


@pytest.mark.parametrize(
    ("key", "cause"),
    [
        (FakeKey("ChirpStack", deleted=True), "deleted"),
        (FakeKey("ChirpStack", read_only=True), "read_only"),
        (FakeKey("Somebody else"), "other_tenant"),
        (None, "unreadable"),
    ],
)
async def test_i4_the_simulated_chirpstack_has_the_same_faults(
    broker: EmbeddedBroker, key: FakeKey | None, cause: str
) -> None:
    fake = FakeChirpStack(broker.host, broker.port)
    fake.add_device(LAMP, class_c=True)
    await fake.start()
    client = ChirpStackGrpc(fake.grpc_target, fake.api_key, timeout_s=2)
    try:
        await client.enqueue(replace(downlink(LAMP), application_id=fake.application_id))
        if key is None:
            del fake.keys[fake.api_key]
        else:
            fake.keys[fake.api_key] = key
        with pytest.raises(TransientError) as caught:
            await client.ping()
        assert (caught.value.code, caught.value.facts["cause"]) == ("network_server_key_refused", cause)
    finally:
        await client.close()
        await fake.stop()
