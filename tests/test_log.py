"""What the log says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from structlog.testing import capture_logs

import baylight
from baylight.log import Outage, configure, logger


def test_every_event_is_named_in_snake_case() -> None:
    sources = [path.read_text(encoding="utf-8") for path in Path(baylight.__file__).parent.rglob("*.py")]
    call = re.compile(r'\b(?:_?log\.(?:debug|info|warning|error)|report)\(\s*f?"([^"]*)"')
    events = {event for source in sources for event in call.findall(source)}
    assert {"started", "broker_away", "claim_failed", "handler_retries", "worker_ended"} <= events
    assert [event for event in events if not re.fullmatch(r"[a-z0-9_]+|\{self\._what\}_[a-z_]+", event)] == []


def test_an_outage_is_reported_at_its_beginning_and_its_end() -> None:
    outage = Outage(logger("test"), "database")
    with capture_logs() as lines:
        outage.end()
        outage.begin("restarting")
        outage.begin("full")
        assert outage.reason == "full"
        outage.end()
        outage.end()
    assert [(line["event"], line["log_level"]) for line in lines] == [
        ("database_outage", "warning"),
        ("database_works_again", "info"),
    ]
    assert outage.reason is None


def test_d7_a_readable_log_escapes_what_devices_wrote(capfd: pytest.CaptureFixture[str]) -> None:
    configure(readable=True)
    logger("test").info("join", name="\x1b[31mLamp\n\x9b2J")
    assert "name=\\u001b[31mLamp\\u000a\\u009b2J" in capfd.readouterr().err
