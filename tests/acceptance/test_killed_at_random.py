"""Programs that are killed while cars come and go: no uplink is lost, no command is sent twice, no light is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench import program_kills

from baylight.lab.embedded.broker import MosquittoBroker
from baylight.store.pool import Pool
from tests.support.servers import Database

KILLS = 6


@pytest.mark.slow
async def test_a_program_that_is_killed_again_and_again_loses_nothing_and_shows_no_wrong_light(
    database: Database, pool: Pool, mosquitto: MosquittoBroker, tmp_path: Path
) -> None:
    found = await program_kills.trial(database, pool, mosquitto, tmp_path / "log", kills=KILLS, seed=7)
    assert found.changes > 10 * KILLS
    assert found.caught > 1, "no kill fell between a claim and its outcome: it proves less than it should"
