"""Connection to ChirpStack's gRPC API: the check of its address, TLS, and the key."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from baylight.errors import InputError, shorten

_HOST = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]"
_TARGET = re.compile(rf"(?:{_HOST}):(\d{{1,5}})", re.ASCII)
_NAME = "BAYLIGHT_CHIRPSTACK_API"
# Keepalives detect a dead connection between commands, before the next one fails. A restart of the server is noticed
# within seconds.
_OPTIONS = [
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.max_reconnect_backoff_ms", 5_000),
]


@dataclass(frozen=True, slots=True)
class Api:
    """Address and key of ChirpStack's gRPC API. `target`: host:port. `ca`: file with the CA certificates to trust.

    Raises InputError `bad_chirpstack_api`, `not_encrypted`.
    """

    target: str
    key: str
    tls: bool = False
    ca: Path | None = None

    def __post_init__(self) -> None:
        if reason := _not_host_and_port(self.target):
            raise InputError("bad_chirpstack_api", f"{_NAME}: {reason}")
        if self.ca is not None and not self.tls:
            raise InputError(
                "not_encrypted", f"{_NAME}_CA is set, but nothing is encrypted: set {_NAME}_TLS=true as well"
            )

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.key}"),)

    def channel(self) -> grpc.aio.Channel:
        """Return a channel, which connects by itself. One event loop makes, uses and closes it.

        Raises InputError `bad_tls_files`.
        """
        if not self.tls:
            return grpc.aio.insecure_channel(self.target, options=_OPTIONS)
        credentials = grpc.ssl_channel_credentials(_certificates(self.ca))
        return grpc.aio.secure_channel(self.target, credentials, options=_OPTIONS)


def method(channel: grpc.aio.Channel, path: str, answer: Any) -> Any:
    """Return the function that calls `/api.<path>`. `answer`: type of the answer, None if only its status counts."""
    return channel.unary_unary(
        f"/api.{path}",
        request_serializer=lambda message: message.SerializeToString() if message is not None else b"",
        response_deserializer=answer.FromString if answer is not None else bytes,
    )


def text_of(error: grpc.aio.AioRpcError) -> str:
    """Return the text of an answer, in one line."""
    return " ".join((error.details() or "").replace("\0", "").split())[:500]


def _not_host_and_port(target: str) -> str | None:
    """Return why a text is not host:port, in words; None if it is."""
    if "@" in target:  # it may hold a password
        return "it must be host:port alone, without a user name; the key stands in BAYLIGHT_CHIRPSTACK_API_KEY"
    shown = repr(shorten(target, 100))
    example = "e.g. chirpstack.example:8080"
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:/", target):
        tls = f", and set {_NAME}_TLS=true" if target.lower().startswith("https") else ""
        return f"{shown} is a URL: write host:port alone, {example}{tls}"
    if re.search(r"\s", target):
        return f"{shown} has a space in it: write host:port, {example}"
    found = _TARGET.fullmatch(target)
    if found is None:
        if re.fullmatch(_HOST, target, re.ASCII) or target.endswith(":"):
            return f"{shown} has no port: write host:port, {example} (8080 is ChirpStack's default)"
        return f"{shown} is not host:port, {example} (an IPv6 address stands in brackets)"
    if not 1 <= int(found[1]) <= 65535:
        return f"{shown} has a port outside 1 to 65535"
    return None


def _certificates(ca: Path | None) -> bytes | None:
    if ca is None:
        return None
    try:
        ssl.create_default_context(cafile=ca)  # gRPC would report a file without certificates as an absent server
        return ca.read_bytes()
    except OSError as error:
        raise InputError("bad_tls_files", f"{_NAME}_CA {ca}: {error}") from error
