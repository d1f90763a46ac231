"""The protobuf wire format, read field by field without a schema compiler.

Only what ONNX needs; nothing is allocated beyond views into the file's own bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np

from ..._typing import Array
from ...errors import FileFormatError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

Value = int | memoryview


def varint(data: memoryview, at: int) -> tuple[int, int]:
    """An unsigned number of at most 64 bits and the position behind it."""
    result = shift = 0
    end = len(data)
    while True:
        if at >= end:
            raise FileFormatError("the file ends inside a number (truncated?)")
        byte = data[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result & 0xFFFFFFFFFFFFFFFF, at
        shift += 7
        if shift > 63:
            raise FileFormatError("a number of more than 64 bits: this is not a protobuf file")


def fields(data: memoryview) -> Iterator[tuple[int, int, Value]]:
    """(field number, wire type, value) of a message; submessages stay views."""
    at, end = 0, len(data)
    while at < end:
        key, at = varint(data, at)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise FileFormatError("a field with number 0: this is not a protobuf file")
        value: Value
        if kind == VARINT:
            value, at = varint(data, at)
        elif kind in (BYTES, FIXED32, FIXED64):
            if kind == BYTES:
                size, at = varint(data, at)
            else:
                size = 4 if kind == FIXED32 else 8
            if size > end - at:
                raise FileFormatError(f"a field claims {size:,} bytes and {end - at:,} are left (truncated?)")
            value = data[at : at + size]
            at += size
        else:
            raise FileFormatError(f"wire type {kind} in field {number}: this is not a protobuf file")
        yield number, kind, value


def signed(value: Value) -> int:
    """A varint read as int64."""
    if not isinstance(value, int):
        raise FileFormatError("bytes where a number was expected")
    return value - (1 << 64) if value >= 1 << 63 else value


def message(value: Value) -> memoryview:
    """Bytes of a submessage."""
    if isinstance(value, int):
        raise FileFormatError("a number where a message was expected")
    return value


def text(value: Value) -> str:
    """A string field; undecodable bytes are shown, not fatal."""
    return bytes(message(value)).decode("utf-8", "backslashreplace")


def float32(value: Value) -> float:
    """A fixed32 field as a float."""
    raw = bytes(message(value))
    if len(raw) != 4:
        raise FileFormatError(f"a float of {len(raw)} bytes; expected 4")
    return float(struct.unpack("<f", raw)[0])


def numbers(kind: int, value: Value) -> list[int]:
    """A repeated int64 field: packed, or one element of it."""
    if kind == VARINT:
        return [signed(value)]
    data, at, found = message(value), 0, []
    while at < len(data):
        number, at = varint(data, at)
        found.append(signed(number))
    return found


def floats(value: Value, dtype: str) -> Array:
    """A repeated float or double field: packed, or one element of it."""
    data = message(value)
    item = np.dtype(dtype).itemsize
    if len(data) % item:
        raise FileFormatError(f"{len(data)} bytes of {dtype} numbers; expected a multiple of {item}")
    return np.frombuffer(data, dtype=dtype)


# ---- writing --------------------------------------------------------------------------------
def put_varint(value: int) -> bytes:
    value &= 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def put(number: int, value: int | bytes | str) -> bytes:
    """One field: a varint, or bytes (a string, a submessage)."""
    if isinstance(value, int):
        return put_varint(number << 3 | VARINT) + put_varint(value)
    raw = value.encode() if isinstance(value, str) else value
    return put_varint(number << 3 | BYTES) + put_varint(len(raw)) + raw
