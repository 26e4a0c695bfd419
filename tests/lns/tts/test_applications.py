"""The choice between applications of The Things Stack."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from baylight.domain.downlink import Downlink
from baylight.domain.ids import DevEui
from baylight.errors import InputError, PermanentError
from baylight.lns.tts.applications import TtsApplications
from baylight.lns.tts.downlinks import TtsDownlinks


def downlink(address: str | None) -> Downlink:
    return Downlink(
        id=UUID("0193a1c2-7f1e-7c3a-8d11-5b5a0e9c4f10"),
        dev_eui=DevEui("58a0cb0000110001"),
        f_port=15,
        data=bytes.fromhex("ff00006400"),
        confirmed=False,
        expires_at=datetime(2026, 11, 24, 8, 16, 30, tzinfo=UTC),
        application_id=address,
        network_server="tts",
    )


def applications(*names: str) -> tuple[TtsApplications, list[str]]:
    """Return applications, and the topics of what they send."""
    topics: list[str] = []

    async def publish(topic: str, payload: bytes) -> None:
        topics.append(topic)

    found = {f"tts_{n}": TtsDownlinks(publish, f"{name}@ttn") for n, name in enumerate(names)}
    return TtsApplications(found), topics


async def test_b7_a_downlink_takes_the_connection_of_its_application() -> None:
    server, sent = applications("garage", "annex")
    assert server.service(downlink("annex/light")) == "tts_1"
    await server.enqueue(downlink("annex/light"))
    assert sent == ["v3/annex@ttn/devices/light/down/replace"]


@pytest.mark.parametrize(
    ("address", "code"),
    [(None, "application_not_known"), ("roof/x", "other_application"), ("roof", "other_application")],
)
async def test_b7_a_downlink_of_no_known_application_is_refused(address: str | None, code: str) -> None:
    server, sent = applications("garage", "annex")
    with pytest.raises(PermanentError) as refused:
        await server.enqueue(downlink(address))
    assert (refused.value.code, sent) == (code, [])


async def test_b7_a_single_connection_accepts_a_device_without_address_and_no_other_application() -> None:
    server, sent = applications("garage")
    await server.enqueue(downlink(None))
    for address in ("annex/light", "annex"):
        with pytest.raises(PermanentError, match="move it there"):
            await server.enqueue(downlink(address))
    assert sent == ["v3/garage@ttn/devices/eui-58a0cb0000110001/down/replace"]


def test_b7_two_connections_of_one_application_are_refused() -> None:
    with pytest.raises(InputError, match="tts_0 and tts_1"):
        applications("garage", "garage")
