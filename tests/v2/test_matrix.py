"""A sample of the matrix of V2 databases: `bench/v2_matrix.py` runs all of them, with combinations by a seed."""

from __future__ import annotations

import pytest
from bench.v2_matrix import databases
from bench.v2_parts.course import Course, outcome
from bench.v2_parts.features import CARRIED_FEATURES, REFUSED_FEATURES

from baylight.lab.embedded.postgres import find_binaries
from tests.support.servers import Server

SAMPLE = [features for features in databases(3, seed=7) if len(features) == 3]
BY_KEY = {feature.key: feature for feature in (*CARRIED_FEATURES, *REFUSED_FEATURES)}


def test_the_matrix_has_sixty_databases_or_more() -> None:
    wanted = list(databases(24, seed=1))
    assert len(wanted) >= 60
    assert len({feature.key for features in wanted for feature in features}) == len(BY_KEY)


@pytest.mark.parametrize("features", SAMPLE, ids=lambda features: "-".join(f.key for f in features))
async def test_three_features_at_once_go_forth_and_back(server: Server, features: tuple) -> None:  # type: ignore[type-arg]
    async with server.database(migrated=False) as database:
        assert await outcome(Course(database.dsn, find_binaries(), features, seed=7)) is None


async def test_the_oracle_sees_a_lost_row_and_a_lost_object(server: Server) -> None:
    """A matrix whose oracle cannot fail would prove nothing."""
    clean = (BY_KEY["clean"],)
    async with server.database(migrated=False) as database:
        course = Course(database.dsn, find_binaries(), clean, seed=1)
        course.sabotage = "BEGIN; SET LOCAL baylight.v2_sync = 'on'; UPDATE public.spaces SET name = 'lost'; COMMIT"
        assert "switch: V2 wrote (" in (await outcome(course) or "")
    async with server.database(migrated=False) as database:
        course = Course(database.dsn, find_binaries(), clean, seed=1)
        course.sabotage = "DROP INDEX public.idx_sensor_readings_timestamp_brin"
        assert "the schema at the end differs" in (await outcome(course) or "")
