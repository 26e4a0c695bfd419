"""Embedded PostgreSQL: who may start it, what survives, what is left behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from baylight.errors import InputError, PermanentError
from baylight.lab.embedded.account import server_account
from baylight.lab.embedded.postgres import EmbeddedPostgres, find_binaries
from tests.support.servers import DEBIAN_15, directory_of_postgres

OWNER = """
import asyncio, sys
from pathlib import Path
import asyncpg
from baylight.lab.embedded.postgres import EmbeddedPostgres

async def main():
    dsn = await EmbeddedPostgres(Path(sys.argv[1])).start()
    connection = await asyncpg.connect(dsn)
    await connection.execute("CREATE TABLE kept (x int); INSERT INTO kept VALUES (1)")
    await connection.execute("BEGIN; INSERT INTO kept VALUES (2)")
    print(dsn, flush=True)
    await asyncio.sleep(3600)

asyncio.run(main())
"""
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root drops its rights")


@pytest.fixture
def data_dir() -> Iterator[Path]:
    directory = directory_of_postgres()
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def closed_dir() -> Iterator[Path]:
    """Directory that only this account can enter, as /root."""
    directory = Path(tempfile.mkdtemp(prefix="bl-pg-closed-"))
    assert mode_of(directory) == 0o700
    yield directory
    shutil.rmtree(directory)


def servers_of(postgres: EmbeddedPostgres) -> list[psutil.Process]:
    """Return the processes of the server: the postmaster of the data directory, and its children."""
    data = str(postgres.place / "data")
    mains = [p for p in psutil.process_iter(["cmdline"]) if data in (p.info["cmdline"] or ())]
    return [*mains, *(child for main in mains for child in main.children())]


async def rows(postgres: EmbeddedPostgres) -> list[int]:
    connection = await asyncpg.connect(postgres.dsn())
    try:
        return [row["x"] for row in await connection.fetch("SELECT x FROM kept ORDER BY x")]
    finally:
        await connection.close()


async def setting(postgres: EmbeddedPostgres, expression: str) -> object:
    connection = await asyncpg.connect(postgres.dsn())
    try:
        return await connection.fetchval(f"SELECT {expression}")
    finally:
        await connection.close()


@pytest.fixture
def owner(data_dir: Path) -> Iterator[subprocess.Popen[str]]:
    """Start another process that has a server on data_dir, with one row committed and one not."""
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(data_dir)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("postgresql://")
        yield process
        process.kill()


def sleeper() -> subprocess.Popen[bytes]:
    """Start a process of the server's account that is no server."""
    return subprocess.Popen(["sleep", "600"], **server_account().as_child())


def copies_of_programs() -> set[Path]:
    return set(Path("/var/tmp").glob("baylight-binaries-*"))


def half_made(data: Path) -> None:
    (data / "base").mkdir(parents=True)
    (data / "PG_VERSION").write_text("18\n")


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


def owner_of(path: Path) -> int:
    return path.stat().st_uid


def copy_programs(target: Path) -> Path:
    """Copy PostgreSQL's programs with all that they need below `target`, in the same layout."""
    binaries = find_binaries().resolve()
    package = binaries.parents[1]
    for source in (package, package.with_name(f"{package.name}.libs")):
        if source.is_dir():
            shutil.copytree(source, target / source.name, symlinks=True)
    return target / binaries.relative_to(package.parent)


async def test_killing_the_owner_ends_the_server_and_the_next_start_has_the_data(
    owner: subprocess.Popen[str], data_dir: Path
) -> None:
    postgres = EmbeddedPostgres(data_dir)
    left = servers_of(postgres)
    assert left
    owner.kill()
    owner.wait()
    assert psutil.wait_procs(left, timeout=20)[1] == []
    await postgres.start()
    try:
        assert await rows(postgres) == [1]
    finally:
        await postgres.stop()


async def test_a_start_at_once_after_the_owner_was_killed_waits_for_the_old_server(
    owner: subprocess.Popen[str], data_dir: Path
) -> None:
    owner.kill()
    owner.wait()
    postgres = EmbeddedPostgres(data_dir)
    await postgres.start()
    try:
        assert await rows(postgres) == [1]
    finally:
        await postgres.stop()


async def test_data_is_recovered_after_a_crash_of_owner_and_server(
    owner: subprocess.Popen[str], data_dir: Path
) -> None:
    postgres = EmbeddedPostgres(data_dir)
    left = servers_of(postgres)
    for process in left:
        process.kill()
    owner.kill()
    owner.wait()
    psutil.wait_procs(left, timeout=20)
    assert (data_dir / "data" / "postmaster.pid").exists()
    await postgres.start()
    try:
        assert await rows(postgres) == [1]
    finally:
        await postgres.stop()


async def test_a_stale_pid_file_with_the_number_of_another_process_does_not_stop_the_start(data_dir: Path) -> None:
    postgres = EmbeddedPostgres(data_dir)
    await postgres.start()
    await postgres.stop()
    stranger = sleeper()
    try:
        (data_dir / "data" / "postmaster.pid").write_text(f"{stranger.pid}\n{data_dir / 'data'}\n")
        await postgres.start()
        await postgres.stop()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


async def test_a_second_start_on_the_same_data_is_refused_and_the_first_goes_on(data_dir: Path) -> None:
    first, second = EmbeddedPostgres(data_dir), EmbeddedPostgres(data_dir)
    await first.start()
    try:
        with pytest.raises(InputError) as caught:
            await second.start()
        assert caught.value.code == "data_in_use"
        await second.stop()
        assert await setting(first, "1") == 1
    finally:
        await first.stop()
    await second.start()
    await second.stop()


async def test_start_and_stop_can_be_repeated_and_leave_no_process(data_dir: Path) -> None:
    postgres = EmbeddedPostgres(data_dir)
    await postgres.stop()
    assert await postgres.start() == await postgres.start()
    assert servers_of(postgres)
    await postgres.stop()
    await postgres.stop()
    assert servers_of(postgres) == []


async def test_delete_removes_what_the_server_wrote_and_nothing_else(data_dir: Path) -> None:
    postgres = EmbeddedPostgres(data_dir, durable=False)
    await postgres.start()
    with pytest.raises(InputError):
        postgres.delete()
    await postgres.stop()
    (data_dir / "notes").touch()
    postgres.delete()
    assert os.listdir(data_dir) == ["notes"]
    (data_dir / "notes").unlink()
    for _ in range(2):
        postgres.delete()
        assert data_dir.name not in os.listdir("/tmp")


async def test_two_servers_run_side_by_side_whatever_the_environment_says(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"PGPORT": "1", "PGHOST": "nowhere", "PGDATA": "/nowhere", "PGUSER": "x", "LANG": "xx"}.items():
        monkeypatch.setenv(name, value)
    both = [EmbeddedPostgres(data_dir / name) for name in ("a", "b")]
    try:
        assert len({await postgres.start() for postgres in both}) == 2
        for postgres in both:
            assert await setting(postgres, "current_setting('listen_addresses')") == ""
            assert await setting(postgres, "current_setting('fsync')") == "on"
            assert await setting(postgres, "upper('äö')") == "ÄÖ"
    finally:
        for postgres in both:
            await postgres.stop()


async def test_a_path_too_long_for_a_socket_is_fine(data_dir: Path) -> None:
    postgres = EmbeddedPostgres(data_dir / ("long" * 15) / ("longer" * 15))
    try:
        await postgres.start()
        assert await setting(postgres, "1") == 1
    finally:
        await postgres.stop()
        postgres.delete()


async def test_a_first_start_that_was_killed_half_way_is_begun_again(data_dir: Path) -> None:
    half_made(data_dir / "data.new")
    postgres = EmbeddedPostgres(data_dir, durable=False)
    await postgres.start()
    await postgres.stop()


async def test_data_of_another_major_version_is_refused_by_both_names(data_dir: Path) -> None:
    if not DEBIAN_15.is_dir():
        pytest.skip("PostgreSQL 15 is not installed: apt-get install postgresql-15")
    old = EmbeddedPostgres(data_dir, binaries=DEBIAN_15, durable=False)
    await old.start()
    assert await setting(old, "upper('äö')") == "ÄÖ"
    await old.stop()
    with pytest.raises(InputError, match=r"PostgreSQL 15,.* are 18") as caught:
        await EmbeddedPostgres(data_dir).start()
    assert caught.value.code == "data_of_other_version"
    await old.start()
    await old.stop()


async def test_the_error_has_the_log_of_postgresql_when_it_does_not_start(data_dir: Path) -> None:
    postgres = EmbeddedPostgres(data_dir, durable=False)
    await postgres.start()
    await postgres.stop()
    (data_dir / "data" / "global" / "pg_control").unlink()
    with pytest.raises(PermanentError, match="pg_control") as caught:
        await postgres.start()
    assert caught.value.code == "postgres_ended"


async def test_a_data_directory_that_cannot_be_made_is_refused_in_plain_words() -> None:
    with pytest.raises(InputError, match="/proc/nowhere") as caught:
        await EmbeddedPostgres(Path("/proc/nowhere")).start()
    assert caught.value.code == "data_dir_unusable"


@needs_root
async def test_root_below_a_closed_directory_keeps_the_data_where_postgresql_reaches_it(closed_dir: Path) -> None:
    data_dir = closed_dir / "project" / ".baylight"
    postgres = EmbeddedPostgres(data_dir)
    try:
        await postgres.start()
        assert postgres.place != data_dir
        assert {p.uids().effective for p in servers_of(postgres)} == {server_account().uid}
        assert owner_of(postgres.place / "data") == server_account().uid
        await setting(postgres, "1")
        await postgres.stop()
        again = EmbeddedPostgres(data_dir)
        await again.start()
        await again.stop()
        assert again.place == postgres.place
    finally:
        await postgres.stop()
        postgres.delete()
    assert not postgres.place.exists()
    assert mode_of(closed_dir) == 0o700


@needs_root
async def test_root_with_programs_in_a_closed_directory_runs_a_reachable_copy(closed_dir: Path, data_dir: Path) -> None:
    binaries = copy_programs(closed_dir)
    before = copies_of_programs()
    postgres = EmbeddedPostgres(data_dir, binaries=binaries, durable=False)
    try:
        await postgres.start()
        assert await setting(postgres, "1") == 1
        await postgres.stop()
        await postgres.start()
        assert len(copies_of_programs() - before) == 1
    finally:
        await postgres.stop()
        for copy in copies_of_programs() - before:
            shutil.rmtree(copy)


def test_missing_programs_are_named_in_plain_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BAYLIGHT_POSTGRES_BIN", str(tmp_path))
    with pytest.raises(PermanentError, match=str(tmp_path)) as caught:
        find_binaries()
    assert caught.value.code == "no_postgres"


async def test_ctrl_c_leaves_the_server_to_its_owner(data_dir: Path) -> None:
    postgres = EmbeddedPostgres(data_dir, durable=False)
    await postgres.start()
    try:
        (main, *_) = servers_of(postgres)
        assert os.getpgid(main.pid) != os.getpgrp()
    finally:
        await postgres.stop()
