"""safetensors: a JSON header (8 bytes of length before it) and raw little-endian numbers."""

from __future__ import annotations

import json
from typing import Any

from ..._typing import Array
from ...errors import FileFormatError
from ..model import ReLUNetwork
from .files import array_from
from .state import network_from_state

DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}


def read(data: bytes, source: dict[str, Any]) -> ReLUNetwork:
    """Network of a safetensors file: layers by name, see `network_from_state`."""
    tensors, dtypes, metadata = parse(data)
    source["format"] = "safetensors"
    head = metadata.get("polyfiber.head")
    return network_from_state(tensors, source, dtypes=dtypes, ordered=False, head=head)


def parse(data: bytes) -> tuple[dict[str, Array], set[str], dict[str, str]]:
    """(tensors, their floating dtypes, metadata), every size checked against the file."""
    size = int.from_bytes(data[:8], "little")
    if size > len(data) - 8:
        raise FileFormatError(f"the header claims {size:,} bytes; the file has {len(data):,}")
    try:
        header = json.loads(data[8 : 8 + size].decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"the header is not JSON: {str(error)[:200]}") from None
    if not isinstance(header, dict):
        raise FileFormatError("the header is not a JSON object")
    body = memoryview(data)[8 + size :]
    metadata = header.pop("__metadata__", {})
    tensors: dict[str, Array] = {}
    dtypes: set[str] = set()
    covered = 0
    for name, entry in header.items():
        what = f"tensor {name!r}"
        if not isinstance(entry, dict) or not {"dtype", "shape", "data_offsets"} <= entry.keys():
            raise FileFormatError(f"{what} needs dtype, shape and data_offsets")
        dtype = DTYPES.get(entry["dtype"]) if isinstance(entry["dtype"], str) else None
        if dtype is None:
            raise FileFormatError(f"{what} has dtype {entry['dtype']!r}; expected one of {', '.join(DTYPES)}")
        shape, offsets = _integers(entry["shape"], what), _integers(entry["data_offsets"], what)
        if len(offsets) != 2 or not 0 <= offsets[0] <= offsets[1] <= len(body):
            raise FileFormatError(f"{what} has offsets {offsets}; the file holds {len(body):,} bytes of numbers")
        covered += offsets[1] - offsets[0]
        tensors[name] = array_from(body[offsets[0] : offsets[1]], dtype, shape, what)
        if "float" in dtype:
            dtypes.add(dtype)
    if covered != len(body):
        raise FileFormatError(f"the tensors take {covered:,} bytes and the file holds {len(body):,}")
    return tensors, dtypes, metadata if isinstance(metadata, dict) else {}


def _integers(values: Any, what: str) -> list[int]:
    if not isinstance(values, list) or not all(isinstance(v, int) and not isinstance(v, bool) for v in values):
        raise FileFormatError(f"{what} has {values!r} where a list of integers was expected")
    return values


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not allowed in the header")
