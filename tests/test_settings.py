"""Settings that become part of a topic or of a client id."""

from __future__ import annotations

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from baylight import settings
from baylight.cli.main import app
from baylight.domain import address
from baylight.settings import Settings

BAD_LEVELS = ["#", "+", "a/b", "a\0", "a\n", "a b", "\ud800", "x" * 101, "\x85", "ä"]

HIDDEN = "ter2"


@pytest.mark.parametrize("name", ["mqtt_client_id", "mqtt_share_group", "tts_mqtt_user", "tts_api_application"])
@pytest.mark.parametrize("bad", BAD_LEVELS)
def test_b2_a_name_that_no_topic_can_carry_is_refused(name: str, bad: str) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({name: bad})
    assert getattr(Settings.model_validate({name: "garage@ttn"}), name) == "garage@ttn"


def test_b2_a_client_id_is_needed() -> None:
    with pytest.raises(ValidationError, match="client id is needed"):
        Settings(mqtt_client_id="")


@pytest.mark.parametrize(
    "bad", ["", "a/#/b", "a#", "a+/b", "a/+b", "a\0", "a\x7f", "\ud800", "x" * 501, "$share/g/application/#"]
)
def test_b2_a_topic_that_is_no_filter_is_refused(bad: str) -> None:
    with pytest.raises(ValidationError):
        Settings(mqtt_topic=bad)


@pytest.mark.parametrize("good", ["#", "application/+/device/+/event/+", "/a b/ä/#", "garage/application/0b7e/#"])
def test_b2_a_filter_is_accepted(good: str) -> None:
    assert Settings(mqtt_topic=good).mqtt_topic == good


def test_b3_accepted_applications_are_a_list() -> None:
    assert Settings().applications == frozenset()
    assert Settings(chirpstack_applications=" a-1 , b-2,").applications == {"a-1", "b-2"}
    for bad in ("a/b", "a,#", "a b"):
        with pytest.raises(ValidationError, match="separated by commas"):
            Settings(chirpstack_applications=bad)


def test_the_settings_and_the_domain_have_one_form_of_a_level() -> None:
    assert settings._LEVEL.pattern == address.LEVEL


PASSWORDS = ["77#zork", "77/zork", "77?zork", "77?x=zork", "zo#rk", "zo/rk", "[zork", "zork]", "77 zork"]


@pytest.mark.parametrize("password", PASSWORDS)
@pytest.mark.parametrize("host", ["db.example/baylight", "127.0.0.1:1/baylight?sslmode=disable", "[::1]:1/x"])
def test_f10_no_part_of_a_password_is_in_an_error(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], password: str, host: str
) -> None:
    monkeypatch.setenv("BAYLIGHT_DATABASE_URL", f"postgresql://anna:{password}@{host}")
    for command in ("serve", "doctor"):
        result = CliRunner().invoke(app, [command])
        shown = result.output + str(result.exception or "") + "".join(capfd.readouterr())
        assert "BAYLIGHT_DATABASE_URL" in shown, command
        assert not any(part in shown for part in ("77", "zo", "rk]")), command


def test_f10_an_encoded_password_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    for url in (
        f"postgresql://anna:12%23%2F%3F%40%5B%25{HIDDEN}@db.example:5432/baylight?sslmode=require&application_name=x",
        f"postgres://anna:{HIDDEN}@ss:w@[::1]:5432/baylight",
        "postgresql:///baylight?host=/var/run/postgresql",
        "postgresql://a,b:5433/baylight?target_session_attrs=any",
    ):
        monkeypatch.setenv("BAYLIGHT_DATABASE_URL", url)
        assert Settings().dsn() == url


@pytest.mark.parametrize(
    "name", ["MQTT_HOST", "CHIRPSTACK_API", "TTS_MQTT_HOST", "TTS_API", "TTS__ANNEX__API", "TTS__ANNEX__MQTT_HOST"]
)
@pytest.mark.parametrize(
    "url", [f"https://anna:{HIDDEN}@tts.example", f"anna:{HIDDEN}@host:8080", f"https://anna:hun#{HIDDEN}@x"]
)
def test_f10_an_address_with_a_password_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], name: str, url: str
) -> None:
    monkeypatch.setenv("BAYLIGHT_DATABASE_URL", "postgresql://x@127.0.0.1:1/x")
    monkeypatch.setenv(f"BAYLIGHT_{name}", url)
    for command in ("serve", "doctor"):
        result = CliRunner().invoke(app, [command])
        shown = result.output + "".join(capfd.readouterr())
        assert HIDDEN not in shown, command
        assert f"BAYLIGHT_{name}" in shown, command


@pytest.mark.parametrize(
    "name",
    [
        "reserved_soon_s",
        "downlink_ttl_s",
        "report_timeout_s",
        "uplink_retention_months",
        "actuation_retention_months",
        "mqtt_session_expiry_s",
    ],
)
def test_e8_a_time_beyond_the_calendar_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({name: 10**11})
