"""The port of the API and the live page."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from baylight.app.connections import listen, mqtt_consumer
from baylight.app.intake import Intake
from baylight.errors import InputError
from baylight.settings import Settings


async def nothing(*_: object) -> None: ...


INTAKE = Intake(nothing, lambda: None)


def test_it_listens_on_an_ipv4_address() -> None:
    with listen(Settings(http_host="127.0.0.1", http_port=0)) as listener:
        socket.create_connection(listener.getsockname(), timeout=5).close()


def test_it_listens_on_an_ipv6_address() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"this machine has no IPv6: {error}")
    with listen(Settings(http_host="::1", http_port=0)) as listener:
        socket.create_connection(listener.getsockname()[:2], timeout=5).close()


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


def test_a_taken_port_and_an_address_of_another_machine_are_named_with_their_settings() -> None:
    with (
        listen(Settings(http_host="127.0.0.1", http_port=0)) as taken,
        pytest.raises(InputError, match=r"\(Address already in use\): set BAYLIGHT_HTTP_PORT"),
    ):
        listen(Settings(http_host="127.0.0.1", http_port=taken.getsockname()[1]))
    with pytest.raises(InputError, match="BAYLIGHT_HTTP_HOST"):
        listen(Settings(http_host="192.0.2.1", http_port=0))
