"""HDF5 files as a tree of arrays, read by ``h5py`` in a process of its own.

Reading costs the start of that process, about a third of a second, and what `hdf5_child` is allowed: memory and
time in proportion to the file. A file that makes the library loop or crash ends that process, and is refused.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..._typing import Array
from ...errors import FileFormatError
from ..names import printable
from .files import array_from, inflated_limit

CHILD = Path(__file__).with_name("hdf5_child.py")
SECONDS = 10
MEMORY = 1 << 30
"""Time and memory for a small file; more in proportion to larger ones."""


class Hdf5:
    """The contents of an HDF5 file.

    Parameters
    ----------
    data : bytes

    Raises
    ------
    FileFormatError
        Damaged, links or storage outside the file, sizes that are not there, limits of time or memory.
    """

    def __init__(self, data: bytes) -> None:
        self.size = len(data)
        header, body = _answer(data)
        self.attributes: dict[str, str] = {str(k): str(v) for k, v in header["attributes"].items()}
        self._entries: dict[str, Any] = header["entries"]
        self._arrays: dict[str, Array] = {}
        at = 0
        for path, entry in self._entries.items():
            if entry["kind"] == "floats":
                what = f"dataset {printable(path)!r}"
                self._arrays[path] = array_from(body[at : at + entry["bytes"]], entry["dtype"], entry["shape"], what)
                at += entry["bytes"]

    def __contains__(self, path: str) -> bool:
        """Whether there is a group or dataset of that path."""
        return path in self._entries

    def below(self, path: str) -> Mapping[str, Array | None]:
        """Arrays of a group and the groups in it by their path; None where it holds no floats.

        Links are refused: they may lead out of the file.
        """
        found: dict[str, Array | None] = {}
        for inner, entry in self._entries.items():
            if not inner.startswith(path + "/"):
                continue
            if entry["kind"] == "link":
                raise FileFormatError(f"{printable(inner)!r} is a link, possibly to another file: refused")
            if entry["kind"] != "group":
                found[inner[len(path) + 1 :]] = self._arrays.get(inner)
        return found


def _answer(data: bytes) -> tuple[dict[str, Any], memoryview]:
    claims = inflated_limit(len(data))
    seconds = SECONDS + (len(data) >> 24)
    limits = [str(MEMORY + 3 * claims), str(seconds), str(claims)]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    command = [sys.executable, "-P", str(CHILD), *limits]
    try:
        done = subprocess.run(
            command, input=data, capture_output=True, timeout=2 * seconds, env={**os.environ, **threads}, check=False
        )
    except subprocess.TimeoutExpired:
        raise FileFormatError(f"the HDF5 library did not finish within {2 * seconds} seconds: damaged") from None
    except OSError as error:
        raise FileFormatError(
            f"the process that reads HDF5 files cannot be started: {error.strerror or error}"
        ) from None
    line, _, body = done.stdout.partition(b"\n")
    try:
        answer = json.loads(line)
    except ValueError:
        last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or [f"exit {done.returncode}"]
        raise FileFormatError(
            f"the HDF5 library gave up within its limits of memory and time: damaged ({printable(last[0])})"
        ) from None
    if "error" in answer:
        raise FileFormatError(f"HDF5: {printable(str(answer['error']), 400)}")
    return answer, memoryview(body)
