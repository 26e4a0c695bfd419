"""B16: keys, passwords and tokens were committed."""

from __future__ import annotations

import secrets
import subprocess
from pathlib import Path

import pytest

from tests import secrets_scan

# Put together here, so that this file holds none.
PLANTED = {
    "a private key": "-----BEGIN EC " + "PRIVATE KEY-----",
    "an API key of Baylight": "key: bl_" + "a1b2c3d4_" + secrets.token_urlsafe(32),
    "a token (ChirpStack's API keys are such)": "eyJ" + "0eXAiOiJKV1Qi.eyJ" + "hdWQiOiJjaGly.QmF5bGlnaHRzVGVzdFNpZw",
    "an API key of The Things Stack": "NNSXS." + "A" * 39 + "." + "B" * 52,
    "an access key of AWS": "AKIA" + "IOSFODNN7EXAMPLE",
    "a token of GitHub, GitLab or Slack": "ghp_" + "a1" * 18,
    "a bcrypt hash": "$2b$12$" + "a" * 53,
    "a password in an address": "postgresql://baylight:" + "Xy7-pass@db.example/baylight",
    "a password that is assigned": "export BAYLIGHT_MQTT_PASSWORD=" + "s3cr3t-and-long-enough",
}  # fmt: skip


def test_b16_nothing_that_is_tracked_holds_a_secret() -> None:
    assert [line for name in secrets_scan.files() for line in _of(name)] == []


def _of(name: str) -> list[str]:
    return list(secrets_scan.found(name, (secrets_scan.ROOT / name).read_text("utf-8", "replace")))


@pytest.mark.parametrize("kind", secrets_scan.KINDS)
def test_b16_a_planted_secret_of_each_kind_is_found_and_not_repeated(kind: str) -> None:
    assert list(secrets_scan.found("docs/x.md", f"some text\n{PLANTED[kind]}\n")) == [f"docs/x.md:2: {kind}"]


@pytest.mark.parametrize("path", [".env", "deploy/.env.production", "certs/server.key", "id_ed25519", "a.pem"])
def test_b16_a_file_for_secrets_is_found_by_its_name(path: str) -> None:
    assert list(secrets_scan.found(path, "")) == [f"{path}: a file for secrets"]


@pytest.mark.parametrize(
    "line", ["password = settings.mqtt_password", "BAYLIGHT_MQTT_PASSWORD=…", "postgresql://u:secret@db/x"]
)
def test_a_place_for_a_secret_is_none(line: str) -> None:
    assert list(secrets_scan.found("README.md", line)) == []


def test_the_command_fails_where_one_is_planted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    monkeypatch.setattr(secrets_scan, "ROOT", tmp_path)
    (tmp_path / "notes.txt").write_text("nothing\n")
    assert secrets_scan.main() == 0
    (tmp_path / "notes.txt").write_text(PLANTED["a private key"])
    assert secrets_scan.main() == 1
    assert "notes.txt:1: a private key" in capsys.readouterr().out
