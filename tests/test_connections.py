"""The port of the API and the live page."""

from __future__ import annotations

import socket

import pytest

from baylight.connections import listen
from baylight.errors import InputError
from baylight.settings import Settings


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


def test_a_taken_port_and_an_address_of_another_machine_are_named_with_their_settings() -> None:
    with (
        listen(Settings(http_host="127.0.0.1", http_port=0)) as taken,
        pytest.raises(InputError, match="BAYLIGHT_HTTP_PORT"),
    ):
        listen(Settings(http_host="127.0.0.1", http_port=taken.getsockname()[1]))
    with pytest.raises(InputError, match="BAYLIGHT_HTTP_HOST"):
        listen(Settings(http_host="192.0.2.1", http_port=0))
