"""Functions that the codecs of many devices share."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from baylight.errors import DeviceDataError

ANY_LENGTH: Collection[int] = range(1, 243)
F_PORTS: Collection[int] = range(1, 224)
"""FPorts of applications."""


def declared(model: str, f_port: int | None, data: bytes, lengths: Mapping[int, Collection[int]]) -> int:
    """Return the FPort of a frame that the device may send. `lengths`: those of its frames, by FPort.

    Raises DeviceDataError `no_data` (MAC-only frame), `unknown_f_port`, `bad_length`.
    """
    if not f_port or not data:
        raise DeviceDataError("no_data", "the frame carries no data", f_port=f_port)
    if f_port not in lengths:
        raise DeviceDataError("unknown_f_port", f"FPort {f_port} is not one of a {model}", f_port=f_port)
    if len(data) not in lengths[f_port]:
        raise DeviceDataError(
            "bad_length", f"{len(data)} bytes on FPort {f_port} are no frame of a {model}", f_port=f_port
        )
    return f_port


def fields_of(model: str, data: bytes, sizes: Mapping[bytes, int], key_length: int) -> tuple[dict[bytes, bytes], bytes]:
    """Split a frame into fields: a key of `key_length` bytes each, and a value whose size depends on the key.

    Return the values by key (the last of a key wins), and the rest that begins with a key that is not in `sizes`:
    the end of such a field is unknown. Raises DeviceDataError `bad_length` if the last field is cut off.
    """
    values: dict[bytes, bytes] = {}
    rest = data
    while rest:
        key = rest[:key_length]
        size = sizes.get(key)
        if size is None and len(key) == key_length:
            return values, rest
        end = key_length + (size or 0)
        if len(rest) < end:
            raise DeviceDataError("bad_length", f"a frame of a {model} ends in the middle of {rest.hex()}")
        values[key], rest = rest[key_length:end], rest[end:]
    return values, b""
