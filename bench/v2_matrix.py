"""Matrix of V2 databases that people really have: each goes through all stages, forth and back, on two PostgreSQLs.

A database has one feature, or three that are chosen by the seed. V2's application writes at each stage, and after the
contract Baylight lives for a month. An oracle of its own compares rows, checksums and `pg_dump -s`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from baylight.lab.embedded.postgres import EmbeddedPostgres, find_binaries
from bench import ground
from bench.v2_parts.course import Course, outcome
from bench.v2_parts.features import CARRIED_FEATURES, REFUSED_FEATURES, Feature

DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")


def databases(combinations: int, seed: int) -> Iterator[tuple[Feature, ...]]:
    """Yield the features of each database: each feature alone, then combinations of three."""
    chance = random.Random(seed)
    yield from ((feature,) for feature in (*CARRIED_FEATURES, *REFUSED_FEATURES))
    for _ in range(combinations):
        yield tuple(chance.sample(CARRIED_FEATURES, 3))


async def run_all(
    postgres: EmbeddedPostgres, programs: Path, wanted: Sequence[tuple[Feature, ...]], seed: int
) -> list[str]:
    """Run the courses of all databases on a server; return what went wrong."""
    failed = []
    for n, features in enumerate(wanted):
        name = f"matrix_{n}"
        async with _database(postgres, name) as dsn:
            began = time.monotonic()
            wrong = await outcome(Course(dsn, programs, features, seed + n))
        keys = " + ".join(feature.key for feature in features)
        print(f"{'FAILED' if wrong else 'ok':6} {time.monotonic() - began:5.1f} s  {keys}  {wrong or ''}", flush=True)
        if wrong:
            failed.append(f"{keys}: {wrong}")
    return failed


@asynccontextmanager
async def _database(postgres: EmbeddedPostgres, name: str) -> AsyncIterator[str]:
    admin = await asyncpg.connect(postgres.dsn("postgres"))
    try:
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE template0 STRATEGY FILE_COPY")
        yield postgres.dsn(name)
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await admin.close()


async def on_server(programs: Path, wanted: Sequence[tuple[Feature, ...]], seed: int) -> list[str]:
    directory = tempfile.mkdtemp(prefix="bl-matrix-")
    os.chmod(directory, 0o711)  # the account that PostgreSQL runs under must be able to enter
    postgres = EmbeddedPostgres(Path(directory), binaries=programs, durable=False)
    try:
        await postgres.start()
        return await run_all(postgres, programs, wanted, seed)
    finally:
        await postgres.stop()
        postgres.delete()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="the embedded PostgreSQL alone, 4 combinations")
    arguments.add_argument("--seed", type=int, default=1, help="other combinations and other operations")
    arguments.add_argument("--only", help="only databases with this feature")
    given = arguments.parse_args()
    wanted = list(databases(4 if given.quick else 24, given.seed))
    if given.only:
        wanted = [features for features in wanted if any(f.key == given.only for f in features)]
    servers = [find_binaries()]
    if DEBIAN_15.is_dir() and not given.quick:
        servers.append(DEBIAN_15)
    elif not given.quick:
        print("PostgreSQL 15 is left out: apt-get install postgresql-15")
    failed = []
    for programs in servers:
        print(f"PostgreSQL of {programs.parent.name if programs != DEBIAN_15 else '15'}, seed {given.seed}")
        failed += asyncio.run(on_server(programs, wanted, given.seed))
    result = {"bench": "v2_matrix", "databases": len(wanted) * len(servers), "failed": len(failed)}
    ground.finish(result, [("every database goes forth and back, or is refused before the first step", not failed)])


if __name__ == "__main__":
    main()
