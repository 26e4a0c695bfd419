"""Address of ChirpStack's API in the commands that use it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from baylight.lab.embedded.broker import free_port
from tests.support.cli import Cli

WRONG = "http://chirpstack:8080"


@pytest.fixture(autouse=True)
def chirpstack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAYLIGHT_MQTT_HOST", "")
    monkeypatch.setenv("BAYLIGHT_CHIRPSTACK_API", WRONG)
    monkeypatch.setenv("BAYLIGHT_CHIRPSTACK_API_KEY", "the-key")


def test_i14_serve_ends_at_once_with_a_sentence_that_names_the_setting() -> None:
    given = os.environ | {"BAYLIGHT_DATABASE_URL": f"postgresql://nobody@127.0.0.1:{free_port()}/none"}
    command = [sys.executable, "-m", "baylight", "serve"]
    done = subprocess.run(command, env=given, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr == (
        f"baylight: BAYLIGHT_CHIRPSTACK_API: {WRONG!r} is a URL: write host:port alone, e.g. chirpstack.example:8080\n"
    )


def test_i14_doctor_and_the_import_name_the_setting(garage: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {finding["check"]: finding for finding in json.loads(garage("doctor", "--json", code=1).stdout)}
    assert found["network server"]["detail"].startswith("BAYLIGHT_CHIRPSTACK_API: ")
    assert garage("import-chirpstack", "--tenant", "x", code=2).stderr.startswith("baylight: BAYLIGHT_CHIRPSTACK_API: ")


def test_i13_without_a_name_the_import_asks_chirpstack_what_the_key_can_see(
    garage: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BAYLIGHT_CHIRPSTACK_API", f"127.0.0.1:{free_port()}")
    assert "does not answer" in garage("import-chirpstack", code=3).stderr
