"""Intake of messages from network servers, up to ingest."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg
import pytest
from structlog.testing import capture_logs

from baylight.app.intake import Intake
from baylight.domain.events import Ignored, Message, Rejected
from baylight.errors import DeviceDataError, TransientError
from baylight.lns.mqtt.lanes import Received

UNREADABLE = Rejected("t", b"unreadable", "bad_json", "not JSON")
UNFORESEEN = Rejected("t", b"unforeseen", "not_stored", "ZeroDivisionError: one by zero")


def parse(topic: str, payload: bytes) -> Ignored:
    if payload == b"unreadable":
        raise DeviceDataError("bad_json", "not JSON")
    if payload == b"unforeseen":
        raise ZeroDivisionError("one by zero")
    return Ignored(payload.decode())


class Database:
    """Database that raises the errors of `failures`, first to last, and then stores all messages."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.stored: list[Message] = []
        self.wakes = 0
        self.intake = Intake(self.store, self.wake)

    async def store(self, messages: Sequence[Message]) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.stored += messages

    def wake(self) -> None:
        self.wakes += 1


async def test_a_message_that_cannot_be_read_is_kept_among_the_others() -> None:
    database = Database()
    read = database.intake.reader(parse)
    with capture_logs() as lines:
        batch = [Received("t", payload, read("t", payload)) for payload in (b"fine", b"unreadable", b"unforeseen")]
        await database.intake.store(batch)
    assert database.stored == [Ignored("fine"), UNREADABLE, UNFORESEEN]
    assert database.wakes == 1
    assert [(line["event"], line["topic"]) for line in lines] == [("message_not_read", "t")]


async def test_the_relay_is_not_woken_if_no_message_was_stored() -> None:
    database = Database(TransientError("batch_not_stored", "no database"))
    with pytest.raises(TransientError, match="no database"):
        await database.intake.store([Received("t", b"fine", Ignored("fine"))])
    assert database.wakes == 0


async def test_a_message_that_the_database_refuses_is_kept_with_the_reason() -> None:
    database = Database()
    await database.intake.reject(Received("t", b"unforeseen", Ignored("unforeseen")), ZeroDivisionError("one by zero"))
    assert database.stored == [UNFORESEEN]


async def test_a_database_that_refuses_also_the_rejected_message_is_at_fault_itself() -> None:
    database = Database(asyncpg.PostgresSyntaxError("no table"))
    with pytest.raises(TransientError, match="no table") as raised:
        await database.intake.reject(Received("t", b"fine", Ignored("fine")), ValueError())
    assert raised.value.code == "rejected_not_stored"


async def test_the_events_of_a_webhook_are_stored_in_the_same_way() -> None:
    database = Database()
    accept = database.intake.webhook(parse)
    await accept("t", b"fine")
    await accept("t", b"unreadable")
    assert database.stored == [Ignored("fine"), UNREADABLE]
    assert database.wakes == 2


async def test_an_event_that_the_database_refuses_is_kept_and_one_that_it_cannot_store_now_is_not() -> None:
    away = TransientError("batch_not_stored", "no database")
    database = Database(ZeroDivisionError("one by zero"))
    with capture_logs() as lines:
        await database.intake.webhook(parse)("t", b"fine")
    assert database.stored == [Rejected("t", b"fine", "not_stored", "ZeroDivisionError: one by zero")]
    assert [line["event"] for line in lines] == ["message_not_stored"]

    database = Database(away)
    with pytest.raises(TransientError, match="no database"):
        await database.intake.webhook(parse)("t", b"fine")
    assert database.stored == []
