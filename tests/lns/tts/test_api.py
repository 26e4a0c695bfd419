"""Downlinks to The Things Stack by its HTTP API, on real HTTP."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
from pydantic import SecretStr

from baylight.domain.downlink import Downlink
from baylight.domain.ids import DevEui
from baylight.errors import InputError, PermanentError, TransientError
from baylight.lab.embedded.broker import MosquittoBroker
from baylight.lab.sim.tts.api import KEY, WEBHOOK, http_api
from baylight.lab.sim.tts.server import FakeTheThingsStack
from baylight.lns.tts.api import TtsApi, tts_api
from baylight.lns.tts.downlinks import TtsDownlinks
from baylight.settings import TtsConnection

EUI = DevEui("58a0cb0000110001")
DOWNLINK = Downlink(
    id=UUID("0193a1c2-7f1e-7c3a-8d11-5b5a0e9c4f10"),
    dev_eui=EUI,
    f_port=15,
    data=bytes.fromhex("ff00006400"),
    confirmed=False,
    expires_at=datetime(2026, 11, 24, 8, 16, 30, 123456, tzinfo=UTC),
    application_id="garage/light-017",
    network_server="tts",
)


@pytest.fixture
async def tts(mosquitto: MosquittoBroker) -> AsyncIterator[FakeTheThingsStack]:
    tts = FakeTheThingsStack(mosquitto.host, mosquitto.port)
    tts.add_device(EUI, "light-017")
    await tts.start()
    yield tts
    await tts.stop()


@pytest.fixture
async def base(tts: FakeTheThingsStack) -> AsyncIterator[str]:
    async with http_api(tts) as base:
        yield base


def server(base: str, *, key: str = KEY, application: str = "garage", webhook: str = WEBHOOK) -> TtsDownlinks:
    return TtsDownlinks(TtsApi(base, key, application, webhook).publish, application)


async def test_a_downlink_takes_the_place_of_what_waits_there(tts: FakeTheThingsStack, base: str) -> None:
    item = await server(base).enqueue(DOWNLINK)
    [waiting] = tts.devices["light-017"].queue
    assert (waiting["f_port"], waiting["frm_payload"], waiting["correlation_ids"]) == (15, "/wAAZAA=", [item])
    await server(base).enqueue(replace(DOWNLINK, data=b"\1"))
    assert [downlink["frm_payload"] for downlink in tts.devices["light-017"].queue] == ["AQ=="]


@pytest.mark.parametrize(
    ("given", "downlink", "code", "says"),
    [
        ({"key": "NNSXS.OTHER"}, DOWNLINK, "bad_api_key", "no rights"),
        ({}, replace(DOWNLINK, application_id="garage/light-018"), "device_not_known", "light-018"),
        ({"webhook": "nonsense"}, DOWNLINK, "device_not_known", "webhook not found"),
        ({}, replace(DOWNLINK, f_port=0), "downlink_refused", "invalid f_port"),
    ],
)
async def test_a_refusal_is_reported_in_plain_words(
    tts: FakeTheThingsStack, base: str, given: dict[str, str], downlink: Downlink, code: str, says: str
) -> None:
    with pytest.raises(PermanentError, match=says) as caught:
        await server(base, **given).enqueue(downlink)
    assert caught.value.code == code
    assert tts.devices["light-017"].queue == []


async def test_a_server_that_is_away_is_tried_again(tts: FakeTheThingsStack, base: str) -> None:
    tts.away = True
    with pytest.raises(TransientError, match="503"):
        await server(base).enqueue(DOWNLINK)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(TransientError, match="does not answer"):
        await server(address).enqueue(DOWNLINK)


@pytest.mark.parametrize("base", ["eu1.cloud.thethings.network", "ftp://x", "https://x/api/v3", "https://x:port"])
def test_a_bad_address_is_named(base: str) -> None:
    with pytest.raises(InputError, match="BAYLIGHT_TTS_API"):
        TtsApi(base, KEY, "garage", WEBHOOK)


def test_missing_settings_are_named() -> None:
    assert tts_api(TtsConnection()) is None
    with pytest.raises(InputError, match="TTS_API_WEBHOOK"):
        tts_api(TtsConnection(api="https://x", api_key=SecretStr(KEY), api_application="garage"))
