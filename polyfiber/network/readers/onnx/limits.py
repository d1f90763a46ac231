"""What a file in the wire format of protobuf would cost to parse, counted before it is parsed.

Messages take some hundred bytes each in memory and two in a file. So they are counted, with the schema at hand that
``onnx`` brings: which field of which message holds messages. Numbers and text are stepped over.
"""

from __future__ import annotations

from typing import Any

from ....errors import FileFormatError

MOST_MESSAGES = 400_000
"""Nodes, attributes, tensors, shapes, … of one file."""

MOST_FIELDS = 4_000_000
"""Fields that are stepped over (numbers of old files one by one)."""

MOST_DEPTH = 40
"""Messages inside messages (graphs inside attributes of nodes inside graphs)."""


def check_cost(data: bytes, descriptor: Any) -> None:
    """FileFormatError if the bytes are no message of that schema or hold too many messages."""
    fields = messages = 0
    inside: dict[str, dict[int, Any]] = {}
    stack: list[tuple[int, int, Any, int]] = [(0, len(data), descriptor, 0)]
    while stack:
        at, end, schema, depth = stack.pop()
        known = inside.get(schema.full_name)
        if known is None:
            known = {f.number: f.message_type for f in schema.fields if f.message_type is not None}
            inside[schema.full_name] = known
        while at < end:
            fields += 1
            if fields > MOST_FIELDS:
                raise FileFormatError(f"the file holds more than {MOST_FIELDS:,} fields")
            key, at = _varint(data, at, end)
            kind = key & 7
            if kind == 0:
                _, at = _varint(data, at, end)
            elif kind == 1:
                at += 8
            elif kind == 5:
                at += 4
            elif kind == 2:
                size, at = _varint(data, at, end)
                child = known.get(key >> 3)
                if child is not None and at + size <= end:
                    messages += 1
                    if messages > MOST_MESSAGES or depth >= MOST_DEPTH:
                        raise FileFormatError(
                            f"the file holds more than {MOST_MESSAGES:,} messages, or some nested deeper than {MOST_DEPTH}"
                        )
                    stack.append((at, at + size, child, depth + 1))
                at += size
            else:
                raise FileFormatError("this is not an ONNX file, or it is damaged (an unknown kind of field)")
            if at > end:
                raise FileFormatError(f"a field claims {at - end:,} bytes more than are left (truncated?)")


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 70:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
    raise FileFormatError("a number runs past its end (truncated, or not an ONNX file)")
