"""Settings and codecs of a connection, and the errors for a database that cannot be reached."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest

from baylight.errors import InputError, TransientError
from baylight.store import migrate
from baylight.store.connect import connect
from baylight.store.pool import open_pool
from tests.support.servers import Database

NOWHERE = "postgresql://nobody@127.0.0.1:1/none"
UNREADABLE = "postgresql://nobody@127.0.0.1:port/none"
OPENERS = [connect, open_pool, migrate.check]


async def test_a_connection_has_its_settings_and_codecs(database: Database) -> None:
    connection = await connect(database.dsn)
    try:
        assert await connection.fetchval("SELECT $1::jsonb", {"a": [1]}) == {"a": [1]}
        shown = [await connection.fetchval(f"SHOW {name}") for name in ("application_name", "timezone")]
        assert shown == ["baylight", "UTC"]
    finally:
        await connection.close()


@pytest.mark.parametrize("opener", OPENERS)
async def test_a_server_that_does_not_answer_may_answer_later(opener: Any) -> None:
    with pytest.raises(TransientError, match=r"the database cannot be reached: .*127\.0\.0\.1") as raised:
        await opener(NOWHERE)
    assert raised.value.code == "database_away"


@pytest.mark.parametrize("opener", OPENERS)
async def test_an_address_that_cannot_be_parsed_must_be_corrected(opener: Any) -> None:
    with pytest.raises(InputError, match=r"BAYLIGHT_DATABASE_URL: .*port") as raised:
        await opener(UNREADABLE)
    assert raised.value.code == "bad_database"


async def test_a_process_waits_for_an_unknown_database_and_a_person_must_correct_it(
    database: Database,
) -> None:
    unknown = urlsplit(database.dsn)._replace(path="/no_such_database").geturl()
    with pytest.raises(TransientError, match="no_such_database"):
        await connect(unknown)
    with pytest.raises(InputError, match="no_such_database"):
        await connect(unknown, interactive=True)
