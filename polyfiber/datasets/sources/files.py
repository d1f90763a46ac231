"""Files of the user's own: network files, and datasets of networks in Parquet."""

from __future__ import annotations

import glob
import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np

from ...equivalence.collections.collection import network_at
from ...errors import InputError
from ...network.readers import read_chain as read_network
from .. import fields
from ..storage.arrow import parquet
from ..tables.base import Option
from .base import ABSENT, BaseOf, Kind, Made, Source


def checksum(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _resolve(values: dict[str, Any], folder: Path, key: str) -> dict[str, Any]:
    """List the files, their checksums, and how many networks each holds."""
    names: list[str] = []
    for i, pattern in enumerate(values["paths"]):
        found = sorted(glob.glob(str(folder / pattern), recursive=True))
        found = [f for f in found if os.path.isfile(f)]
        if not found:
            raise fields.wrong(f"{key}paths[{i}]", pattern, f"a file, or a pattern that matches files, from {folder}")
        names += [os.path.relpath(f, folder) for f in found]
    files = []
    for name in dict.fromkeys(names):
        path = folder / name
        if path.suffix == ".parquet":
            count = int(parquet("reading a Parquet dataset").ParquetFile(path).metadata.num_rows)
        else:
            read_network(path)  # refuses now what could not be read later
            count = 1
        files.append([Path(name).as_posix(), checksum(path), count])
    return {"paths": values["paths"], "files": files}


_seen: dict[tuple[str, int, int], str] = {}


def _unchanged(path: Path, expected: str) -> None:
    """Raise if a file is no longer the one that was planned with."""
    facts = path.stat()
    key = (str(path), facts.st_mtime_ns, facts.st_size)
    if key not in _seen:
        _seen[key] = checksum(path)
    if _seen[key] != expected:
        raise InputError(f"{path} has changed since the plan was made; plan again in another directory")


def _file(source: Source, index: int, rng: np.random.Generator, base_of: BaseOf) -> Made:
    for name, expected, count in source.values["files"]:
        if index >= count:
            index -= count
            continue
        path = source.folder / name
        if not path.is_file():
            raise InputError(f"{path} is gone; it was there when the plan was made")
        _unchanged(path, expected)
        facts: dict[str, Any] = {"file": name, "sha256": expected}
        if path.suffix == ".parquet":
            return Made(network_at(path, index), {**facts, "row": index})
        net = read_network(path)
        if net.is_exact:
            facts["rounded"] = "the rationals of the file were rounded to float64"
        return Made(net.rounded(), facts)
    raise InputError(f"network {index} is beyond the files of {source.name}")


FILES = Kind(
    "files",
    (Option("paths", ABSENT, fields.one_or_more(fields.text), "one or more files or patterns, relative to the spec"),),
    _file,
    lambda v: f"{sum(f[2] for f in v['files'])} networks from {len(v['files'])} files: {', '.join(v['paths'])}.",
    count=lambda v, base: sum(f[2] for f in v["files"]),
    resolve=_resolve,
)
