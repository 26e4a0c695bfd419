"""Walls of the operating system around a worker. They hold if a codec breaks out of the engine into native code.

A worker builds them after it has loaded its libraries, and before it reads the first codec. From then on it may use its
memory, its clock and the two ends of its pipes. It opens no file at all, not even one of its libraries.

Several walls stand one behind the other, since no kernel and no container need have all. Each stands alone: a worker
without one of them has the others, and says which is missing and why.
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Callable

from baylight.sandbox import seccomp
from baylight.sandbox.libc import PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS, capset, prctl, syscall

if sys.platform != "win32":
    import resource

NO_NEW_PRIVILEGES = "no_new_privs"
LANDLOCK = "Landlock"
NO_CAPABILITIES = "dropped capabilities"
NO_NEW_FILES = "limit of files"
NO_NEW_PROCESSES = "limit of processes"
SECCOMP = "seccomp"
HIDDEN_PARENT = "hidden parent"


def build() -> dict[str, str]:
    """Build the walls around this process, and return each with the reason why it does not hold, or "" if it does."""
    return {name: reason(wall) for name, wall in WALLS.items()}


def hide() -> str:
    """Make this process, which starts workers, not dumpable. Return why that failed, or "".

    Then its memory, its environment and its open files, which hold secrets, belong to root in /proc: a worker of the
    same user cannot read them, nor trace it. It also leaves no core dump. NO_CAPABILITIES keeps a worker of root out.
    """
    return reason(_hide)


def reason(wall: Callable[[], None]) -> str:
    """Build a wall. Return why it does not hold, or ""."""
    if sys.platform != "linux":
        return "this system is not Linux"
    try:
        wall()
    except OSError as error:
        return error.strerror or str(error)
    except ValueError as error:  # Python's word for a refused limit
        return str(error)
    return ""


def _hide() -> None:
    prctl(PR_SET_DUMPABLE, 0)


def _no_new_privileges() -> None:
    """Give up set-user-ID programs and file capabilities. Landlock and seccomp demand it."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)


def _landlock() -> None:
    """Handle all that the kernel's Landlock can handle, without a rule that allows something of it.

    Layout of `struct landlock_ruleset_attr`: access to files, access to the network, scopes, each u64. An older kernel
    refuses what it does not know. Landlock also forbids to trace processes outside. Source: linux/landlock.h.
    """
    create, restrict, version_only = 444, 446, 1  # the numbers of these calls are alike on all machines
    version = syscall(create, None, 0, version_only)
    file_rights = {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)  # 16: those of version 5
    handled = [(1 << file_rights) - 1]
    if version >= 4:
        handled.append(0b11)  # to bind and to connect TCP
    if version >= 6:
        handled.append(0b11)  # abstract Unix sockets and signals
    rules = syscall(create, struct.pack(f"={len(handled)}Q", *handled), 8 * len(handled), 0)
    try:
        syscall(restrict, rules, 0)
    finally:
        os.close(rules)


def _no_capabilities() -> None:
    """Give up what distinguishes root. Version 3 of capset takes effective, permitted and inheritable sets twice."""
    capset(struct.pack("=Ii", 0x20080522, 0), bytes(24))


def _no_new_files() -> None:
    """Allow no further file, socket or pipe. Those that are open stay so."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))


def _no_new_processes() -> None:
    """Allow no further process or thread."""
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    if os.getuid() == 0:
        raise OSError(0, "the limit does nothing for root")


WALLS: dict[str, Callable[[], None]] = {
    NO_NEW_PRIVILEGES: _no_new_privileges,
    LANDLOCK: _landlock,
    NO_CAPABILITIES: _no_capabilities,
    NO_NEW_FILES: _no_new_files,
    NO_NEW_PROCESSES: _no_new_processes,
    SECCOMP: seccomp.install,
}
"""Walls in the order in which they must be built."""
