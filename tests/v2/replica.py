"""A PostgreSQL with a streaming replica: two processes of their own, on sockets below one directory."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from baylight.lab.embedded.account import ends_with_parent, give, reachable_copy, server_account
from baylight.lab.embedded.postgres import find_binaries
from baylight.store.connect import AWAY
from tests.support.eventually import until

_SETTINGS = (
    "listen_addresses=", "wal_level=replica", "max_wal_senders=4", "hot_standby=on", "fsync=off", "shared_buffers=32MB",
    "autovacuum=off",
)  # fmt: skip


def binaries() -> Path | None:
    """Of a PostgreSQL that comes with pg_basebackup."""
    found = find_binaries()
    return found if (found / "pg_basebackup").exists() else None


class Pair:
    """`primary` and `replica`: DSNs of the database `postgres` on each."""

    def __init__(self, programs: Path, directory: Path) -> None:
        self._account = server_account()
        self._programs = programs if self._account.reaches(programs) else reachable_copy(programs)
        self._directory = directory
        self._servers: list[subprocess.Popen[bytes]] = []
        self.primary, self.replica = (self.dsn(name, "postgres") for name in ("primary", "replica"))

    def dsn(self, server: str, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={self._directory}&port={self._port(server)}"

    def _port(self, server: str) -> int:
        return {"primary": 5432, "replica": 5433}[server]  # part of the socket's name only

    def run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self._programs / program, *arguments], cwd="/", check=True, capture_output=True, env=self._environment(),
            **self._account.as_child(),
        )  # fmt: skip

    def _environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC"}

    async def start(self) -> None:
        self._directory.chmod(0o711)  # the account that PostgreSQL runs under must pass
        give(self._directory, self._account)
        self.run("initdb", "-D", str(self._directory / "primary"), "-U", "postgres", "-A", "trust", "--no-sync")
        await self._launch("primary")
        self.run(
            "pg_basebackup", "-D", str(self._directory / "replica"), "-h", str(self._directory), "-p", "5432",
            "-U", "postgres", "-R", "-X", "stream", "-c", "fast", "--no-sync",
        )  # fmt: skip
        await self._launch("replica")

    def _spawn(self, server: str) -> None:
        options = [word for setting in _SETTINGS for word in ("-c", setting)]
        self._servers.append(
            subprocess.Popen(
                [
                    self._programs / "postgres", "-D", str(self._directory / server), "-p", str(self._port(server)),
                    "-k", str(self._directory), *options,
                ],
                cwd="/", env=self._environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, start_new_session=True, preexec_fn=ends_with_parent(2),
                **self._account.as_child(),
            )
        )  # fmt: skip

    async def _launch(self, server: str) -> None:
        self._spawn(server)

        async def answers() -> bool:
            assert self._servers[-1].poll() is None
            try:
                await (await asyncpg.connect(self.dsn(server, "postgres"))).close()
            except AWAY:
                return False
            return True

        await until(answers, f"{server} does not answer", deadline_s=60, every_s=0.05)

    def stop(self) -> None:
        for server in reversed(self._servers):
            server.send_signal(2)
            server.wait(30)


@asynccontextmanager
async def primary_and_replica(programs: Path) -> AsyncIterator[Pair]:
    with tempfile.TemporaryDirectory(prefix="bl-pair-") as directory:
        pair = Pair(programs, Path(directory))
        try:
            await pair.start()
            yield pair
        finally:
            pair.stop()
