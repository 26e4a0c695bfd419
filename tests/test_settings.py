"""Settings that become part of a topic or of a client id."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from baylight import settings
from baylight.domain import address
from baylight.settings import Settings

BAD_LEVELS = ["#", "+", "a/b", "a\0", "a\n", "a b", "\ud800", "x" * 101, "\x85", "ä"]


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
