"""Names that become levels of an MQTT topic: applications, device ids, client ids, share groups."""

from __future__ import annotations

import re

from baylight.errors import InputError, shorten

MAX_LEVEL = 100
"""Characters of a level. A ChirpStack application id has 36; an id at The Things Stack has at most 36."""
LEVEL = rf'[!"$-*,\-.0-~]{{1,{MAX_LEVEL}}}'
"""One level of a topic: visible ASCII without `#`, `+` and `/`. SQL has the same form as a constraint."""
_LEVEL = re.compile(LEVEL)
_ADDRESS = {"chirpstack": _LEVEL, "tts": re.compile(f"{LEVEL}(/{LEVEL})?")}
_RULE = f"1 to {MAX_LEVEL} visible ASCII characters without #, + and /"


def is_level(text: str) -> bool:
    """Return whether the text can be one level of a topic."""
    return _LEVEL.fullmatch(text) is not None


def is_address(text: str, network_server: str) -> bool:
    """Return whether the text is an `application_id` of a device at this network server (see `Uplink`)."""
    return _ADDRESS[network_server].fullmatch(text) is not None


def is_whole(address: str | None, network_server: str) -> bool:
    """Return whether downlinks reach a device by this address: at The Things Stack it has the device id, too."""
    return address is not None and (network_server != "tts" or "/" in address)


def application_of(address: str | None) -> str:
    """Return the application of an address, or "" if there is none."""
    return (address or "").partition("/")[0]


def parse_address(text: str | None, network_server: str) -> str | None:
    """Return an `application_id` that a topic can carry. None stays None. Raises InputError `bad_application_id`."""
    if text is None or is_address(text, network_server):
        return text
    form = f"an application id: {_RULE}"
    if network_server == "tts":
        form = f"<application> or <application>/<device id>, each {_RULE}"
    shown = ascii(shorten(text))
    raise InputError("bad_application_id", f"{shown} is not {form}", application_id=shown)
