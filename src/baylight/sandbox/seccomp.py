"""Filter of system calls for a worker: a list of those that it needs, which lets all others fail with EPERM.

The filter is a program of classic BPF. The kernel runs it before each system call, on `struct seccomp_data`, which
begins with the number of the call (u32) and the architecture (u32). Layout of an instruction, `struct sock_filter`:
code (u16), jump if true (u8), jump if false (u8), operand (u32). A jump counts instructions after the next one:

     0  load the architecture
     1  if it is not this one, go to the last but one
     2  load the number of the call
     3  if it is that of the first listed call, go to the last
        … one comparison for each listed call
    -2  return ERRNO | EPERM
    -1  return ALLOW

So calls of the 32-bit and x32 interfaces of x86-64 fail as well, and those that future kernels add. No listed call
opens or makes anything but memory. Sources: linux/seccomp.h, linux/filter.h, linux/audit.h; the numbers are those of
asm/unistd_64.h (x86-64) and asm-generic/unistd.h (AArch64).
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

from baylight.sandbox.libc import PR_SET_SECCOMP, prctl

CALLS = {
    "read": (0, 63),
    "write": (1, 64),
    "close": (3, 57),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "munmap": (11, 215),
    "brk": (12, 214),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sched_yield": (24, 124),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "setitimer": (38, 103),
    "getpid": (39, 172),
    "exit": (60, 93),
    "gettimeofday": (96, 169),
    "sigaltstack": (131, 132),
    "gettid": (186, 178),
    "futex": (202, 98),
    "restart_syscall": (219, 128),
    "clock_gettime": (228, 113),
    "exit_group": (231, 94),
    "getrandom": (318, 278),
}
"""System calls that a worker may make, each with its number on x86-64 and on AArch64."""
MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
"""AUDIT_ARCH of each machine, and the column of its numbers in CALLS."""

_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06  # BPF_LD|BPF_W|BPF_ABS, BPF_JMP|BPF_JEQ|BPF_K, BPF_RET|BPF_K
_NUMBER_AT, _MACHINE_AT = 0, 4
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000 | errno.EPERM


def program(machine: str) -> bytes:
    """Return the filter for a machine as `os.uname` names it. Raises OSError with ENOSYS for one that is not known."""
    if machine not in MACHINES:
        raise OSError(errno.ENOSYS, f"the numbers of its calls are not known for {machine}")
    name, column = MACHINES[machine]
    numbers = [of[column] for of in CALLS.values()]
    count = len(numbers)
    steps = [(_LOAD, 0, 0, _MACHINE_AT), (_EQUAL, 0, count + 1, name), (_LOAD, 0, 0, _NUMBER_AT)]
    steps += [(_EQUAL, count - n, 0, number) for n, number in enumerate(numbers)]
    steps += [(_RETURN, 0, 0, _FAIL), (_RETURN, 0, 0, _ALLOW)]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


def install() -> None:
    """Filter the calls of this process from now on. It must have no new privileges. Raises OSError."""
    steps = ctypes.create_string_buffer(program(os.uname().machine))
    count = (len(steps) - 1) // 8  # the buffer ends with a zero byte
    given = ctypes.create_string_buffer(struct.pack("@HP", count, ctypes.addressof(steps)))  # struct sock_fprog
    prctl(PR_SET_SECCOMP, 2, ctypes.addressof(given))
