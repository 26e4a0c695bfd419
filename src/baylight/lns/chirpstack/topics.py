"""Topics of commands, derived from the topic filter of events."""

from __future__ import annotations

from typing import NamedTuple

from baylight.errors import InputError


class CommandTopic(NamedTuple):
    """Topic of commands. `prefix`: what stands before the application id, e.g. `garage/application`."""

    prefix: str

    def of(self, application_id: str, dev_eui: str, command: str = "down") -> str:
        """Return the topic of a device's commands."""
        return f"{self.prefix}/{application_id}/device/{dev_eui}/command/{command}"


DEFAULT_TOPIC = CommandTopic("application")


def command_topic(event_filter: str) -> CommandTopic:
    """Return the topic of commands that goes with a filter for events, e.g. `garage/application/+/device/+/event/+`.

    ChirpStack's `event_topic` and `command_topic` begin alike. The application id is the level before `device`, or the
    level after `application`. `#` alone gives the topic without a prefix. Raises InputError `bad_mqtt_topic` if the
    prefix is not named.
    """
    levels = event_filter.split("/")
    if levels == ["#"]:
        return DEFAULT_TOPIC
    if levels[-4::2] == ["device", "event"] and len(levels) > 5:
        prefix = levels[:-5]
    elif "application" in levels:
        prefix = levels[: levels.index("application") + 1]
    else:
        prefix = []
    if not prefix or {"+", "#"} & set(prefix):
        raise InputError(
            "bad_mqtt_topic",
            f"BAYLIGHT_MQTT_TOPIC: the topics of commands do not follow from {event_filter!r}: give it the form "
            "<prefix>/application/+/device/+/event/+, or set BAYLIGHT_CHIRPSTACK_API",
        )
    return CommandTopic("/".join(prefix))
