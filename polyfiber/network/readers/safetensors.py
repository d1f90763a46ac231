"""safetensors files, by the ``safetensors`` package: it checks names, offsets, overlaps and sizes."""

from __future__ import annotations

import json
from typing import Any

from ..._typing import Array
from ...errors import FileFormatError
from ..model import ReLUNetwork
from ..names import known_head, printable
from .files import array_from
from .state import network_from_state

DTYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32", "I16": "int16",
    "I8": "int8", "U8": "uint8", "BOOL": "bool",
}  # fmt: skip
MOST_HEADER = 16 << 20
"""Bytes of the header; a tensor takes about a hundred."""


def read(data: bytes, source: dict[str, Any]) -> ReLUNetwork:
    """Network of a safetensors file: layers by name, see `network_from_state`."""
    tensors, dtypes, metadata = parse(data)
    source["format"] = "safetensors"
    head = known_head(metadata.get("polyfiber.head"))
    return network_from_state(tensors, source, dtypes=dtypes, ordered=False, head=head)


def parse(data: bytes) -> tuple[dict[str, Array], set[str], dict[str, str]]:
    """(tensors, their floating dtypes, metadata)."""
    from safetensors import SafetensorError, deserialize

    size = int.from_bytes(data[:8], "little")
    if size > min(len(data) - 8, MOST_HEADER):
        raise FileFormatError(
            f"the header claims {size:,} bytes; the file has {len(data):,}, the limit is {MOST_HEADER:,}"
        )
    try:
        entries = deserialize(data)
    except SafetensorError as error:
        raise FileFormatError(f"not a valid safetensors file: {printable(str(error))}") from None
    tensors: dict[str, Array] = {}
    dtypes: set[str] = set()
    for name, entry in entries:
        what = f"tensor {printable(name)!r}"
        dtype = DTYPES.get(entry["dtype"])
        if dtype is None:
            raise FileFormatError(f"{what} has dtype {entry['dtype']!r}; expected one of {', '.join(DTYPES)}")
        tensors[name] = array_from(bytes(entry["data"]), dtype, entry["shape"], what)
        if "float" in dtype:
            dtypes.add(dtype)
    metadata = json.loads(data[8 : 8 + size], object_pairs_hook=_once).get("__metadata__")
    return tensors, dtypes, metadata if isinstance(metadata, dict) else {}


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of the header whose names differ."""
    made = dict(pairs)
    if len(made) != len(pairs):
        raise FileFormatError("two entries of the header have the same name")
    return made
