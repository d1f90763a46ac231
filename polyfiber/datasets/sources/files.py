"""Files of the user's own: network files, and datasets of networks in Parquet."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np

from ...equivalence.collections.collection import ParquetCollection
from ...errors import InputError
from ...network.readers import read_network
from .. import fields
from ..storage.arrow import open_parquet
from ..tables.base import Option
from .base import ABSENT, BaseOf, Kind, Made, Source
from .inputs import Inputs, checksum


def _resolve(values: dict[str, Any], inputs: Inputs, key: str) -> dict[str, Any]:
    """List the files, their checksums, and how many networks each holds."""
    names: list[str] = []
    for i, pattern in enumerate(values["paths"]):
        names += inputs.find(pattern, f"{key}paths[{i}]")
    files = []
    for name in dict.fromkeys(names):
        path = inputs.local(name, f"{key}paths")
        if path.suffix == ".parquet":
            count = int(open_parquet(str(path), path).metadata.num_rows)
            for _ in ParquetCollection([path]).blocks():  # one pass: refuses now what could not be read later
                pass
        else:
            read_network(path)
            count = 1
        files.append([name, checksum(path), count])
    return {"paths": values["paths"], "files": files}


@functools.lru_cache(maxsize=2)
def _rows_of(path: str, digest: str) -> ParquetCollection:
    """One open file, which keeps its last row group: rows taken in order cost one pass."""
    return ParquetCollection([Path(path)])


def _file(source: Source, index: int, rng: np.random.Generator, base_of: BaseOf) -> Made:
    for name, expected, count in source.values["files"]:
        if index >= count:
            index -= count
            continue
        path = source.inputs.path(name, expected)
        facts: dict[str, Any] = {"file": name, "sha256": expected}
        if path.suffix == ".parquet":
            return Made(_rows_of(str(path), expected).network(index), {**facts, "row": index})
        net = read_network(path)
        if net.is_exact:
            facts["rounded"] = "the rationals of the file were rounded to float64"
        return Made(net.rounded(), facts)
    raise InputError(f"network {index} is beyond the files of {source.name}")


def _listed(value: Any, key: str) -> list[Any]:
    """Names, checksums and counts as a plan holds them."""
    return [
        [fields.text(name, key), fields.sha256(digest, key), fields.integer(0, fields.MOST)(count, key)]
        for name, digest, count in fields.sequence(fields.sequence(lambda v, k: v, least=3, most=3))(value, key)
    ]


FILES = Kind(
    "files",
    (Option("paths", ABSENT, fields.one_or_more(fields.text), "one or more files or patterns, relative to the spec"),),
    _file,
    lambda v: f"{sum(f[2] for f in v['files'])} networks from {len(v['files'])} files: {', '.join(v['paths'])}.",
    count=lambda v, base: sum(f[2] for f in v["files"]),
    resolve=_resolve,
    found={"files": _listed},
    files=lambda v: [(f[0], f[1]) for f in v["files"]],
)
