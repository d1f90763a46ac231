"""Parquet files with footers and page headers that lie, for attacks and tests.

`lying` changes one to three numbers of a footer, or of the header of a page, to others that are as well formed: counts, sizes,
offsets, lengths of lists. `parse` and `emit` are Thrift's compact protocol: a structure is a list of (field, type, value), a list a
pair of a type and values; a `Claim` before the values is the length that is written, whatever follows.
"""

from typing import Any

import numpy as np

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)


def _number(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def _value(data: bytes, at: int, kind: int) -> tuple[Any, int]:
    if kind in (TRUE, FALSE):
        return kind == TRUE, at
    if kind == BYTE:
        return data[at], at + 1
    if kind in (I16, I32, I64):
        value, at = _number(data, at)
        return (value >> 1) ^ -(value & 1), at
    if kind == DOUBLE:
        return data[at : at + 8], at + 8
    if kind == BINARY:
        size, at = _number(data, at)
        return data[at : at + size], at + size
    if kind in (LIST, SET):
        head, at = data[at], at + 1
        count, inner = head >> 4, head & 15
        if count == 15:
            count, at = _number(data, at)
        values = []
        for _ in range(count):
            if inner in (TRUE, FALSE):
                value, at = data[at], at + 1
            else:
                value, at = _value(data, at, inner)
            values.append(value)
        return (inner, values), at
    if kind == STRUCT:
        return parse(data, at)
    raise ValueError(f"type {kind}")


def parse(data: bytes, at: int = 0) -> tuple[list[tuple[int, int, Any]], int]:
    """A structure, and where it ends."""
    fields, last = [], 0
    while data[at]:
        head, at = data[at], at + 1
        if head >> 4:
            last += head >> 4
        else:
            value, at = _number(data, at)
            last = (value >> 1) ^ -(value & 1)
        value, at = _value(data, at, head & 15)
        fields.append((last, head & 15, value))
    return fields, at + 1


def _bytes_of(value: int) -> bytes:
    out = bytearray()
    value &= (1 << 64) - 1
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _written(kind: int, value: Any) -> bytes:
    if kind in (TRUE, FALSE):
        return b""
    if kind == BYTE:
        return bytes([value & 255])
    if kind in (I16, I32, I64):
        return _bytes_of((value << 1) ^ (value >> 63))
    if kind == DOUBLE:
        return bytes(value)
    if kind == BINARY:
        return _bytes_of(len(value)) + value
    if kind in (LIST, SET):
        inner, values = value
        count = values[0] if values and isinstance(values[0], Claim) else None
        body = b"".join(
            bytes([v]) if inner in (TRUE, FALSE) else _written(inner, v) for v in values[count is not None :]
        )
        size = len(values) if count is None else int(count)
        return bytes([240 | inner]) + _bytes_of(size) + body
    return emit(value)


class Claim(int):
    """First in a list: the length that is written, whatever follows."""


def emit(fields: list[tuple[int, int, Any]]) -> bytes:
    """What `parse` reads."""
    out = b""
    for number, kind, value in fields:
        if kind in (TRUE, FALSE):
            kind = TRUE if value else FALSE
        out += bytes([kind]) + _bytes_of((number << 1) ^ (number >> 63)) + _written(kind, value)
    return out + b"\0"


def field(fields: list[tuple[int, int, Any]], number: int) -> Any:
    """The value of a field; None where there is none."""
    return next((value for n, _, value in fields if n == number), None)


def footer_of(data: bytes) -> tuple[bytes, list[tuple[int, int, Any]]]:
    """What stands before the footer, and the footer."""
    size = int.from_bytes(data[-8:-4], "little")
    return data[: -8 - size], parse(data[-8 - size : -8])[0]


def with_footer(body: bytes, footer: list[tuple[int, int, Any]]) -> bytes:
    """A file of both."""
    text = emit(footer)
    return body + text + len(text).to_bytes(4, "little") + b"PAR1"


def _places(fields: list[tuple[int, int, Any]], found: list[tuple[Any, int, int]]) -> None:
    """Every number of a structure, as (list that holds it, position in it, type), and lists, as (list, -1, type)."""
    for i, (_, kind, value) in enumerate(fields):
        if kind in (I16, I32, I64):
            found.append((fields, i, kind))
        elif kind == STRUCT:
            _places(value, found)
        elif kind == LIST:
            inner, values = value
            found.append((values, -1, inner))
            for j, item in enumerate(values):
                if isinstance(item, Claim):
                    continue
                if inner == STRUCT:
                    _places(item, found)
                elif inner in (I16, I32, I64):
                    found.append((values, j, inner))


def _lie(fields: list[tuple[int, int, Any]], rng: np.random.Generator, size: int) -> None:
    found: list[tuple[Any, int, int]] = []
    _places(fields, found)
    holder, at, _ = found[int(rng.integers(len(found)))]
    if at < 0:
        way = int(rng.integers(4))
        if way == 0 and holder:
            holder.insert(0, Claim(int(rng.choice([0, 1, 2, 10**6, 2**31 - 1, 2**32 - 1]))))
        elif way == 1 and holder and not isinstance(holder[0], Claim):
            holder.extend([holder[int(rng.integers(len(holder)))]] * int(rng.choice([1, 100, 10_000])))
        elif way == 2 and holder:
            holder.pop(int(rng.integers(len(holder))))
        elif holder and not isinstance(holder[0], Claim):
            holder[int(rng.integers(len(holder)))] = holder[int(rng.integers(len(holder)))]
        return
    entry = holder[at]
    old = entry[2] if isinstance(entry, tuple) else entry
    near = [int(old) + d for d in (-1, 1, 8, 100)] + [int(old) * 2, int(old) * 1000, -int(old)]
    far = [0, 1, 4, size, size // 2, 2**20, 2**31 - 1, 2**31, 2**32, 10**12, 2**62, -1, -(2**31)]
    new = int(rng.choice(np.array(near + far, dtype=object)))
    holder[at] = (entry[0], entry[1], new) if isinstance(entry, tuple) else new


def lying(data: bytes, rng: np.random.Generator) -> bytes:
    """A copy with one to three numbers of the footer, or of the header of one page, changed."""
    body, footer = footer_of(data)
    for _ in range(int(rng.integers(1, 4))):
        if rng.random() < 0.35:
            groups = field(footer, 4)
            if not groups or not groups[1] or isinstance(groups[1][0], Claim):
                continue
            columns = field(groups[1][int(rng.integers(len(groups[1])))], 1)
            if not columns or not columns[1] or isinstance(columns[1][0], Claim):
                continue
            about = field(columns[1][int(rng.integers(len(columns[1])))], 3)
            start = field(about, 11) or field(about, 9)
            try:
                header, end = parse(body, start)
                _lie(header, rng, len(data))
                new = emit(header)
            except (IndexError, ValueError, TypeError):
                continue
            if rng.random() < 0.7:  # the same place for what follows
                body = body[:start] + new + body[end:]
            else:
                body = body[:start] + (new + bytes(end - start))[: end - start] + body[end:]
        else:
            _lie(footer, rng, len(data))
    return with_footer(body, footer)
