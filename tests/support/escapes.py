"""What native code tries that has broken out of the JavaScript engine, for tests of the walls around a worker.

Run as a module, this is a worker whose engine has an escape built in: a script with the id `escape` is the name of an
act, and its answer is "done" or the name of the error. With arguments, it is a process without a worker: it builds the
walls whose names the first one lists, separated by commas, and prints how each act ends, one a line. With `--parent`
before them, it is the parent of such a process; with `--hidden`, it has hidden itself; with `--other-user`, it is not
root.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import resource
import socket
import struct
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from baylight.sandbox import walls
from baylight.sandbox.engine import Engine
from baylight.sandbox.libc import PR_SET_DUMPABLE, prctl, syscall
from baylight.sandbox.worker import serve

PTRACE_SEIZE = 0x4206
NUMBERS = {
    "x86_64": {"ptrace": 101, "process_vm_readv": 310, "unshare": 272},
    "aarch64": {"ptrace": 117, "process_vm_readv": 270, "unshare": 97},
}.get(os.uname().machine, {})
CLONE3, PIDFD_OPEN, PIDFD_GETFD, IO_URING_SETUP = 435, 434, 438, 425  # alike on all machines
CLONE_NEWUSER, SIGCHLD = 0x10000000, 17


def _fork() -> None:
    if os.fork() == 0:
        os._exit(0)
    os.wait()


def _clone3() -> None:
    arguments = bytearray(64)
    arguments[32] = SIGCHLD  # exit_signal of `struct clone_args`
    if syscall(CLONE3, bytes(arguments), 64) == 0:
        os._exit(0)
    os.wait()


def _spawn() -> None:
    os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)


def _thread() -> None:
    try:
        threading.Thread(target=int).start()
    except RuntimeError:  # Python hides the error of the system
        raise OSError(errno.EPERM, "no thread") from None


def _exec() -> None:
    os.execv("/bin/echo", ["echo", "exec done"])


def _write() -> None:
    name = Path(f"/tmp/baylight-escape-{os.getpid()}")
    name.write_bytes(b"")
    name.unlink()


def _connect(family: socket.AddressFamily, kind: socket.SocketKind, address: tuple[str, int] | str) -> None:
    with socket.socket(family, kind) as made, suppress(ConnectionRefusedError):  # there is no listener
        made.connect(address)


def _read_memory() -> None:
    """Read from an address that the parent may not have. Only a permission matters."""
    byte = ctypes.create_string_buffer(1)
    part = struct.pack("@PN", ctypes.addressof(byte), 1)  # struct iovec
    try:
        syscall(NUMBERS["process_vm_readv"], os.getppid(), part, 1, part, 1, 0)
    except OSError as error:
        if error.errno != errno.EFAULT:
            raise


def _take_socket() -> None:
    pidfd = syscall(PIDFD_OPEN, os.getppid(), 0)
    os.close(syscall(PIDFD_GETFD, pidfd, 0, 0))


def _set_limit() -> None:
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except ValueError:  # Python hides the error of the system
        raise OSError(errno.EPERM, "no limit") from None


def _ring() -> None:
    os.close(syscall(IO_URING_SETUP, 1, bytes(120)))


def _open(path: str) -> None:
    os.close(os.open(path, os.O_RDONLY))


LOCAL = ("127.0.0.1", 9)
ACTS: dict[str, Callable[[], object]] = {
    "fork": _fork,
    "clone3": _clone3,
    "spawn": _spawn,
    "thread": _thread,
    "open a file": lambda: _open("/etc/passwd"),
    "open a library": lambda: _open(os.__file__),
    "list a folder": lambda: os.listdir("/"),
    "write a file": _write,
    "make a file in memory": lambda: os.close(os.memfd_create("escape")),
    "make a pipe": lambda: [os.close(end) for end in os.pipe()],
    "look at a file": lambda: os.stat("/etc/passwd"),
    "connect by TCP": lambda: _connect(socket.AF_INET, socket.SOCK_STREAM, LOCAL),
    "connect by IPv6": lambda: _connect(socket.AF_INET6, socket.SOCK_STREAM, ("::1", 9)),
    "connect by UDP": lambda: _connect(socket.AF_INET, socket.SOCK_DGRAM, LOCAL),
    "connect by a Unix socket": lambda: _connect(socket.AF_UNIX, socket.SOCK_STREAM, "\0baylight-escape"),
    "make a netlink socket": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close(),
    "ring": _ring,
    "trace the parent": lambda: syscall(NUMBERS["ptrace"], PTRACE_SEIZE, os.getppid(), 0, 0),
    "read the parent's memory": _read_memory,
    "take the parent's socket": _take_socket,
    "signal the parent": lambda: os.kill(os.getppid(), 0),
    "open the parent's environment": lambda: _open(f"/proc/{os.getppid()}/environ"),
    "open the parent's memory": lambda: _open(f"/proc/{os.getppid()}/mem"),
    "list the parent's files": lambda: os.listdir(f"/proc/{os.getppid()}/fd"),
    "make a namespace": lambda: syscall(NUMBERS["unshare"], CLONE_NEWUSER),
    "set a limit": _set_limit,
    "exec": _exec,  # the last one, for it replaces the process
}


def _send(sent: bytes) -> str:
    for end in range(3, 16):
        with suppress(OSError):
            os.write(end, sent)
    return "sent"


SENT = {"a frame of 4 GB": b"\xff" * 60_000, "a frame that is no outcome": b"\x00\x00\x00\x01\xc1"}
"""What an escape may still do: send bytes that are no outcomes."""


def outcome(act: str) -> str:
    """Do the act. Return "done", or the name of the error that stopped it."""
    try:
        ACTS[act]()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return "done"


class Escaping(Engine):
    """Engine out of which the script `escape` breaks."""

    def call(
        self, script_id: str, source: str, function: str, text: str, limit_s: float | None = None
    ) -> tuple[str, str]:
        if script_id != "escape":
            return super().call(script_id, source, function, text, limit_s)
        if source in SENT:
            return "answer", _send(SENT[source])
        return "answer", json.dumps({"data": outcome(source)})


def main() -> None:
    if len(sys.argv) == 1:
        serve(Escaping())
        return
    flags = [argument for argument in sys.argv[1:] if argument.startswith("--")]
    names, *acts = sys.argv[len(flags) + 1 :]
    if "--other-user" in flags and os.getuid() == 0:
        os.setuid(65534)
        prctl(PR_SET_DUMPABLE, 1)  # a process that changes its user is not dumpable
    if "--hidden" in flags:
        print(f"{walls.HIDDEN_PARENT}: {walls.hide() or 'holds'}", flush=True)
    if "--parent" in flags and os.fork() > 0:
        os.wait()
        return
    for name in filter(None, names.split(",")):
        print(f"{name}: {walls.reason(walls.WALLS[name]) or 'holds'}", flush=True)
    for act in acts:
        print(f"{act}: {outcome(act)}", flush=True)


if __name__ == "__main__":
    main()
