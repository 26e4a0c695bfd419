"""Functions of the C library that Python lacks. Only Linux has them. Each raises OSError."""

from __future__ import annotations

import ctypes
import os

PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 4, 22, 38  # linux/prctl.h


def prctl(option: int, *given: int) -> None:
    """Set an attribute of this process. Arguments that are not given are 0, as the kernel demands."""
    _call("prctl", option, *given, *[0] * (4 - len(given)))


def syscall(number: int, *given: int | bytes | None) -> int:
    return _call("syscall", number, *given)


def capset(header: bytes, sets: bytes) -> None:
    """Set the capabilities of this process. Arguments: __user_cap_header_struct, two of __user_cap_data_struct."""
    _call("capset", header, sets)


def _call(name: str, *given: int | bytes | None) -> int:
    function = getattr(ctypes.CDLL(None, use_errno=True), name)
    # Numbers are passed as long: the C library reads them so where it does not know how many there are.
    result: int = function(*(ctypes.c_ulong(one) if isinstance(one, int) else one for one in given))
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
