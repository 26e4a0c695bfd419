"""Address and TLS of ChirpStack's API, and the silence of gRPC's own log."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from baylight.errors import InputError, TransientError
from baylight.lab.embedded.broker import free_port
from baylight.lns.chirpstack.channel import Api
from baylight.lns.chirpstack.devices import ChirpStackDevices
from baylight.lns.chirpstack.downlinks import ChirpStackGrpc
from tests.support.chirpstack_api import OURS, KeyedServer, serving


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Make a CA and a server's certificate; return the files of the CA, of the private key and of the certificate."""
    if shutil.which("openssl") is None:
        pytest.skip("install openssl to run this test")
    folder = tmp_path_factory.mktemp("tls")
    ca_key, ca, key, request, certificate, names = (
        folder / name for name in ("ca.key", "ca.pem", "server.key", "server.csr", "server.pem", "names")
    )
    names.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost")
    new = ("openssl", "req", "-newkey", "rsa:2048", "-nodes", "-batch")
    for command in (
        [*new, "-x509", "-days", "2", "-subj", "/CN=Own CA", "-keyout", ca_key, "-out", ca],
        [*new, "-subj", "/CN=chirpstack", "-keyout", key, "-out", request],
        ["openssl", "x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-days", "2",
         "-extfile", names, "-out", certificate],
    ):  # fmt: skip
        subprocess.run(command, check=True, capture_output=True)
    return ca, key, certificate


async def test_i9_an_api_behind_tls_with_an_own_ca_is_used(certificates: tuple[Path, Path, Path]) -> None:
    ca, key, certificate = certificates
    async with serving(KeyedServer({"2020200000000001": OURS}), certificate=(key, certificate)) as server:
        client = ChirpStackGrpc(server.target, "key", tls=True, ca=ca, timeout_s=5)
        await client.ping()
        await client.close()
        source = ChirpStackDevices(Api(server.target, "key", tls=True, ca=ca))
        assert [device async for device in source.devices([OURS], None)] == []


async def test_i9_a_server_whose_ca_is_not_trusted_is_not_used(certificates: tuple[Path, Path, Path]) -> None:
    _, key, certificate = certificates
    async with serving(KeyedServer({}), certificate=(key, certificate)) as server:
        for tls in (True, False):
            client = ChirpStackGrpc(server.target, "key", tls=tls, timeout_s=2)
            with pytest.raises(TransientError, match="does not answer"):
                await client.ping()
            await client.close()


def test_i9_a_ca_that_is_missing_or_no_certificate_or_useless_is_named(tmp_path: Path) -> None:
    junk = tmp_path / "junk.pem"
    junk.write_text("junk")
    broken = tmp_path / "broken.pem"
    broken.write_text("-----BEGIN CERTIFICATE-----\njunk\n-----END CERTIFICATE-----\n")
    for file in (junk, broken, tmp_path / "missing.pem", tmp_path):
        with pytest.raises(InputError, match=f"BAYLIGHT_CHIRPSTACK_API_CA {file}"):
            Api("chirpstack.example:8080", "key", tls=True, ca=file).channel()
    with pytest.raises(InputError, match="BAYLIGHT_CHIRPSTACK_API_TLS=true"):
        Api("chirpstack.example:8080", "key", ca=junk)


@pytest.mark.parametrize(
    "target",
    ["chirpstack:8080", "chirpstack.example.org:443", "127.0.0.1:1", "[::1]:8080", "cs_1.internal:65535", "a:8080"],
)
def test_i14_host_and_port_are_accepted(target: str) -> None:
    assert Api(target, "key").target == target


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("http://chirpstack:8080", "is a URL: write host:port alone"),
        ("https://chirpstack", "is a URL.*BAYLIGHT_CHIRPSTACK_API_TLS=true"),
        ("dns:///chirpstack:8080", "is a URL"),
        ("unix:///run/chirpstack", "is a URL"),
        ("chirpstack", "has no port"),
        ("chirpstack:", "has no port"),
        ("127.0.0.1", "has no port"),
        ("[::1]", "has no port"),
        ("::1:8080", "in brackets"),
        ("chirpstack:eighty", "is not host:port"),
        ("chirpstack:0", "outside 1 to 65535"),
        ("chirpstack:65536", "outside 1 to 65535"),
        ("chirpstack:8080/api", "is not host:port"),
        (" chirpstack:8080", "has a space"),
        ("chirpstack: 8080", "has a space"),
        ("chirpstack:8080\n", "has a space"),
        ("a,b:8080", "is not host:port"),
        (":8080", "is not host:port"),
    ],
)
def test_i14_another_address_is_refused_with_a_sentence_that_names_the_setting(target: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        ChirpStackGrpc(target, "key")
    assert caught.value.message.startswith("BAYLIGHT_CHIRPSTACK_API: ")
    assert caught.value.code == "bad_chirpstack_api"


def test_i14_a_password_in_the_address_is_not_repeated() -> None:
    with pytest.raises(InputError) as caught:
        Api("https://admin:secret@chirpstack:8080", "key")
    assert "secret" not in caught.value.message


def test_i14_grpc_writes_nothing_to_the_terminal(certificates: tuple[Path, Path, Path]) -> None:
    """A closed port, and a server without TLS that is asked with TLS."""
    script = f"""
import asyncio
from baylight.errors import TransientError
from baylight.log import configure
from baylight.lns.chirpstack.downlinks import ChirpStackGrpc
from tests.support.chirpstack_api import KeyedServer, serving

async def main():
    configure()
    async with serving(KeyedServer({{}})) as server:
        for target, tls in (("127.0.0.1:{free_port()}", False), (server.target, True), (server.target, False)):
            client = ChirpStackGrpc(target, "key", tls=tls, timeout_s=1)
            try:
                await client.ping()
            except TransientError:
                pass
            await client.close()

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert (done.stdout, done.stderr) == ("", "")
