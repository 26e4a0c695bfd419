"""Walls around a worker: what native code in it cannot do, and what each wall stops if it stands alone."""

from __future__ import annotations

import errno
import os
import re
import struct
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from baylight.codecs.ts013.calls import Answer, Script, decode_call
from baylight.errors import DeviceDataError, TransientError
from baylight.sandbox import seccomp, walls
from baylight.sandbox.pool import Sandbox
from tests.support.escapes import ACTS, SENT

AT = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
GOOD = Script("good", "function decodeUplink(input) { return { data: input.bytes[0] }; }")
STOPPED = {"EPERM", "EACCES", "EMFILE", "EAGAIN"}
PROCESSES = {"fork", "clone3", "spawn"}
PARENT = {"trace the parent", "read the parent's memory", "take the parent's socket", "open the parent's memory"}
FILES = {"open a file", "open a library", "list a folder", "write a file", "open the parent's environment",
         "open the parent's memory", "list the parent's files", "spawn", "exec"}  # fmt: skip
ALONE = {
    walls.LANDLOCK: FILES - {"spawn"} | PARENT | {"connect by TCP", "connect by IPv6"},
    walls.NO_NEW_FILES: FILES - {"spawn", "exec"} | {
        "make a file in memory", "make a pipe", "connect by TCP", "connect by IPv6", "connect by UDP", "ring",
        "connect by a Unix socket", "make a netlink socket", "take the parent's socket",
    },
    walls.NO_NEW_PROCESSES: PROCESSES | {"thread"},
    walls.SECCOMP: set(ACTS),
}  # fmt: skip
"""What each wall stops without the others."""


@pytest.fixture
async def escaping() -> AsyncIterator[Sandbox]:
    sandbox = Sandbox(workers=1, module="tests.support.escapes")
    yield sandbox
    await sandbox.close()


def skip_without(built: dict[str, str], *names: str) -> None:
    for name in names:
        if built[name]:
            pytest.skip(f"the wall `{name}` does not hold here: {built[name]}")


def skip_unless_held(ended: dict[str, str], *names: str) -> None:
    for name in names:
        if ended[name] != "holds":
            pytest.skip(f"the wall `{name}` does not hold here: {ended[name]}")


def outcomes(names: list[str], acts: list[str], *flags: str) -> dict[str, str]:
    """Return how walls and acts end in a process that has only these walls. `flags`: as `escapes` describes them."""
    command = [sys.executable, "-m", "tests.support.escapes", *flags, ",".join(names), *acts]
    path = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env={"PYTHONPATH": path}, check=False)
    return dict(re.findall(r"^(.+?)(?:: | (?=done))(.+)$", done.stdout, re.MULTILINE))


def test_f9_without_walls_each_act_succeeds() -> None:
    """Show that the other tests of this file can fail. A container may forbid some acts by itself."""
    ended = outcomes([], list(ACTS))
    assert set(ended) == set(ACTS)
    own = {act for act, how in ended.items() if how != "done"}
    assert own <= {"ring", "make a namespace", "connect by IPv6", *PARENT, "signal the parent"}, ended


@pytest.mark.parametrize("act", ACTS)
async def test_f9_a_codec_that_breaks_out_of_the_engine_is_stopped(escaping: Sandbox, act: str) -> None:
    skip_without(dict(await escaping.walls()), walls.SECCOMP)
    good, escape = decode_call(GOOD, 10, b"\x07", AT), decode_call(Script("escape", act), 10, b"\x07", AT)
    assert await escaping.run([good, escape, good]) == [Answer(7), Answer("EPERM"), Answer(7)]


@pytest.mark.parametrize("name", ALONE)
def test_f9_each_wall_stands_alone(name: str) -> None:
    needed = [walls.NO_NEW_PRIVILEGES, name]
    ended = outcomes(needed, [act for act in ACTS if act in ALONE[name]], "--other-user")
    skip_unless_held(ended, *needed)
    assert {act: how for act, how in ended.items() if act in ACTS and how not in STOPPED} == {}


PRIVATE = ["trace the parent", "read the parent's memory", "open the parent's environment", "open the parent's memory",
           "list the parent's files"]  # fmt: skip


def test_f9_a_hidden_parent_stands_alone() -> None:
    shown = outcomes([], PRIVATE, "--other-user", "--parent")
    assert set(shown) == set(PRIVATE)
    if set(shown.values()) != {"done"}:
        pytest.skip(f"this machine forbids by itself to look into a parent: {shown}")
    ended = outcomes([], PRIVATE, "--other-user", "--hidden", "--parent")
    skip_unless_held(ended, walls.HIDDEN_PARENT)
    assert {act: how for act, how in ended.items() if act in ACTS and how not in STOPPED} == {}


def test_f9_a_worker_of_root_without_capabilities_cannot_look_into_its_parent() -> None:
    if os.getuid() != 0:
        pytest.skip("this test needs root; a hidden parent is what stops other users")
    ended = outcomes([walls.NO_CAPABILITIES], PRIVATE[:4], "--hidden", "--parent")
    skip_unless_held(ended, walls.NO_CAPABILITIES)
    assert {act: how for act, how in ended.items() if act in ACTS and how not in STOPPED} == {}


def status_of(pid: int) -> dict[str, str]:
    return dict(re.findall(r"^(\w+):\s*(\S+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE))


async def test_f9_the_walls_of_this_machine_are_reported(escaping: Sandbox) -> None:
    built = await escaping.walls()
    assert set(built) == {*walls.WALLS, walls.HIDDEN_PARENT}
    (pid,) = escaping.pids
    status = status_of(pid)
    assert (status["NoNewPrivs"] == "1") is not bool(built[walls.NO_NEW_PRIVILEGES])
    assert (status["Seccomp"] == "2") is not bool(built[walls.SECCOMP])
    assert (status["CapEff"] == status["CapPrm"] == "0" * 16) is not bool(built[walls.NO_CAPABILITIES])


@pytest.mark.parametrize("sent", SENT)
async def test_f9_a_worker_that_sends_no_outcomes_is_ended_and_its_codec_suspended(
    escaping: Sandbox, sent: str
) -> None:
    good, escape = decode_call(GOOD, 10, b"\x07", AT), decode_call(Script("escape", sent), 10, b"\x07", AT)
    first, failed, second = await escaping.run([good, escape, good])
    assert first == second == Answer(7)
    assert isinstance(failed, DeviceDataError)
    assert failed.code == "codec_crashed"
    assert "escape" in escaping.suspended()


async def test_f9_a_worker_that_begins_with_something_else_makes_its_calls_late() -> None:
    sandbox = Sandbox(workers=1, module="tests.support.noise")
    (late,) = await sandbox.run([decode_call(GOOD, 10, b"\x07", AT)])
    assert isinstance(late, TransientError)
    assert "no list of walls" in (sandbox.outage.reason or "")
    assert sandbox.pids == []
    await sandbox.close()


# The filter ----------------------------------------------------------------------------------------------------------

REFUSED, ALLOWED = 0x00050000 | errno.EPERM, 0x7FFF0000


def decide(program: bytes, machine: int, number: int) -> int:
    """Run a filter as the kernel does."""
    steps = list(struct.iter_unpack("=HBBI", program))
    loaded, at = 0, 0
    while True:
        code, if_true, if_false, operand = steps[at]
        if code == 0x06:
            return int(operand)
        if code == 0x20:
            loaded = {0: number, 4: machine}[operand]
        at += 1 + (0 if code == 0x20 else if_true if loaded == operand else if_false)


@pytest.mark.parametrize("machine", seccomp.MACHINES)
def test_f9_the_filter_allows_the_listed_calls_of_its_machine_alone(machine: str) -> None:
    program = seccomp.program(machine)
    own, column = seccomp.MACHINES[machine]
    listed = {numbers[column] for numbers in seccomp.CALLS.values()}
    allowed = {number for number in range(2000) if decide(program, own, number) == ALLOWED}
    assert allowed == listed
    other = [(name, number) for name in (0x40000003, 0xC00000B7, 0xC000003E, 0) if name != own for number in listed]
    x32 = [(own, 0x40000000 + number) for number in listed]
    assert {decide(program, *one) for one in other + x32} == {REFUSED}


@pytest.mark.parametrize(
    ("machine", "header"),
    [("x86_64", "x86_64-linux-gnu/asm/unistd_64.h"), ("aarch64", "asm-generic/unistd.h")],
)
def test_f9_the_numbers_are_those_of_the_kernels_headers(machine: str, header: str) -> None:
    path = Path("/usr/include", header)
    if not path.exists():
        pytest.skip(f"{path} is not installed: apt-get install linux-libc-dev")
    _, column = seccomp.MACHINES[machine]
    numbers = dict(re.findall(r"^#define __NR(?:3264)?_(\w+)\s+(\d+)", path.read_text(), re.MULTILINE))
    assert {name: numbers[name] for name in seccomp.CALLS} == {
        name: str(both[column]) for name, both in seccomp.CALLS.items()
    }


def test_f9_a_machine_whose_numbers_are_not_known_has_no_filter() -> None:
    with pytest.raises(OSError, match="not known for riscv64"):
        seccomp.program("riscv64")
