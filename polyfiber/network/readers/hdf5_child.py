"""Run as a program of its own: reads an HDF5 file from standard input with ``h5py``, writes its contents to standard
output.

The HDF5 library was written for files one trusts: a flipped byte can make it loop. So it runs in a process whose memory
and time are limited before the file is opened, see `hdf5`. Nothing of polyfiber is imported here. Arguments: bytes of
memory, seconds of processor time, bytes that all datasets together may claim.

The answer is a line of JSON, then the numbers: ``error``, or ``attributes`` (text at the root) and ``entries``: for
each path a ``group``, a ``link``, ``other`` (no floats) or ``floats`` with dtype, shape and number of bytes.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from typing import Any

MOST_OBJECTS = 20_000
MOST_DEPTH = 16


class Refused(Exception):
    """What is said of a file that is not read."""


def main() -> None:
    memory, seconds, claims = (int(a) for a in sys.argv[1:4])
    with contextlib.suppress(ImportError, ValueError, OSError):  # not on every system; the parent has a clock too
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    out = sys.stdout.buffer
    try:
        answer, arrays = read(sys.stdin.buffer.read(), claims)
    except Refused as error:
        answer, arrays = {"error": str(error)}, []
    except Exception as error:
        answer, arrays = {"error": f"{type(error).__name__}: {str(error)[:300]}"}, []
    out.write(json.dumps(answer).encode() + b"\n")
    for array in arrays:
        out.write(array.tobytes())


def read(data: bytes, claims: int) -> tuple[dict[str, Any], list[Any]]:
    """The answer and the arrays that follow it."""
    import h5py

    entries: dict[str, Any] = {}
    arrays: list[Any] = []
    with h5py.File(io.BytesIO(data), "r") as file:
        attributes = {}
        for name in ("model_config", "keras_version"):
            if name in file.attrs:
                value = file.attrs[name]
                attributes[name] = value.decode("utf-8") if isinstance(value, bytes) else str(value)
        stack: list[tuple[str, Any, int]] = [("", file, 0)]
        while stack:
            path, group, depth = stack.pop()
            for name in group:
                inner = f"{path}/{name}" if path else name
                if len(entries) >= MOST_OBJECTS or depth >= MOST_DEPTH:
                    raise Refused(
                        f"it holds more than {MOST_OBJECTS:,} objects, or groups nested deeper than {MOST_DEPTH}"
                    )
                if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                    entries[inner] = {"kind": "link"}
                    continue
                thing = group[name]
                if isinstance(thing, h5py.Group):
                    entries[inner] = {"kind": "group"}
                    stack.append((inner, thing, depth + 1))
                elif isinstance(thing, h5py.Dataset) and thing.dtype.kind == "f" and thing.dtype.itemsize <= 8:
                    claims -= thing.size * 8
                    if claims < 0:
                        raise Refused(
                            f"dataset {inner!r} claims shape {thing.shape}, more than a file of this size may hold"
                        )
                    if thing.external is not None or thing.is_virtual:
                        raise Refused(f"dataset {inner!r} keeps its numbers in another file: refused")
                    if thing.size and not thing.id.get_storage_size():
                        raise Refused(f"dataset {inner!r} was declared and never written")
                    array = thing[...]
                    array = array.astype(array.dtype.newbyteorder("<"))
                    arrays.append(array)
                    entries[inner] = {
                        "kind": "floats",
                        "dtype": array.dtype.name,
                        "shape": array.shape,
                        "bytes": array.nbytes,
                    }
                else:
                    entries[inner] = {"kind": "other"}
    return {"attributes": attributes, "entries": entries}, arrays


if __name__ == "__main__":
    main()
