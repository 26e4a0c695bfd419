"""Clients of the brokers and network servers that the settings name, and the socket of our API."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from pydantic import SecretStr

from baylight.app.connections import consumers, inbound, listen, mqtt_consumer, network_servers
from baylight.app.intake import Intake
from baylight.errors import InputError
from baylight.settings import Settings


async def nothing(*_: object) -> None: ...


INTAKE = Intake(nothing, lambda: None)


def test_the_api_listens_on_an_ipv4_address() -> None:
    with listen(Settings(http_host="127.0.0.1", http_port=0)) as listener:
        socket.create_connection(listener.getsockname(), timeout=5).close()


def test_the_api_listens_on_an_ipv6_address() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"this machine has no IPv6: {error}")
    with listen(Settings(http_host="::1", http_port=0)) as listener:
        socket.create_connection(listener.getsockname()[:2], timeout=5).close()


def test_brokers_and_servers_that_the_settings_do_not_name_are_not_set_up() -> None:
    nowhere = Settings(mqtt_host="")
    assert consumers(nowhere, INTAKE) == network_servers(nowhere, {}) == inbound(nowhere, INTAKE) == {}


async def test_downlinks_go_by_the_broker_unless_an_api_is_set() -> None:
    by_mqtt = Settings(tts_mqtt_host="tts.example", tts_mqtt_user="garage@ttn", tts_mqtt_key=SecretStr("key"))
    found = consumers(by_mqtt, INTAKE, tts_devices="one/up")
    assert [(name, consumer.topic) for name, consumer in found.items()] == [
        ("broker", "application/+/device/+/event/+"),
        ("the_things_stack", "v3/garage@ttn/devices/one/up"),
    ]
    assert list(network_servers(by_mqtt, found)) == ["chirpstack", "tts"]

    by_api = {"chirpstack_api": "chirpstack.example:8080", "tts_api": "https://tts.example"}
    with pytest.raises(InputError, match="CHIRPSTACK_API_KEY"):
        network_servers(Settings(mqtt_host="", chirpstack_api=by_api["chirpstack_api"]), {})
    keys = {"chirpstack_api_key": SecretStr("key"), "tts_api_key": SecretStr("key")}
    names = {"tts_api_application": "garage", "tts_api_webhook": "baylight"}
    settings = Settings().model_copy(update={"mqtt_host": ""} | by_api | keys | names)
    assert list(network_servers(settings, {})) == ["chirpstack", "tts"]


def test_a_webhook_is_set_up_by_its_secret() -> None:
    secret = SecretStr("sixteen characters")
    assert list(inbound(Settings(chirpstack_http_secret=secret, tts_webhook_secret=secret), INTAKE)) == [
        "chirpstack",
        "tts",
    ]


@pytest.mark.parametrize("name", ["mqtt_ca", "mqtt_client_cert"])
def test_a_certificate_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    for content in (None, "junk"):
        file = tmp_path / "file.pem"
        if content:
            file.write_text(content)
        settings = Settings(mqtt_tls=True).model_copy(update={name: file})
        with pytest.raises(InputError, match=f"BAYLIGHT_{name.upper()}.*{file}"):
            mqtt_consumer(settings, INTAKE)


def test_certificates_without_tls_are_refused_since_nothing_would_be_encrypted() -> None:
    with pytest.raises(InputError, match="BAYLIGHT_MQTT_TLS=true"):
        mqtt_consumer(Settings(mqtt_ca=Path("/etc/ca.pem")), INTAKE)


def test_a_port_in_use_and_an_address_of_another_machine_are_named_with_their_settings() -> None:
    with (
        listen(Settings(http_host="127.0.0.1", http_port=0)) as used,
        pytest.raises(InputError, match=r"\(Address already in use\): set BAYLIGHT_HTTP_PORT"),
    ):
        listen(Settings(http_host="127.0.0.1", http_port=used.getsockname()[1]))
    with pytest.raises(InputError, match="BAYLIGHT_HTTP_HOST"):
        listen(Settings(http_host="192.0.2.1", http_port=0))
